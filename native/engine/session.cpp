#include "session.hpp"

#include <filesystem>
#include <system_error>

#include "encoder_session.hpp"
#include "runtime_session.hpp"

namespace gabion {

Scratch::Scratch()
    : options_(nullptr, [](OrtRunOptions* options) { Runtime::Get().api().ReleaseRunOptions(options); }) {}

const OrtRunOptions* Scratch::RunOptions(const Runtime& runtime) {
  if (options_ == nullptr) {
    OrtRunOptions* options = nullptr;
    runtime.Check(runtime.api().CreateRunOptions(&options), Code::kInternal, "CreateRunOptions");
    options_.reset(options);
    // Whoever stops from now on finds them; whoever did before is seen by the caller, who looks at stopped() later.
    runtime_ = &runtime;
  }
  return options_.get();
}

void Scratch::Stop() noexcept {
  stopped_ = true;
  if (const Runtime* runtime = runtime_) {
    if (OrtStatus* status = runtime->api().RunOptionsSetTerminate(options_.get())) {
      runtime->api().ReleaseStatus(status);
    }
  }
}

void Scratch::Rearm() noexcept {
  if (!stopped()) {
    return;
  }
  stopped_ = false;
  if (const Runtime* runtime = runtime_) {
    if (OrtStatus* status = runtime->api().RunOptionsUnsetTerminate(options_.get())) {
      runtime->api().ReleaseStatus(status);
    }
  }
}

std::unique_ptr<const Session> OpenSession(const std::string& graph_file, const std::vector<std::string>& providers,
                                           kernels::Precision precision, const TokenSamples& samples) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(graph_file, error)) {
    throw Error(Code::kModelNotFound, "graph file " + graph_file + " does not exist");
  }
  if (!providers.empty() && providers.front() == "cpu") {
    if (const auto graph = ReadEncoderGraph(graph_file)) {
      return std::make_unique<const EncoderSession>(graph_file, *graph, precision, samples);
    }
  }
  return std::make_unique<const RuntimeSession>(graph_file, providers);
}

}  // namespace gabion
