// One ONNX graph, ready to run: token ids in, hidden states (or an already pooled vector) out. Knows nothing of texts.
//
// A session may run on several threads at once; each brings its own Scratch. Every text runs at its own length on one
// thread, so its result depends on nothing but its ids.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "encoder_operator.hpp"
#include "runtime.hpp"

namespace gabion {

/// What one running thread needs beside the session: buffers that keep their size between runs, and the handle by which
/// a run in flight can be told to stop. Not shared between threads, except for Stop().
class Scratch {
 public:
  explicit Scratch(const Runtime& runtime);

  /// Makes the run in flight (or the next one) end early with kAborted. Any thread may call it.
  void Stop() noexcept;
  /// Forgets an earlier Stop().
  void Rearm() noexcept;
  bool stopped() const noexcept { return stopped_.load(std::memory_order_relaxed); }

  std::vector<int64_t> ids;
  std::vector<float> hidden;

 private:
  friend class Session;
  const Runtime& runtime_;
  OrtOwned<OrtRunOptions> options_;
  std::atomic<bool> stopped_{false};
  std::vector<int64_t> ones_;
  std::vector<int64_t> zeros_;
  EncoderLoan loan_;
};

struct ProviderPassedOver {
  std::string name;
  std::string reason;
};

class Session {
 public:
  /// Opens the graph with the first provider of `providers` (`cpu`, or `cuda:` and the path of its library) that works.
  /// Throws kModelNotFound, kModelInvalid, kModelUnsupported (inputs or outputs that are not an encoder's) or
  /// kProviderUnavailable (none works). `precision` is what gabion's own encoder computes with; graphs of standard
  /// operators have one of their own. `samples` are the ids of a few texts, which int8 looks at before it rounds
  /// weights.
  Session(const std::string& graph_file, const std::vector<std::string>& providers, kernels::Precision precision,
          TokenSamples samples = {});

  /// Runs the first `tokens` ids of `scratch.ids`; the result is in `scratch.hidden`. Throws kInferenceFailed,
  /// kAborted.
  void Run(size_t tokens, Scratch& scratch) const;

  /// True when the graph pools by itself: the result is [width] instead of [tokens, width].
  bool pools() const noexcept { return pools_; }
  size_t width() const noexcept { return width_; }
  const std::string& provider() const noexcept { return provider_; }
  const std::vector<ProviderPassedOver>& passed_over() const noexcept { return passed_over_; }
  /// The instruction set of gabion's own encoder; empty for a graph without it.
  std::string encoder_instruction_set() const { return encoder_.used() ? encoder_.variant()->name : ""; }

 private:
  enum class InputKind { kIds, kMask, kTypes };

  void Open(const std::string& graph_file, const std::string& provider);
  void ReadInputs();
  void ReadOutput();

  const Runtime& runtime_;
  // The runtime keeps pointers to both until the session is gone.
  EncoderOperator encoder_;
  OrtOwned<OrtCustomOpDomain> domain_;
  OrtOwned<OrtSession> session_;
  OrtOwned<OrtMemoryInfo> memory_;
  std::vector<InputKind> inputs_;
  std::vector<std::string> input_names_;
  std::string output_name_;
  std::string provider_;
  std::vector<ProviderPassedOver> passed_over_;
  size_t width_ = 0;
  bool pools_ = false;
};

}  // namespace gabion
