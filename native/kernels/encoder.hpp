// A text encoder on the processor: packs a model's weights once, then runs token ids through it. Knows neither ONNX
// Runtime nor texts.
//
// Immutable after construction: any thread may run it, each with a Workspace of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "instruction_set.hpp"
#include "memory.hpp"
#include "packing.hpp"

namespace gabion::kernels {

struct EncoderShape {
  size_t layers;
  size_t heads;
  size_t hidden;
  size_t intermediate;
  float epsilon;
};

/// A linear layer as the weights file has it: y = x · weight + bias, weight [in, out].
struct StoredLinear {
  StoredMatrix weight;
  const float* bias;
};

struct StoredNorm {
  const float* weight;
  const float* bias;
};

struct StoredLayer {
  StoredLinear qkv;  ///< query | key | value side by side
  StoredLinear output;
  StoredNorm attention_norm;
  StoredLinear up;
  StoredLinear down;
  StoredNorm feed_forward_norm;
};

/// Views; the encoder copies the linear weights and keeps pointers to everything else, which must outlive it.
struct StoredEncoder {
  StoredMatrix words;      ///< [vocabulary, hidden]
  const float* positions;  ///< [positions, hidden]
  StoredNorm norm;
  std::vector<StoredLayer> layers;
  const float* distance_biases = nullptr;  ///< [2 · longest - 1, heads] by key - query + longest - 1; null: none
  size_t longest = 0;
  int64_t padding_id = -1;  ///< see PackedEncoder
};

/// What one running thread needs; it grows to the longest text seen and is never shared.
class Workspace {
 public:
  void* OfSize(size_t bytes);

 private:
  AlignedBytes bytes_;
};

class Encoder {
 public:
  /// Packs the weights on a few threads. Throws std::invalid_argument for sizes that the variant cannot compute with
  /// and for weights that are not finite.
  ///
  /// Integer formats look at `samples` first, the ids of some texts: what the inputs of the linear parts reach on them
  /// decides how each column's range is shared between inputs and weights (SmoothQuant, arXiv:2211.10438, with exponent
  /// 1/2). Without samples nothing is shared, and vectors are further from those of exact arithmetic.
  Encoder(const EncoderShape& shape, const StoredEncoder& stored, Precision precision, const Variant& variant,
          const std::vector<std::vector<int64_t>>& samples = {});

  /// Writes the last hidden state, [tokens, hidden]. Ids and their number must be within the tables. False when `stop`
  /// was set meanwhile. A crew, which may be null, shares the work; the result has the same bits.
  bool Run(const int64_t* ids, size_t tokens, Workspace& workspace, const std::atomic<bool>& stop, const Crew* crew,
           float* hidden) const;

  /// Multiply-adds that a text takes, about.
  size_t WorkOf(size_t tokens) const noexcept;

  Format format() const noexcept { return packed_.format; }
  const Variant& variant() const noexcept { return variant_; }
  /// Bytes of the packed weights.
  size_t packed_bytes() const noexcept { return panels_.size(); }

  /// Whether a variant with panels of so many columns can compute with a shape.
  static bool Fits(const EncoderShape& shape, size_t panel);

 private:
  void Pack(const EncoderShape& shape, const StoredEncoder& stored, Format format);
  void ShareRanges(const EncoderShape& shape, const StoredEncoder& stored,
                   const std::vector<std::vector<int64_t>>& samples);

  const Variant& variant_;
  std::vector<float> input_factors_;  ///< [layers][InputsOfLayer]; empty where no ranges are shared
  AlignedBytes panels_;               ///< of all layers, scales included
  std::vector<float> biases_;
  std::vector<float> distance_biases_;  ///< [heads][as PackedEncoder says]
  std::vector<PackedLayer> layers_;
  PackedEncoder packed_{};
};

}  // namespace gabion::kernels
