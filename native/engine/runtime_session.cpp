#include "runtime_session.hpp"

#include <array>
#include <string_view>
#include <utility>

#include "cuda_provider.hpp"
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

RuntimeSession::RuntimeSession(const std::string& graph_file, const std::vector<std::string>& providers)
    : runtime_(Runtime::Get()),
      session_(nullptr, runtime_.api().ReleaseSession),
      memory_(nullptr, runtime_.api().ReleaseMemoryInfo) {
  OrtMemoryInfo* memory = nullptr;
  runtime_.Check(runtime_.api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory), Code::kInternal,
                 "CreateCpuMemoryInfo");
  memory_.reset(memory);

  std::string used;
  for (const std::string& provider : providers) {
    try {
      Open(graph_file, provider);
      used = ProviderName(provider);
      break;
    } catch (const Error& failure) {
      if (failure.code() != Code::kProviderUnavailable) {
        throw;
      }
      PassOver(ProviderName(provider), failure.what());
    }
  }
  if (used.empty()) {
    std::string reasons;
    for (const ProviderPassedOver& passed : passed_over()) {
      reasons += (reasons.empty() ? "" : "; ") + passed.name + ": " + passed.reason;
    }
    throw Error(Code::kProviderUnavailable, "no wished execution provider can run here (" + reasons + ")");
  }
  ReadInputs();
  ReadOutput(used);
}

void RuntimeSession::Open(const std::string& graph_file, const std::string& provider) {
  const OrtApi& api = runtime_.api();
  OrtSessionOptions* raw = nullptr;
  runtime_.Check(api.CreateSessionOptions(&raw), Code::kInternal, "CreateSessionOptions");
  const auto options = Own(raw, api.ReleaseSessionOptions);

  // One thread a text: parallelism comes from running texts side by side, which keeps each one's bits the same.
  runtime_.Check(api.SetIntraOpNumThreads(raw, 1), Code::kInternal, "SetIntraOpNumThreads");
  runtime_.Check(api.SetInterOpNumThreads(raw, 1), Code::kInternal, "SetInterOpNumThreads");
  runtime_.Check(api.SetSessionExecutionMode(raw, ORT_SEQUENTIAL), Code::kInternal, "SetSessionExecutionMode");
  runtime_.Check(api.SetSessionGraphOptimizationLevel(raw, ORT_ENABLE_ALL), Code::kInternal, "optimization level");
  // A memory pattern is kept for every input shape ever seen, and every length is a shape: it would grow without use.
  runtime_.Check(api.DisableMemPattern(raw), Code::kInternal, "DisableMemPattern");
  runtime_.Check(api.AddSessionConfigEntry(raw, "optimization.disable_specified_optimizers", kSlowFusions),
                 Code::kInternal, "AddSessionConfigEntry");

  const bool cuda = ProviderName(provider) == "cuda";
  if (cuda) {
    AppendCuda(runtime_, raw, provider.size() > kCudaPrefix.size() ? provider.substr(kCudaPrefix.size()) : "");
  } else if (provider != "cpu") {
    throw Error(Code::kProviderUnavailable, "there is no execution provider of this name");
  }

  OrtSession* session = nullptr;
  try {
    runtime_.Check(api.CreateSession(runtime_.environment(), NativePath(graph_file).c_str(), raw, &session),
                   Code::kModelInvalid, "graph " + graph_file + " cannot be opened");
  } catch (const Error& error) {
    if (!cuda || !TellsOfCuda(error.what())) {
      throw;
    }
    throw Error(Code::kProviderUnavailable, ExplainCuda(error.what()));
  }
  session_.reset(session);
}

void RuntimeSession::ReadInputs() {
  const OrtApi& api = runtime_.api();
  OrtAllocator* allocator = nullptr;
  runtime_.Check(api.GetAllocatorWithDefaultOptions(&allocator), Code::kInternal, "GetAllocatorWithDefaultOptions");
  size_t count = 0;
  runtime_.Check(api.SessionGetInputCount(session_.get(), &count), Code::kModelInvalid, "inputs");
  bool has_ids = false;
  for (size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    OrtStatus* status = api.SessionGetInputName(session_.get(), i, allocator, &name);
    const std::string input = TakeName(runtime_, status, allocator, name);
    if (input == "input_ids") {
      inputs_.push_back(InputKind::kIds);
      has_ids = true;
    } else if (input == "attention_mask") {
      inputs_.push_back(InputKind::kMask);
    } else if (input == "token_type_ids") {
      inputs_.push_back(InputKind::kTypes);
    } else {
      throw Error(Code::kModelUnsupported, "the graph asks for an input '" + input +
                                               "'; known inputs are input_ids, attention_mask and token_type_ids");
    }
    OrtTypeInfo* type = nullptr;
    runtime_.Check(api.SessionGetInputTypeInfo(session_.get(), i, &type), Code::kModelInvalid, "input " + input);
    const auto owned_type = Own(type, api.ReleaseTypeInfo);
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    runtime_.Check(api.CastTypeInfoToTensorInfo(type, &tensor), Code::kModelInvalid, "input " + input);
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    if (tensor != nullptr) {
      runtime_.Check(api.GetTensorElementType(tensor, &element), Code::kModelInvalid, "input " + input);
    }
    if (element != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) {
      throw Error(Code::kModelUnsupported, "the graph's input '" + input + "' must be an int64 tensor");
    }
    input_names_.push_back(input);
  }
  if (!has_ids) {
    throw Error(Code::kModelUnsupported, "the graph has no input 'input_ids'");
  }
}

void RuntimeSession::ReadOutput(const std::string& provider) {
  const OrtApi& api = runtime_.api();
  OrtAllocator* allocator = nullptr;
  runtime_.Check(api.GetAllocatorWithDefaultOptions(&allocator), Code::kInternal, "GetAllocatorWithDefaultOptions");
  char* name = nullptr;
  OrtStatus* status = api.SessionGetOutputName(session_.get(), 0, allocator, &name);
  output_name_ = TakeName(runtime_, status, allocator, name);

  OrtTypeInfo* type = nullptr;
  runtime_.Check(api.SessionGetOutputTypeInfo(session_.get(), 0, &type), Code::kModelInvalid, "output");
  const auto owned_type = Own(type, api.ReleaseTypeInfo);
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  runtime_.Check(api.CastTypeInfoToTensorInfo(type, &tensor), Code::kModelInvalid, "output");
  ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::array<int64_t, 3> shape{-1, -1, -1};
  size_t rank = 0;
  if (tensor != nullptr) {
    runtime_.Check(api.GetTensorElementType(tensor, &element), Code::kModelInvalid, "output");
    runtime_.Check(api.GetDimensionsCount(tensor, &rank), Code::kModelInvalid, "output");
    if (rank >= 2 && rank <= shape.size()) {
      runtime_.Check(api.GetDimensions(tensor, shape.data(), rank), Code::kModelInvalid, "output");
    }
  }
  const bool fits = element == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && (rank == 2 || rank == 3) && shape[rank - 1] > 0;
  if (!fits) {
    throw Error(Code::kModelUnsupported, "the graph's first output '" + output_name_ +
                                             "' must be float [1, tokens, width] or [1, width] with a fixed width");
  }
  Describe(provider, rank == 2, static_cast<size_t>(shape[rank - 1]));
}

void RuntimeSession::Run(size_t tokens, Scratch& scratch) const {
  const OrtApi& api = runtime_.api();
  const OrtRunOptions* options = scratch.RunOptions(runtime_);
  if (scratch.stopped()) {  // while the text was tokenized
    throw Error(Code::kAborted, "the run was stopped");
  }
  if (scratch.ones.size() < tokens) {
    scratch.ones.resize(tokens, 1);
    scratch.zeros.resize(tokens, 0);
  }
  const size_t values = (pools() ? 1 : tokens) * width();
  if (scratch.hidden.size() < values) {
    scratch.hidden.resize(values);
  }

  std::array<OrtOwned<OrtValue>, 4> owned{
      OrtOwned<OrtValue>(nullptr, api.ReleaseValue), OrtOwned<OrtValue>(nullptr, api.ReleaseValue),
      OrtOwned<OrtValue>(nullptr, api.ReleaseValue), OrtOwned<OrtValue>(nullptr, api.ReleaseValue)};
  std::array<const char*, 3> names{};
  std::array<const OrtValue*, 3> values_in{};
  const std::array<int64_t, 2> input_shape{1, static_cast<int64_t>(tokens)};
  for (size_t i = 0; i < inputs_.size(); ++i) {
    std::vector<int64_t>& source = inputs_[i] == InputKind::kIds    ? scratch.ids
                                   : inputs_[i] == InputKind::kMask ? scratch.ones
                                                                    : scratch.zeros;
    OrtValue* value = nullptr;
    runtime_.Check(
        api.CreateTensorWithDataAsOrtValue(memory_.get(), source.data(), tokens * sizeof(int64_t), input_shape.data(),
                                           input_shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &value),
        Code::kInferenceFailed, "input tensor");
    owned[i].reset(value);
    values_in[i] = value;
    names[i] = input_names_[i].c_str();
  }
  const std::array<int64_t, 3> output_shape{1, static_cast<int64_t>(pools() ? width() : tokens),
                                            static_cast<int64_t>(width())};
  OrtValue* output = nullptr;
  runtime_.Check(api.CreateTensorWithDataAsOrtValue(memory_.get(), scratch.hidden.data(), values * sizeof(float),
                                                    output_shape.data(), pools() ? 2 : 3,
                                                    ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &output),
                 Code::kInferenceFailed, "output tensor");
  owned[3].reset(output);
  const char* output_name = output_name_.c_str();
  try {
    runtime_.Check(
        api.Run(session_.get(), options, names.data(), values_in.data(), inputs_.size(), &output_name, 1, &output),
        Code::kInferenceFailed, "the graph failed");
  } catch (const Error& error) {
    throw provider() == "cuda" ? Error(error.code(), ExplainCuda(error.what())) : error;
  }
}

}  // namespace gabion
