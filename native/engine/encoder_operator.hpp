// gabion's encoder as an operator of ONNX Runtime: `gabion.Encoder`, a whole text encoder in one node.
//
// Inputs: input_ids int64 [1, tokens], then the weights of lib/convert/weight-layout.ts in its order, float or bf16;
// the attention's biases by distance, if there are any, come last. Output: float [1, hidden], pooled and, if the node
// says so, of unit length. Attributes: layers, heads, hidden, intermediate (int), epsilon (float), pooling, activation,
// architecture (string), normalize (int), and padding_id (int) where positions count from behind it. Pooling has the
// names of 1_Pooling/config.json; activation is `gelu`; architecture is one of `bert`, `mpnet`, `roberta`,
// `xlm-roberta`.
//
// Lifetime: the operator object belongs to a session and outlives it. ONNX Runtime makes one kernel for the node, which
// packs the weights; the originals stay mapped from the file and are handed back to the system's page cache.
#pragma once

#include <onnxruntime_c_api.h>

#include <atomic>
#include <string>
#include <vector>

#include "../kernels/encoder.hpp"

namespace gabion {

/// What a running thread lends to the operator: ONNX Runtime runs the node on the thread that called it, so the
/// operator finds this through a thread-local pointer.
struct EncoderLoan {
  const std::atomic<bool>* stop = nullptr;
  kernels::Workspace workspace;
  std::vector<float> hidden;
};

/// While it lives, encoder nodes that run on this thread use `loan`.
class EncoderLoanScope {
 public:
  explicit EncoderLoanScope(EncoderLoan& loan) noexcept;
  ~EncoderLoanScope();
  EncoderLoanScope(const EncoderLoanScope&) = delete;
  EncoderLoanScope& operator=(const EncoderLoanScope&) = delete;
};

/// The kernels that this process uses: the best that the processor runs, or what GABION_ISA names; null without any.
/// Throws kInvalidArgument if GABION_ISA names none that runs here.
const kernels::Variant* EncoderVariant();

/// The token ids of some texts.
using TokenSamples = std::vector<std::vector<int64_t>>;

class EncoderOperator : public OrtCustomOp {
 public:
  static constexpr const char* kDomain = "gabion";

  /// `variant` may be null: then a graph with the operator cannot be opened, others can. `samples` are what int8 looks
  /// at before it rounds weights: the ids of a few texts.
  EncoderOperator(kernels::Precision precision, const kernels::Variant* variant, TokenSamples samples);

  kernels::Precision precision() const noexcept { return precision_; }
  const kernels::Variant* variant() const noexcept { return variant_; }
  const TokenSamples& samples() const noexcept { return samples_; }
  /// Whether a graph with the operator was opened.
  bool used() const noexcept { return used_; }
  void set_used() const noexcept { used_ = true; }

 private:
  kernels::Precision precision_;
  const kernels::Variant* variant_;
  TokenSamples samples_;
  mutable bool used_ = false;
};

}  // namespace gabion
