// A graph of ONNX's operators as a session of ONNX Runtime, on a processor or a graphics card.
#pragma once

#include <string>
#include <vector>

#include "session.hpp"

namespace gabion {

class RuntimeSession final : public Session {
 public:
  /// See OpenSession.
  RuntimeSession(const std::string& graph_file, const std::vector<std::string>& providers);

  void Run(size_t tokens, Scratch& scratch) const override;

 private:
  enum class InputKind { kIds, kMask, kTypes };

  void Open(const std::string& graph_file, const std::string& provider);
  void ReadInputs();
  /// Reads what the first output is and describes the session by it.
  void ReadOutput(const std::string& provider);

  const Runtime& runtime_;
  OrtOwned<OrtSession> session_;
  OrtOwned<OrtMemoryInfo> memory_;
  std::vector<InputKind> inputs_;
  std::vector<std::string> input_names_;
  std::string output_name_;
};

}  // namespace gabion
