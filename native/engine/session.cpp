#include "session.hpp"

#include <filesystem>
#include <system_error>

#include "cuda_session.hpp"
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
      // A later Stop finds them; an earlier one is seen by the caller, which reads stopped() afterwards.
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

void Scratch::ThrowIfStopped() const {
  if (stopped()) {
    throw Error(Code::kAborted, "the run was stopped");
  }
}

std::unique_ptr<const Session> OpenSession(const SessionOptions& options, const TokenSamples& samples) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(options.graph_file, error)) {
    throw Error(Code::kModelNotFound, "graph file " + options.graph_file + " does not exist");
  }
  if (!options.providers.empty() && options.providers.front() == "cpu") {
    if (const auto graph = ReadEncoderGraph(options.graph_file)) {
      return std::make_unique<const EncoderSession>(options, *graph, samples);
    }
  }
  if (IsBatchGraph(options.graph_file)) {
    return std::make_unique<const CudaSession>(options);
  }
  return std::make_unique<const RuntimeSession>(options);
}

}  // namespace gabion
