#include "runtime_graph.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "shared_library.hpp"

namespace gabion {
namespace {

// The fusions below make kernels that are slower, for one short text on one thread, than the graph as it was written.
constexpr const char* kSlowFusions = "SkipLayerNormFusion;BiasSkipLayerNormFusion;EmbedLayerNormFusion";

/// Before the path of a provider's library, in `cuda:/path/to/library.so`.
constexpr std::string_view kCudaPrefix = "cuda:";

std::string ProviderName(const std::string& provider) { return provider.substr(0, provider.find(':')); }

template <typename T>
OrtOwned<T> Own(T* object, void (*release)(T*)) {
  return OrtOwned<T>(object, release);
}

std::string TakeName(const Runtime& runtime, OrtStatus* status, OrtAllocator* allocator, char* name) {
  runtime.Check(status, Code::kModelInvalid, "a name in the graph could not be read");
  std::string copy = name;
  runtime.Check(runtime.api().AllocatorFree(allocator, name), Code::kInternal, "AllocatorFree");
  return copy;
}

}  // namespace

RuntimeGraph::RuntimeGraph(const std::string& graph_file, const std::vector<std::string>& providers,
                           const std::string& output) {
  for (const std::string& provider : providers) {
    try {
      Open(graph_file, provider);
      provider_ = ProviderName(provider);
      break;
    } catch (const Error& failure) {
      if (failure.code() != Code::kProviderUnavailable) {
        throw;
      }
      device_.reset();
      skipped_providers_.push_back({ProviderName(provider), failure.what()});
    }
  }
  if (provider_.empty()) {
    std::string reasons;
    for (const SkippedProvider& skipped : skipped_providers_) {
      reasons += (reasons.empty() ? "" : "; ") + skipped.name + ": " + skipped.reason;
    }
    throw Error(Code::kProviderUnavailable, "no requested execution provider can run here (" + reasons + ")");
  }
  ReadInputs();
  ReadOutput(output);
}

void RuntimeGraph::CheckRun(OrtStatus* status) const {
  try {
    runtime_->Check(status, Code::kInferenceFailed, "the graph failed");
  } catch (const Error& error) {
    throw provider_ == "cuda" ? Error(error.code(), ExplainCuda(error.what())) : error;
  }
}

bool RuntimeGraph::Has(std::string_view input) const noexcept {
  return std::any_of(inputs_.begin(), inputs_.end(), [&](const Input& each) { return each.name == input; });
}

void RuntimeGraph::Open(const std::string& graph_file, const std::string& provider) {
  const bool cuda = ProviderName(provider) == "cuda";
  if (!cuda && provider != "cpu") {
    throw Error(Code::kProviderUnavailable, "there is no execution provider of this name");
  }
  const std::string library = cuda && provider.size() > kCudaPrefix.size() ? provider.substr(kCudaPrefix.size()) : "";
  runtime_ = cuda ? &RuntimeOfCuda(library) : &Runtime::Get();
  const OrtApi& api = runtime_->api();
  OrtSessionOptions* raw = nullptr;
  runtime_->Check(api.CreateSessionOptions(&raw), Code::kInternal, "CreateSessionOptions");
  const auto options = Own(raw, api.ReleaseSessionOptions);

  // One thread a text: parallelism comes from running texts side by side, which keeps each one's bits the same.
  runtime_->Check(api.SetIntraOpNumThreads(raw, 1), Code::kInternal, "SetIntraOpNumThreads");
  runtime_->Check(api.SetInterOpNumThreads(raw, 1), Code::kInternal, "SetInterOpNumThreads");
  runtime_->Check(api.SetSessionExecutionMode(raw, ORT_SEQUENTIAL), Code::kInternal, "SetSessionExecutionMode");
  runtime_->Check(api.SetSessionGraphOptimizationLevel(raw, ORT_ENABLE_ALL), Code::kInternal, "optimization level");
  // A memory pattern is kept for every input shape ever seen, and every length is a shape: it would grow without use.
  runtime_->Check(api.DisableMemPattern(raw), Code::kInternal, "DisableMemPattern");

  if (cuda) {
    device_.emplace(*runtime_, library);
    device_->Append(raw);
  } else {
    runtime_->Check(api.AddSessionConfigEntry(raw, "optimization.disable_specified_optimizers", kSlowFusions),
                    Code::kInternal, "AddSessionConfigEntry");
  }

  OrtSession* session = nullptr;
  try {
    runtime_->Check(api.CreateSession(runtime_->environment(), NativePath(graph_file).c_str(), raw, &session),
                    Code::kModelInvalid, "graph " + graph_file + " cannot be opened");
  } catch (const Error& error) {
    if (!cuda || !TellsOfCuda(error.what())) {
      throw;
    }
    throw Error(Code::kProviderUnavailable, ExplainCuda(error.what()));
  }
  session_ = Own(session, api.ReleaseSession);
}

void RuntimeGraph::ReadInputs() {
  // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): whoever has a provider's name has its runtime.
  const OrtApi& api = runtime_->api();
  OrtAllocator* allocator = nullptr;
  runtime_->Check(api.GetAllocatorWithDefaultOptions(&allocator), Code::kInternal, "GetAllocatorWithDefaultOptions");
  size_t count = 0;
  runtime_->Check(api.SessionGetInputCount(session_.get(), &count), Code::kModelInvalid, "inputs");
  for (size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    OrtStatus* status = api.SessionGetInputName(session_.get(), i, allocator, &name);
    Input input{TakeName(*runtime_, status, allocator, name)};
    OrtTypeInfo* type = nullptr;
    runtime_->Check(api.SessionGetInputTypeInfo(session_.get(), i, &type), Code::kModelInvalid, "input " + input.name);
    const auto owned_type = Own(type, api.ReleaseTypeInfo);
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    runtime_->Check(api.CastTypeInfoToTensorInfo(type, &tensor), Code::kModelInvalid, "input " + input.name);
    if (tensor != nullptr) {
      runtime_->Check(api.GetTensorElementType(tensor, &input.type), Code::kModelInvalid, "input " + input.name);
      size_t rank = 0;
      runtime_->Check(api.GetDimensionsCount(tensor, &rank), Code::kModelInvalid, "input " + input.name);
      input.shape.resize(rank, -1);
      runtime_->Check(api.GetDimensions(tensor, input.shape.data(), rank), Code::kModelInvalid, "input " + input.name);
    }
    inputs_.push_back(std::move(input));
  }
}

size_t RuntimeGraph::IndexOfOutput(const std::string& name, OrtAllocator* allocator) const {
  const OrtApi& api = runtime_->api();
  size_t count = 0;
  runtime_->Check(api.SessionGetOutputCount(session_.get(), &count), Code::kModelInvalid, "outputs");
  for (size_t i = 0; i < count; ++i) {
    char* each = nullptr;
    OrtStatus* status = api.SessionGetOutputName(session_.get(), i, allocator, &each);
    if (TakeName(*runtime_, status, allocator, each) == name) {
      return i;
    }
  }
  throw Error(Code::kModelInvalid, "the graph has no output '" + name + "'");
}

void RuntimeGraph::ReadOutput(const std::string& wanted) {
  const OrtApi& api = runtime_->api();
  OrtAllocator* allocator = nullptr;
  runtime_->Check(api.GetAllocatorWithDefaultOptions(&allocator), Code::kInternal, "GetAllocatorWithDefaultOptions");
  const size_t index = wanted.empty() ? 0 : IndexOfOutput(wanted, allocator);
  char* name = nullptr;
  OrtStatus* status = api.SessionGetOutputName(session_.get(), index, allocator, &name);
  output_ = TakeName(*runtime_, status, allocator, name);

  OrtTypeInfo* type = nullptr;
  runtime_->Check(api.SessionGetOutputTypeInfo(session_.get(), index, &type), Code::kModelInvalid, "output");
  const auto owned_type = Own(type, api.ReleaseTypeInfo);
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  runtime_->Check(api.CastTypeInfoToTensorInfo(type, &tensor), Code::kModelInvalid, "output");
  ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::array<int64_t, 3> shape{-1, -1, -1};
  if (tensor != nullptr) {
    runtime_->Check(api.GetTensorElementType(tensor, &element), Code::kModelInvalid, "output");
    runtime_->Check(api.GetDimensionsCount(tensor, &output_rank_), Code::kModelInvalid, "output");
    if (output_rank_ >= 2 && output_rank_ <= shape.size()) {
      runtime_->Check(api.GetDimensions(tensor, shape.data(), output_rank_), Code::kModelInvalid, "output");
    }
  }
  halves_ = element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
  const bool fits = (halves_ || element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) &&
                    (output_rank_ == 2 || output_rank_ == 3) && shape[output_rank_ - 1] > 0;
  if (!fits) {
    throw Error(Code::kModelUnsupported, "the graph's output '" + output_ +
                                             "' must be float or float16 [1, tokens, width] or [1, width] with a "
                                             "fixed width");
  }
  width_ = static_cast<size_t>(shape[output_rank_ - 1]);
}

}  // namespace gabion
