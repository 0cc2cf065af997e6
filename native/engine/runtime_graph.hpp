// A graph of ONNX's operators, opened in ONNX Runtime with the first provider that works; what its inputs and its
// output are. How it is run is the sessions' part (RuntimeSession, CudaSession).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cuda_provider.hpp"
#include "runtime.hpp"
#include "session.hpp"

namespace gabion {

class RuntimeGraph {
 public:
  struct Input {
    std::string name;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    std::vector<int64_t> shape{};  ///< -1 for a size that varies
  };

  /// See OpenSession. On a CUDA device all runs go through one stream, so that there may be one at a time only.
  /// `output` is the name of the output that is read; empty for the first.
  RuntimeGraph(const std::string& graph_file, const std::vector<std::string>& providers, const std::string& output);

  /// Throws what a run's failure means, with the provider's own advice.
  void CheckRun(OrtStatus* status) const;

  const Runtime& runtime() const noexcept { return *runtime_; }
  OrtSession* session() const noexcept { return session_.get(); }
  const std::string& provider() const noexcept { return provider_; }
  const std::vector<SkippedProvider>& skipped_providers() const noexcept { return skipped_providers_; }
  /// Where the graph computes; null on a processor.
  const CudaDevice* device() const noexcept { return device_ ? &*device_ : nullptr; }

  const std::vector<Input>& inputs() const noexcept { return inputs_; }
  bool Has(std::string_view input) const noexcept;
  const std::string& output() const noexcept { return output_; }
  size_t output_rank() const noexcept { return output_rank_; }
  size_t width() const noexcept { return width_; }
  /// Whether the output is float16.
  bool halves() const noexcept { return halves_; }

 private:
  void Open(const std::string& graph_file, const std::string& provider);
  void ReadInputs();
  void ReadOutput(const std::string& name);
  size_t IndexOfOutput(const std::string& name, OrtAllocator* allocator) const;

  const Runtime* runtime_ = nullptr;
  // The session computes on the device's stream, so it goes first.
  std::optional<CudaDevice> device_;
  OrtOwned<OrtSession> session_{nullptr, nullptr};
  std::string provider_;
  std::vector<SkippedProvider> skipped_providers_;
  std::vector<Input> inputs_;
  std::string output_;
  size_t output_rank_ = 0;
  size_t width_ = 0;
  bool halves_ = false;
};

}  // namespace gabion
