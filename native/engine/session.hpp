// One graph, ready to run: token ids in, hidden states (or an already pooled vector) out. Knows nothing of texts. A
// graph that is gabion's own encoder runs by itself (EncoderSession), any other one in ONNX Runtime: text by text
// (RuntimeSession), or several together where the graph is made for it (BatchSession).
//
// A session may run on several threads at once; each brings its own Scratch. But for batches, every text runs at its
// own length and every number is computed by one thread, so its result depends on nothing but its ids.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "../kernels/encoder.hpp"
#include "pooling.hpp"
#include "runtime.hpp"

namespace gabion {

/// The token ids of some texts.
using TokenSamples = std::vector<std::vector<int64_t>>;

/// What one running thread needs beside the session: buffers that keep their size between runs, and the handle by which
/// a run in flight can be told to stop. Not shared between threads, except for Stop().
class Scratch {
 public:
  /// Makes the run in flight (or the next one) end early with kAborted. Any thread may call it.
  void Stop() noexcept;
  /// Forgets an earlier Stop().
  void Rearm() noexcept;
  bool stopped() const noexcept { return stopped_; }
  const std::atomic<bool>& stop_flag() const noexcept { return stopped_; }

  /// ONNX Runtime's own handle of a run, made when it is first asked for.
  const OrtRunOptions* RunOptions(const Runtime& runtime);

  std::vector<int64_t> ids;
  std::vector<std::vector<int64_t>> ids_of_texts;
  std::vector<float> hidden;
  /// Encoder threads that may help this one with a text.
  size_t helpers = 0;

  // For sessions alone.
  std::vector<int64_t> ones;
  std::vector<int64_t> zeros;
  kernels::Workspace workspace;
  std::vector<float> states;

 private:
  /// For one runtime; at most two are open, gabion's own and one for a graphics card.
  struct Handle {
    std::atomic<const Runtime*> runtime{nullptr};  ///< set when there are options
    OrtOwned<OrtRunOptions> options{nullptr, nullptr};
  };

  std::atomic<bool> stopped_{false};
  std::array<Handle, 2> handles_;
};

struct ProviderPassedOver {
  std::string name;
  std::string reason;
};

class Session {
 public:
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Runs the first `tokens` ids of `scratch.ids`; the result is in `scratch.hidden`. Throws kInferenceFailed,
  /// kAborted.
  virtual void Run(size_t tokens, Scratch& scratch) const = 0;

  /// How many texts are best run together; 1 where each runs by itself.
  virtual size_t texts_at_once() const noexcept { return 1; }
  /// Runs texts together, where that is more than one: their pooled vectors are written to [texts, width]. Ends early
  /// when the scratch is told to stop. Throws as Run.
  virtual void RunTogether(std::span<const std::span<const int64_t>> texts, const Scratch& scratch,
                           float* vectors) const;

  /// The instruction set of gabion's own encoder; empty for a graph without it.
  virtual std::string encoder_instruction_set() const { return ""; }
  /// The ONNX Runtime that runs the graph; null for gabion's own encoder.
  virtual const Runtime* runtime() const noexcept { return nullptr; }

  /// True when the graph pools by itself: the result is [width] instead of [tokens, width].
  bool pools() const noexcept { return pools_; }
  size_t width() const noexcept { return width_; }
  const std::string& provider() const noexcept { return provider_; }
  const std::vector<ProviderPassedOver>& passed_over() const noexcept { return passed_over_; }

 protected:
  Session() = default;
  void Describe(std::string provider, std::vector<ProviderPassedOver> passed_over, bool pools, size_t width) {
    provider_ = std::move(provider);
    passed_over_ = std::move(passed_over);
    pools_ = pools;
    width_ = width;
  }

 private:
  std::string provider_;
  std::vector<ProviderPassedOver> passed_over_;
  size_t width_ = 0;
  bool pools_ = false;
};

/// Opens the graph with the first provider of `providers` (`cpu`, or `cuda:` and the path of its library) that works.
/// Throws kModelNotFound, kModelInvalid, kModelUnsupported (inputs or outputs that are not an encoder's) or
/// kProviderUnavailable (none works). `precision` is what gabion's own encoder computes with; graphs of standard
/// operators have one of their own. `samples` are the ids of a few texts, which int8 looks at before it rounds
/// weights. `pooling` and `maximum_tokens` are for graphs that run texts together.
std::unique_ptr<const Session> OpenSession(const std::string& graph_file, const std::vector<std::string>& providers,
                                           kernels::Precision precision, const TokenSamples& samples = {},
                                           Pooling pooling = Pooling::kMean, size_t maximum_tokens = 0);

}  // namespace gabion
