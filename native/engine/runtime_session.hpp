// A graph of ONNX's operators that takes one text at its own length, run in ONNX Runtime.
#pragma once

#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "runtime_graph.hpp"
#include "session.hpp"

namespace gabion {

class RuntimeSession final : public Session {
 public:
  /// See OpenSession.
  explicit RuntimeSession(const SessionOptions& options);

  const SessionInfo& info() const noexcept override { return info_; }
  void Run(std::span<TextTask* const> tasks, Scratch& scratch) const override;

 private:
  enum class InputKind { kIds, kMask, kTypes };

  /// Encodes one window, of which the first `skipped` tokens are not pooled.
  void Encode(std::span<int64_t> ids, size_t skipped, Scratch& scratch, float* vector) const;
  static void RequireVaryingLength(const RuntimeGraph::Input& input);
  /// A graph with a pooling head gives [1, width] instead of [1, tokens, width].
  bool pools() const noexcept { return graph_.output_rank() == 2; }

  const PoolingOptions pooling_;
  RuntimeGraph graph_;
  SessionInfo info_;
  OrtOwned<OrtMemoryInfo> memory_;
  std::vector<InputKind> inputs_;
  mutable std::mutex device_mutex_;
};

}  // namespace gabion
