// A graph of ONNX's operators that takes one text at its own length, run in ONNX Runtime.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "runtime_graph.hpp"
#include "session.hpp"

namespace gabion {

class RuntimeSession final : public Session {
 public:
  /// See OpenSession.
  RuntimeSession(const std::string& graph_file, const std::vector<std::string>& providers);

  void Run(size_t tokens, Scratch& scratch) const override;
  const Runtime* runtime() const noexcept override { return &graph_.runtime(); }

 private:
  enum class InputKind { kIds, kMask, kTypes };

  RuntimeGraph graph_;
  OrtOwned<OrtMemoryInfo> memory_;
  std::vector<InputKind> inputs_;
  mutable std::mutex device_mutex_;
};

}  // namespace gabion
