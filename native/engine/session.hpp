// One graph, ready to run: token ids in, finished text vectors out, pooled and normalized as the model's folder says.
// Knows nothing of tokenizers and files of texts. A graph that is gabion's own encoder runs without ONNX Runtime
// (EncoderSession), any other one in it: one text at a time (RuntimeSession), or padded batches where the graph is made
// for them (CudaSession).
//
// A session may run on several threads at once; each brings its own Scratch. Except in padded batches, every window
// runs at its own length, so its vector depends on nothing but its ids.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "../kernels/encoder.hpp"
#include "pooling.hpp"
#include "runtime.hpp"
#include "text_task.hpp"

namespace gabion {

using TokenSamples = std::vector<kernels::TokenSample>;

/// Buffers of one running thread, which keep their size between runs, and the handle by which a run in flight can be
/// stopped. Not shared between threads, except for Stop().
class Scratch {
 public:
  /// Makes the run in flight (or the next one) end early with kAborted. Any thread may call it.
  void Stop() noexcept;
  /// Forgets an earlier Stop().
  void Rearm() noexcept;
  bool stopped() const noexcept { return stopped_; }
  const std::atomic<bool>& stop_flag() const noexcept { return stopped_; }
  /// Throws kAborted after Stop().
  void ThrowIfStopped() const;

  /// ONNX Runtime's own handle of a run, made at the first use.
  const OrtRunOptions* RunOptions(const Runtime& runtime);

  /// Token ids of all windows of the tasks that run now; TokenWindow locates each one.
  std::vector<int64_t> ids;
  /// The type of each of them; empty where all are of type 0.
  std::vector<uint8_t> types;
  /// Encoder threads that may join the intra-op team of this thread's text.
  size_t helpers = 0;

  // For sessions alone.
  std::vector<float> hidden;
  std::vector<uint16_t> halves;
  std::vector<int64_t> ones;
  std::vector<int64_t> zeros;
  std::vector<int64_t> type_ids;
  kernels::Workspace workspace;

 private:
  /// For one runtime; at most two are open, gabion's own and one for a graphics card.
  struct Handle {
    std::atomic<const Runtime*> runtime{nullptr};  ///< set when there are options
    OrtOwned<OrtRunOptions> options{nullptr, nullptr};
  };

  std::atomic<bool> stopped_{false};
  std::array<Handle, 2> handles_;
};

/// A requested provider that could not be used.
struct SkippedProvider {
  std::string name;
  std::string reason;
};

/// What a session is, as it reports it.
struct SessionInfo {
  std::string provider;
  std::vector<SkippedProvider> skipped_providers;
  size_t width = 0;                  ///< values per vector
  std::string instruction_set;       ///< of gabion's own encoder; empty for other graphs
  const Runtime* runtime = nullptr;  ///< the ONNX Runtime that runs the graph; null for gabion's own encoder
  size_t whole_width = 0;            ///< width before the vector is cut (PoolingOptions::kept)
  /// Of a checkpoint in int8, computed when it was opened; see CheckpointOptions::smooth_scales.
  std::vector<float> smooth_scales{};
};

class Session {
 public:
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  virtual const SessionInfo& info() const noexcept = 0;

  /// Encodes all windows of the tasks, whose ids are in the scratch, and writes their vectors to `task.vectors`. Ends
  /// early when a stop is requested through the scratch. Throws kInferenceFailed, kAborted.
  virtual void Run(std::span<TextTask* const> tasks, Scratch& scratch) const = 0;

  /// How many texts are best run together; 1 where each runs by itself.
  virtual size_t max_batch() const noexcept { return 1; }

 protected:
  Session() = default;
};

struct SessionOptions {
  std::string graph_file;
  /// Name of the output that is read; empty for the first.
  std::string graph_output;
  /// Requested providers, best first: `cpu`, or `cuda:` and the path of its library.
  std::vector<std::string> providers;
  /// Of gabion's own encoder; graphs of standard operators have one of their own.
  kernels::Precision precision = kernels::Precision::kBf16;
  PoolingOptions pooling;
  size_t max_tokens = 0;  ///< special tokens included
};

/// Opens the graph with the first provider that works. Throws kModelNotFound, kModelInvalid, kModelUnsupported (inputs
/// or outputs that are not an encoder's) or kProviderUnavailable (none works). `samples` are the ids of a few texts by
/// which int8 scales its weights.
std::unique_ptr<const Session> OpenSession(const SessionOptions& options, const TokenSamples& samples = {});

}  // namespace gabion
