#include "encoder_session.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <stdexcept>
#include <string_view>

#include "pooled_run.hpp"
#include "status.hpp"

namespace gabion {
namespace {

constexpr size_t kFirstLayerWeight = 4;
constexpr size_t kWeightsOfLayer = 12;
constexpr int64_t kMaxSize = 1'000'000;
constexpr std::array<std::string_view, 4> kArchitectures{"bert", "mpnet", "roberta", "xlm-roberta"};

/// The value of an attribute that must be there.
template <typename Value>
Value Required(const std::map<std::string, Value>& attributes, const char* name) {
  const auto found = attributes.find(name);
  if (found == attributes.end()) {
    throw std::invalid_argument(std::string("there is no attribute ") + name);
  }
  return found->second;
}

int64_t SizeWithin(const char* name, int64_t value) {
  if (value < 0 || value > kMaxSize) {
    throw std::invalid_argument(std::string("attribute ") + name + " is out of range");
  }
  return value;
}

size_t SizeOf(const EncoderGraph& graph, const char* name) {
  const int64_t value = SizeWithin(name, Required(graph.integers, name));
  if (value == 0) {
    throw std::invalid_argument(std::string("attribute ") + name + " is 0");
  }
  return static_cast<size_t>(value);
}

#if defined(_WIN32)
constexpr const char* kSeparators = "/\\:";
#else
constexpr const char* kSeparators = "/";
#endif

/// The folder of a file with a trailing separator; empty without one.
std::string FolderOf(const std::string& file) { return file.substr(0, file.find_last_of(kSeparators) + 1); }

/// The one file of all weights.
std::string WeightsFile(const std::string& graph_file, const EncoderGraph& graph) {
  if (graph.weights.empty()) {
    throw std::invalid_argument("it has no weights");
  }
  const std::string& name = graph.weights.front().location;
  const bool same = std::all_of(graph.weights.begin(), graph.weights.end(),
                                [&](const GraphTensor& tensor) { return tensor.location == name; });
  if (!same || name.find_first_of(kSeparators) != std::string::npos || name == "..") {
    throw std::invalid_argument("its weights must be in one file next to it");
  }
  return FolderOf(graph_file) + name;
}

}  // namespace

const kernels::Variant* EncoderVariant() {
  try {
    return kernels::ChosenVariant();
  } catch (const std::invalid_argument& error) {
    throw Error(Code::kInvalidArgument, error.what());
  }
}

/// Weights by their index among the node's inputs, with their shapes checked.
class WeightReader {
 public:
  WeightReader(const EncoderGraph& graph, const MappedFile& file) : graph_(graph), file_(file) {}

  size_t count() const noexcept { return graph_.weights.size(); }

  /// A weight of the given shape; a shape's 0 takes any size and reports it through `open_size`.
  kernels::StoredMatrix Weight(size_t number, std::initializer_list<size_t> shape, size_t* open_size = nullptr) const {
    const GraphTensor& tensor = graph_.weights.at(number);
    const size_t width = tensor.bfloat16 ? sizeof(uint16_t) : sizeof(float);
    bool fits = tensor.shape.size() == shape.size();
    uint64_t values = 1;
    for (size_t axis = 0; fits && axis < shape.size(); ++axis) {
      const uint64_t size = tensor.shape[axis];
      const size_t expected = std::data(shape)[axis];
      fits = size > 0 && size <= file_.size() && values <= file_.size() / size && (expected == 0 || expected == size);
      values *= size;
      if (expected == 0) {
        *open_size = size;
      }
    }
    if (!fits) {
      throw std::invalid_argument("weight " + std::to_string(number) +
                                  " has not the shape that the attributes ask for");
    }
    if (tensor.bytes != values * width || tensor.bytes > file_.size() || tensor.offset > file_.size() - tensor.bytes ||
        tensor.offset % width != 0) {
      throw std::invalid_argument("weight " + std::to_string(number) + " is not located within its file");
    }
    return {file_.data() + tensor.offset, tensor.bfloat16};
  }
  const float* Floats(size_t number, std::initializer_list<size_t> shape, size_t* open_size = nullptr) const {
    const kernels::StoredMatrix weight = Weight(number, shape, open_size);
    if (weight.bfloat16) {
      throw std::invalid_argument("weight " + std::to_string(number) + " must be float");
    }
    return static_cast<const float*>(weight.values);
  }

 private:
  const EncoderGraph& graph_;
  const MappedFile& file_;
};

EncoderSession::EncoderSession(const SessionOptions& options, const EncoderGraph& graph, const TokenSamples& samples)
    : pooling_(options.pooling) {
  try {
    const kernels::Variant* variant = EncoderVariant();
    if (variant == nullptr) {
      throw std::invalid_argument("this processor has none of the instruction sets that the encoder is built for");
    }
    const std::string architecture = Required(graph.texts, "architecture");
    const std::string activation = Required(graph.texts, "activation");
    if (std::find(kArchitectures.begin(), kArchitectures.end(), architecture) == kArchitectures.end() ||
        activation != "gelu") {
      throw std::invalid_argument("architecture '" + architecture + "' with activation '" + activation +
                                  "' is not built in");
    }
    const kernels::EncoderShape shape{SizeOf(graph, "layers"), SizeOf(graph, "heads"), SizeOf(graph, "hidden"),
                                      SizeOf(graph, "intermediate"), Required(graph.floats, "epsilon")};
    const auto padding = graph.integers.find("padding_id");
    const size_t without_biases = kFirstLayerWeight + kWeightsOfLayer * shape.layers;
    if (graph.weights.size() != without_biases && graph.weights.size() != without_biases + 1) {
      throw std::invalid_argument("the number of inputs does not belong to the number of layers");
    }
    file_ = std::make_unique<const MappedFile>(WeightsFile(options.graph_file, graph));
    const kernels::StoredEncoder stored =
        ReadWeights(WeightReader(graph, *file_), shape,
                    padding == graph.integers.end() ? -1 : SizeWithin("padding_id", padding->second));
    encoder_.emplace(std::make_unique<const kernels::Encoder>(shape, stored, options.precision, *variant,
                                                              UsableSamples(samples, sizes_)),
                     shape.hidden, sizes_);
    HandBackLinears(stored, shape);
    info_ = {"cpu", {}, FinishedWidth(pooling_, shape.hidden), variant->name, nullptr, shape.hidden};
  } catch (const std::invalid_argument& error) {
    throw Error(Code::kModelInvalid, "graph " + options.graph_file + " cannot be opened: " + error.what());
  }
}

kernels::StoredEncoder EncoderSession::ReadWeights(const WeightReader& weights, const kernels::EncoderShape& shape,
                                                   int64_t padding_id) {
  const size_t hidden = shape.hidden;
  const size_t wide = shape.intermediate;
  kernels::StoredEncoder stored;
  stored.token_embeddings = weights.Weight(0, {0, hidden}, &sizes_.vocabulary);
  stored.positions = weights.Floats(1, {0, hidden}, &sizes_.positions);
  stored.norm = {weights.Floats(2, {hidden}), weights.Floats(3, {hidden})};
  for (size_t layer = 0; layer < shape.layers; ++layer) {
    size_t number = kFirstLayerWeight + layer * kWeightsOfLayer;
    const auto linear = [&](size_t inputs, size_t outputs) {
      const kernels::StoredLinear of{weights.Weight(number, {inputs, outputs}), weights.Floats(number + 1, {outputs})};
      number += 2;
      return of;
    };
    const auto norm = [&] {
      const kernels::StoredNorm of{weights.Floats(number, {hidden}), weights.Floats(number + 1, {hidden})};
      number += 2;
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
  stored.padding_id = padding_id;
  if (padding_id >= 0) {
    // The rows up to the padding's are not for ordinary tokens.
    const auto skipped = static_cast<size_t>(padding_id) + 1;
    if (sizes_.positions <= skipped) {
      throw std::invalid_argument("there are no positions behind that of the padding");
    }
    sizes_.positions -= skipped;
  }
  const size_t last = kFirstLayerWeight + shape.layers * kWeightsOfLayer;
  if (weights.count() > last) {
    size_t distances = 0;
    stored.relative_biases = weights.Floats(last, {0, shape.heads}, &distances);
    stored.max_tokens = (distances + 1) / 2;
    if (distances % 2 == 0 || stored.max_tokens < sizes_.positions) {
      throw std::invalid_argument("the relative position biases do not cover the longest text");
    }
  }
  return stored;
}

void EncoderSession::HandBackLinears(const kernels::StoredEncoder& stored, const kernels::EncoderShape& shape) const {
  const auto release = [&](const kernels::StoredMatrix& weight, size_t inputs, size_t outputs) {
    file_->Release(weight.values, inputs * outputs * (weight.bfloat16 ? sizeof(uint16_t) : sizeof(float)));
  };
  for (const kernels::StoredLayer& layer : stored.layers) {
    release(layer.qkv.weight, shape.hidden, 3 * shape.hidden);
    release(layer.output.weight, shape.hidden, shape.hidden);
    release(layer.up.weight, shape.hidden, shape.intermediate);
    release(layer.down.weight, shape.intermediate, shape.hidden);
  }
}

void EncoderSession::Run(std::span<TextTask* const> tasks, Scratch& scratch) const {
  RunPooled(*encoder_, pooling_, tasks, scratch);
}

}  // namespace gabion
