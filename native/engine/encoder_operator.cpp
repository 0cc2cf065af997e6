#include "encoder_operator.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "file_pages.hpp"
#include "pooling.hpp"
#include "status.hpp"

namespace gabion {
namespace {

thread_local EncoderLoan* current_loan = nullptr;

constexpr size_t kFirstLayerInput = 5;
constexpr size_t kInputsOfLayer = 12;
constexpr std::array<std::string_view, 4> kArchitectures{"bert", "mpnet", "roberta", "xlm-roberta"};

/// Turns an OrtStatus into an exception, which the callbacks turn back at the border.
class Caller {
 public:
  explicit Caller(const OrtApi& api) : api_(api) {}
  void Check(OrtStatus* status) const {
    if (status == nullptr) {
      return;
    }
    const std::string message = api_.GetErrorMessage(status);
    api_.ReleaseStatus(status);
    throw std::runtime_error(message);
  }
  const OrtApi& api() const noexcept { return api_; }

 private:
  const OrtApi& api_;
};

template <typename Body>
OrtStatus* Guarded(const OrtApi& api, const Body& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const std::exception& error) {
    return api.CreateStatus(ORT_FAIL, error.what());
  } catch (...) {
    return api.CreateStatus(ORT_FAIL, "an unknown failure");
  }
}

/// Reads the node's attributes and weights and checks them.
class NodeReader : public Caller {
 public:
  NodeReader(const OrtApi& api, const OrtKernelInfo* info) : Caller(api), info_(info) {}

  size_t Size(const char* name) const {
    int64_t value = 0;
    Check(api().KernelInfoGetAttribute_int64(info_, name, &value));
    if (value < 0 || value > 1'000'000) {
      throw std::runtime_error(std::string("attribute ") + name + " is out of range");
    }
    return static_cast<size_t>(value);
  }
  /// -1 where there is no such attribute.
  int64_t Optional(const char* name) const {
    int64_t value = 0;
    OrtStatus* status = api().KernelInfoGetAttribute_int64(info_, name, &value);
    if (status != nullptr) {
      api().ReleaseStatus(status);
      return -1;
    }
    if (value < 0 || value > 1'000'000) {
      throw std::runtime_error(std::string("attribute ") + name + " is out of range");
    }
    return value;
  }
  float Float(const char* name) const {
    float value = 0;
    Check(api().KernelInfoGetAttribute_float(info_, name, &value));
    return value;
  }
  std::string Text(const char* name) const {
    size_t size = 0;
    Check(api().KernelInfoGetAttribute_string(info_, name, nullptr, &size));
    std::string value(size, '\0');
    Check(api().KernelInfoGetAttribute_string(info_, name, value.data(), &size));
    value.resize(size > 0 ? size - 1 : 0);  // the size counts the final zero
    return value;
  }
  size_t InputCount() const {
    size_t count = 0;
    Check(api().KernelInfo_GetInputCount(info_, &count));
    return count;
  }

  /// A weight of the given shape; a shape's 0 takes any size and reports it through `open_size`.
  kernels::StoredMatrix Weight(size_t input, std::initializer_list<size_t> shape, size_t* open_size = nullptr) const {
    int is_constant = 0;
    const OrtValue* value = nullptr;
    Check(api().KernelInfoGetConstantInput_tensor(info_, input, &is_constant, &value));
    if (is_constant == 0 || value == nullptr) {
      throw std::runtime_error("input " + std::to_string(input) + " must be a constant");
    }
    OrtTensorTypeAndShapeInfo* raw = nullptr;
    Check(api().GetTensorTypeAndShape(value, &raw));
    const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> type(
        raw, api().ReleaseTensorTypeAndShapeInfo);
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    size_t rank = 0;
    Check(api().GetTensorElementType(raw, &element));
    Check(api().GetDimensionsCount(raw, &rank));
    std::array<int64_t, 2> sizes{};
    bool fits = rank == shape.size() && rank <= sizes.size();
    if (fits) {
      Check(api().GetDimensions(raw, sizes.data(), rank));
      size_t axis = 0;
      for (const size_t expected : shape) {
        const auto size = static_cast<size_t>(sizes.at(axis++));
        if (expected == 0) {
          *open_size = size;
        } else {
          fits = fits && size == expected;
        }
      }
    }
    const bool narrow = element == ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
    if (!fits || (!narrow && element != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)) {
      throw std::runtime_error("input " + std::to_string(input) +
                               " has not the shape or type that the attributes ask for");
    }
    const void* data = nullptr;
    Check(api().GetTensorData(value, &data));
    return {data, narrow};
  }
  const float* Floats(size_t input, std::initializer_list<size_t> shape, size_t* open_size = nullptr) const {
    const kernels::StoredMatrix weight = Weight(input, shape, open_size);
    if (weight.bfloat16) {
      throw std::runtime_error("input " + std::to_string(input) + " must be float");
    }
    return static_cast<const float*>(weight.values);
  }

 private:
  const OrtKernelInfo* info_;
};

Pooling PoolingOf(const std::string& name) {
  if (name == "mean") return Pooling::kMean;
  if (name == "cls") return Pooling::kCls;
  if (name == "max") return Pooling::kMax;
  if (name == "mean_sqrt_len_tokens") return Pooling::kMeanSqrtLength;
  if (name == "lasttoken") return Pooling::kLastToken;
  throw std::runtime_error("there is no pooling mode '" + name + "'");
}

/// The node: one model's packed weights.
class EncoderKernel {
 public:
  EncoderKernel(const OrtApi& api, const OrtKernelInfo* info, const EncoderOperator& op) : caller_(api) {
    if (op.variant() == nullptr) {
      throw std::runtime_error("this processor has none of the instruction sets that the encoder is built for");
    }
    const NodeReader node(api, info);
    const std::string architecture = node.Text("architecture");
    if (std::find(kArchitectures.begin(), kArchitectures.end(), architecture) == kArchitectures.end() ||
        node.Text("activation") != "gelu") {
      throw std::runtime_error("architecture '" + architecture + "' with activation '" + node.Text("activation") +
                               "' is not built in");
    }
    const kernels::EncoderShape shape{node.Size("layers"), node.Size("heads"), node.Size("hidden"),
                                      node.Size("intermediate"), node.Float("epsilon")};
    pooling_ = PoolingOf(node.Text("pooling"));
    normalize_ = node.Size("normalize") != 0;
    hidden_ = shape.hidden;
    const size_t without_biases = kFirstLayerInput + kInputsOfLayer * shape.layers;
    if (node.InputCount() != without_biases && node.InputCount() != without_biases + 1) {
      throw std::runtime_error("the number of inputs does not belong to the number of layers");
    }
    const kernels::StoredEncoder stored = ReadWeights(node, shape);
    encoder_ = std::make_unique<kernels::Encoder>(shape, stored, op.precision(), *op.variant(), Usable(op.samples()));
    HandBackLinears(stored, shape);
    op.set_used();
  }

  void Compute(OrtKernelContext* context) const {
    const OrtApi& api = caller_.api();
    const OrtValue* input = nullptr;
    caller_.Check(api.KernelContext_GetInput(context, 0, &input));
    OrtTensorTypeAndShapeInfo* type = nullptr;
    size_t tokens = 0;
    caller_.Check(api.GetTensorTypeAndShape(input, &type));
    OrtStatus* counted = api.GetTensorShapeElementCount(type, &tokens);
    api.ReleaseTensorTypeAndShapeInfo(type);
    caller_.Check(counted);
    const void* data = nullptr;
    caller_.Check(api.GetTensorData(input, &data));
    const auto* ids = static_cast<const int64_t*>(data);
    if (tokens == 0 || tokens > positions_) {
      throw std::runtime_error("a text of " + std::to_string(tokens) + " tokens; the model takes 1 to " +
                               std::to_string(positions_));
    }
    for (size_t i = 0; i < tokens; ++i) {
      if (ids[i] < 0 || static_cast<uint64_t>(ids[i]) >= vocabulary_) {
        throw std::runtime_error("token id " + std::to_string(ids[i]) + " is beyond the model's vocabulary");
      }
    }
    const std::array<int64_t, 2> shape{1, static_cast<int64_t>(hidden_)};
    OrtValue* output = nullptr;
    caller_.Check(api.KernelContext_GetOutput(context, 0, shape.data(), shape.size(), &output));
    void* result = nullptr;
    caller_.Check(api.GetTensorMutableData(output, &result));

    if (current_loan != nullptr) {
      Encode(ids, tokens, *current_loan, static_cast<float*>(result));
    } else {
      EncoderLoan own;
      Encode(ids, tokens, own, static_cast<float*>(result));
    }
  }

 private:
  kernels::StoredEncoder ReadWeights(const NodeReader& node, const kernels::EncoderShape& shape) {
    const size_t hidden = shape.hidden;
    const size_t wide = shape.intermediate;
    kernels::StoredEncoder stored;
    stored.words = node.Weight(1, {0, hidden}, &vocabulary_);
    stored.positions = node.Floats(2, {0, hidden}, &positions_);
    stored.norm = {node.Floats(3, {hidden}), node.Floats(4, {hidden})};
    for (size_t layer = 0; layer < shape.layers; ++layer) {
      size_t input = kFirstLayerInput + layer * kInputsOfLayer;
      const auto linear = [&](size_t inputs, size_t outputs) {
        const kernels::StoredLinear of{node.Weight(input, {inputs, outputs}), node.Floats(input + 1, {outputs})};
        input += 2;
        return of;
      };
      const auto norm = [&] {
        const kernels::StoredNorm of{node.Floats(input, {hidden}), node.Floats(input + 1, {hidden})};
        input += 2;
        return of;
      };
      kernels::StoredLayer& to = stored.layers.emplace_back();
      to.qkv = linear(hidden, 3 * hidden);
      to.output = linear(hidden, hidden);
      to.attention_norm = norm();
      to.up = linear(hidden, wide);
      to.down = linear(wide, hidden);
      to.feed_forward_norm = norm();
    }
    stored.padding_id = node.Optional("padding_id");
    if (stored.padding_id >= 0) {
      // The rows up to the padding's are for no ordinary token.
      const auto skipped = static_cast<size_t>(stored.padding_id) + 1;
      if (positions_ <= skipped) {
        throw std::runtime_error("there are no positions behind that of the padding");
      }
      positions_ -= skipped;
    }
    const size_t last = kFirstLayerInput + shape.layers * kInputsOfLayer;
    if (node.InputCount() > last) {
      size_t distances = 0;
      stored.distance_biases = node.Floats(last, {0, shape.heads}, &distances);
      stored.longest = (distances + 1) / 2;
      if (distances % 2 == 0 || stored.longest < positions_) {
        throw std::runtime_error("the biases by distance do not reach over the longest text");
      }
    }
    return stored;
  }

  /// The samples that this model's tables can take.
  TokenSamples Usable(const TokenSamples& samples) const {
    TokenSamples usable;
    for (const std::vector<int64_t>& ids : samples) {
      const bool known = std::all_of(ids.begin(), ids.end(),
                                     [&](int64_t id) { return id >= 0 && static_cast<uint64_t>(id) < vocabulary_; });
      if (known && !ids.empty() && ids.size() <= positions_) {
        usable.push_back(ids);
      }
    }
    return usable;
  }

  /// The copied weights stay mapped from their file, but need no memory of this process.
  static void HandBackLinears(const kernels::StoredEncoder& stored, const kernels::EncoderShape& shape) {
    const size_t width = stored.layers[0].qkv.weight.bfloat16 ? 2 : 4;
    std::vector<MemoryRange> copied;
    for (const kernels::StoredLayer& layer : stored.layers) {
      copied.push_back({layer.qkv.weight.values, shape.hidden * 3 * shape.hidden * width});
      copied.push_back({layer.output.weight.values, shape.hidden * shape.hidden * width});
      copied.push_back({layer.up.weight.values, shape.hidden * shape.intermediate * width});
      copied.push_back({layer.down.weight.values, shape.hidden * shape.intermediate * width});
    }
    ReleaseFilePages(copied);
  }

  void Encode(const int64_t* ids, size_t tokens, EncoderLoan& loan, float* result) const {
    static const std::atomic<bool> never{false};
    if (loan.hidden.size() < tokens * hidden_) {
      loan.hidden.resize(tokens * hidden_);
    }
    if (!encoder_->Run(ids, tokens, loan.workspace, loan.stop == nullptr ? never : *loan.stop, loan.hidden.data())) {
      throw std::runtime_error("the run was stopped");
    }
    Pool(pooling_, loan.hidden.data(), tokens, hidden_, result);
    if (normalize_) {
      NormalizeL2(result, hidden_);
    }
    for (size_t i = 0; i < hidden_; ++i) {
      if (!std::isfinite(result[i])) {
        throw std::runtime_error("the text's vector is not finite");
      }
    }
  }

  Caller caller_;
  Pooling pooling_ = Pooling::kMean;
  bool normalize_ = true;
  size_t hidden_ = 0;
  size_t vocabulary_ = 0;
  size_t positions_ = 0;
  std::unique_ptr<kernels::Encoder> encoder_;
};

const EncoderOperator& Self(const OrtCustomOp* op) { return *static_cast<const EncoderOperator*>(op); }

/// The runtime hands its API to CreateKernelV2 only; a kernel keeps it for its computations.
struct KernelWithApi {
  const OrtApi* api;
  EncoderKernel kernel;
};

OrtStatus* MakeKernel(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info, void** kernel) {
  return Guarded(*api, [&] { *kernel = new KernelWithApi{api, EncoderKernel(*api, info, Self(op))}; });
}

OrtStatus* RunKernel(void* kernel, OrtKernelContext* context) {
  const auto& with_api = *static_cast<const KernelWithApi*>(kernel);
  return Guarded(*with_api.api, [&] { with_api.kernel.Compute(context); });
}

void DropKernel(void* kernel) { delete static_cast<KernelWithApi*>(kernel); }

}  // namespace

const kernels::Variant* EncoderVariant() {
  try {
    return kernels::ChosenVariant();
  } catch (const std::invalid_argument& error) {
    throw Error(Code::kInvalidArgument, error.what());
  }
}

EncoderLoanScope::EncoderLoanScope(EncoderLoan& loan) noexcept { current_loan = &loan; }
EncoderLoanScope::~EncoderLoanScope() { current_loan = nullptr; }

EncoderOperator::EncoderOperator(kernels::Precision precision, const kernels::Variant* variant, TokenSamples samples)
    : OrtCustomOp{}, precision_(precision), variant_(variant), samples_(std::move(samples)) {
  version = ORT_API_VERSION;
  GetName = [](const OrtCustomOp*) { return "Encoder"; };
  GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  // One variadic input takes ids and weights alike; their types and shapes are checked when the kernel is made.
  GetInputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  GetInputType = [](const OrtCustomOp*, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED; };
  GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_VARIADIC; };
  GetInputMemoryType = [](const OrtCustomOp*, size_t) { return OrtMemTypeDefault; };
  GetVariadicInputMinArity = [](const OrtCustomOp*) { return static_cast<int>(kFirstLayerInput + kInputsOfLayer); };
  GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 0; };
  GetOutputTypeCount = [](const OrtCustomOp*) -> size_t { return 1; };
  GetOutputType = [](const OrtCustomOp*, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
  GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return INPUT_OUTPUT_REQUIRED; };
  GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
  GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 1; };
  GetStartVersion = [](const OrtCustomOp*) { return 1; };
  GetEndVersion = [](const OrtCustomOp*) { return 1; };
  CreateKernelV2 = MakeKernel;
  KernelComputeV2 = RunKernel;
  KernelDestroy = DropKernel;
}

}  // namespace gabion
