#include "session.hpp"

#include <filesystem>
#include <system_error>

#include "batch_session.hpp"
#include "encoder_session.hpp"
#include "runtime_session.hpp"

namespace gabion {

const OrtRunOptions* Scratch::RunOptions(const Runtime& runtime) {
  for (Handle& handle : handles_) {
    if (handle.runtime == &runtime) {
      return handle.options.get();
    }
    if (handle.runtime == nullptr) {
      OrtRunOptions* options = nullptr;
      runtime.Check(runtime.api().CreateRunOptions(&options), Code::kInternal, "CreateRunOptions");
      handle.options = OrtOwned<OrtRunOptions>(options, runtime.api().ReleaseRunOptions);
      // Whoever stops from now on finds them; whoever did before is seen by the caller, who looks at stopped() later.
      handle.runtime = &runtime;
      return options;
    }
  }
  throw Error(Code::kInternal, "a third ONNX Runtime");
}

void Scratch::Stop() noexcept {
  stopped_ = true;
  for (const Handle& handle : handles_) {
    if (const Runtime* runtime = handle.runtime) {
      if (OrtStatus* status = runtime->api().RunOptionsSetTerminate(handle.options.get())) {
        runtime->api().ReleaseStatus(status);
      }
    }
  }
}

void Scratch::Rearm() noexcept {
  if (!stopped()) {
    return;
  }
  stopped_ = false;
  for (const Handle& handle : handles_) {
    if (const Runtime* runtime = handle.runtime) {
      if (OrtStatus* status = runtime->api().RunOptionsUnsetTerminate(handle.options.get())) {
        runtime->api().ReleaseStatus(status);
      }
    }
  }
}

void Session::RunTogether(std::span<const std::span<const int64_t>>, const Scratch&, float*) const {
  throw Error(Code::kInternal, "this session runs each text by itself");
}

std::unique_ptr<const Session> OpenSession(const std::string& graph_file, const std::vector<std::string>& providers,
                                           kernels::Precision precision, const TokenSamples& samples, Pooling pooling,
                                           size_t maximum_tokens) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(graph_file, error)) {
    throw Error(Code::kModelNotFound, "graph file " + graph_file + " does not exist");
  }
  if (!providers.empty() && providers.front() == "cpu") {
    if (const auto graph = ReadEncoderGraph(graph_file)) {
      return std::make_unique<const EncoderSession>(graph_file, *graph, precision, samples);
    }
  }
  if (IsBatchGraph(graph_file)) {
    return std::make_unique<const BatchSession>(graph_file, providers, pooling, maximum_tokens);
  }
  return std::make_unique<const RuntimeSession>(graph_file, providers);
}

}  // namespace gabion
