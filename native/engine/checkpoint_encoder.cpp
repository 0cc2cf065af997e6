#include "checkpoint_encoder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "encoder_session.hpp"
#include "float16.hpp"
#include "status.hpp"

namespace gabion {
namespace {

constexpr size_t kMaxSize = 1'000'000;
/// Of encoders with rotary positions, which have a table of angles per token.
constexpr size_t kMaxRotaryTokens = 1U << 17U;

size_t BytesOf(TensorType type) {
  switch (type) {
    case TensorType::kFloat:
      return sizeof(float);
    case TensorType::kDouble:
      return sizeof(double);
    case TensorType::kBfloat16:
    case TensorType::kFloat16:
      break;
  }
  return sizeof(uint16_t);
}

float FromBfloat16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16U); }

}  // namespace

/// Hands out the checkpoint's tensors in their order, with their shapes and places checked.
class TensorReader {
 public:
  TensorReader(const CheckpointOptions& options, const std::vector<std::unique_ptr<const MappedFile>>& files,
               std::deque<std::vector<float>>& converted, std::deque<std::vector<float>>& linears)
      : options_(options), files_(files), converted_(converted), linears_(linears) {}

  /// The next tensor, a table of any number of rows.
  kernels::StoredMatrix Table(size_t columns, size_t* rows) {
    const CheckpointTensor& tensor = Next(0, columns);
    *rows = tensor.rows;
    return Stored(tensor, converted_);
  }
  /// The next tensor, a table of any number of rows, as floats.
  const float* FloatTable(size_t columns, size_t* rows) {
    const CheckpointTensor& tensor = Next(0, columns);
    *rows = tensor.rows;
    return Floats(tensor);
  }
  /// The next tensor, a linear weight.
  kernels::StoredMatrix Linear(size_t rows, size_t columns) { return Stored(Next(rows, columns), linears_); }
  /// The next tensor, of one axis, as floats; zeros where there is none.
  const float* Vector(size_t size) {
    return SkipsAbsent() ? converted_.emplace_back(size).data() : Floats(Next(size, 1));
  }
  /// Weight and bias of a norm; null where there is none.
  kernels::StoredNorm Norm(size_t size) {
    if (SkipsAbsent()) {
      SkipsAbsent();
      return {};
    }
    const float* weight = Vector(size);
    return {weight, Vector(size)};
  }
  /// Whether the next tensor is one that the architecture has not, which is then passed over.
  bool SkipsAbsent() {
    const bool absent = options_.tensors.at(next_).rows == 0;
    next_ += absent ? 1 : 0;
    return absent;
  }

 private:
  /// `rows` of 0 takes any number.
  const CheckpointTensor& Next(size_t rows, size_t columns) {
    const CheckpointTensor& tensor = options_.tensors.at(next_++);
    const MappedFile& file = *files_.at(tensor.file);
    const size_t width = BytesOf(tensor.type);
    if (tensor.rows == 0 || tensor.columns != columns || (rows != 0 && tensor.rows != rows) ||
        tensor.rows > file.size() / (columns * width) || tensor.offset > file.size() - tensor.rows * columns * width) {
      throw std::invalid_argument("tensor " + std::to_string(next_ - 1) +
                                  " is not within its file, or of another shape");
    }
    return tensor;
  }
  kernels::StoredMatrix Stored(const CheckpointTensor& tensor, std::deque<std::vector<float>>& converted) const {
    return tensor.type == TensorType::kFloat16 || tensor.type == TensorType::kDouble
               ? kernels::StoredMatrix{Convert(tensor, converted), false}
               : kernels::StoredMatrix{At(tensor, converted), tensor.type == TensorType::kBfloat16};
  }
  const float* Floats(const CheckpointTensor& tensor) const {
    return tensor.type == TensorType::kFloat ? static_cast<const float*>(At(tensor, converted_))
                                             : Convert(tensor, converted_);
  }
  /// The values in their file, or, where they begin at no multiple of their size, as old files have them, in a copy.
  const void* At(const CheckpointTensor& tensor, std::deque<std::vector<float>>& copies) const {
    const char* in_file = files_[tensor.file]->data() + tensor.offset;
    const size_t width = BytesOf(tensor.type);
    if (reinterpret_cast<uintptr_t>(in_file) % width == 0) {
      return in_file;
    }
    const size_t bytes = tensor.rows * tensor.columns * width;
    std::vector<float>& copy = copies.emplace_back((bytes + sizeof(float) - 1) / sizeof(float));
    std::memcpy(copy.data(), in_file, bytes);
    return copy.data();
  }
  const float* Convert(const CheckpointTensor& tensor, std::deque<std::vector<float>>& converted) const {
    std::deque<std::vector<float>> copies;
    const void* values = At(tensor, copies);
    std::vector<float>& to = converted.emplace_back(tensor.rows * tensor.columns);
    if (tensor.type == TensorType::kDouble) {
      const auto* doubles = static_cast<const double*>(values);
      std::transform(doubles, doubles + to.size(), to.begin(), [](double value) { return static_cast<float>(value); });
      return to.data();
    }
    const auto* from = static_cast<const uint16_t*>(values);
    for (size_t i = 0; i < to.size(); ++i) {
      to[i] = tensor.type == TensorType::kBfloat16 ? FromBfloat16(from[i]) : FromFloat16(from[i]);
    }
    return to.data();
  }

  const CheckpointOptions& options_;
  const std::vector<std::unique_ptr<const MappedFile>>& files_;
  std::deque<std::vector<float>>& converted_;
  std::deque<std::vector<float>>& linears_;
  size_t next_ = 0;
};

CheckpointEncoder::CheckpointEncoder(const CheckpointOptions& options, const TokenSamples& samples) {
  const kernels::Variant* variant = EncoderVariant();
  const kernels::EncoderShape& shape = options.shape;
  if (variant == nullptr) {
    throw Error(Code::kModelUnsupported,
                "this processor has none of the instruction sets that the encoder is built for");
  }
  const size_t sizes[] = {shape.layers, shape.heads, shape.hidden, shape.intermediate};
  for (const size_t size : sizes) {
    if (size == 0 || size > kMaxSize) {
      throw Error(Code::kModelInvalid, "the checkpoint's sizes are out of range");
    }
  }
  if (!kernels::Encoder::Fits(shape, variant->nr)) {
    throw Error(Code::kModelUnsupported, "an encoder of width " + std::to_string(shape.hidden) + " with " +
                                             std::to_string(shape.heads) + " heads does not fit the kernels for " +
                                             variant->name);
  }
  for (const std::string& file : options.files) {
    files_.push_back(std::make_unique<const MappedFile>(file));
  }
  try {
    Converted linears;
    const kernels::StoredEncoder stored = Read(options, linears);
    encoder_.emplace(std::make_unique<const kernels::Encoder>(shape, stored, options.precision, *variant,
                                                              UsableSamples(samples, sizes_), options.smooth_scales),
                     shape.hidden, sizes_);
  } catch (const std::logic_error& error) {  // invalid_argument, and out_of_range of a short list
    throw Error(Code::kModelInvalid, std::string("the checkpoint cannot be read: ") + error.what());
  }
  for (const auto& file : files_) {
    file->Release(file->data(), file->size());  // tables are mapped again where they are read
  }
}

kernels::StoredEncoder CheckpointEncoder::Read(const CheckpointOptions& options, Converted& linears) {
  const size_t hidden = options.shape.hidden;
  TensorReader tensors(options, files_, converted_, linears);
  kernels::StoredEncoder stored{};
  stored.token_embeddings = tensors.Table(hidden, &sizes_.vocabulary);
  if (tensors.SkipsAbsent()) {
    sizes_.positions = options.longest;
  } else {
    stored.positions = tensors.FloatTable(hidden, &sizes_.positions);
  }
  if (options.has_types) {
    const float* types = tensors.FloatTable(hidden, &sizes_.types);
    if (options.positions_include_type) {
      std::vector<float>& differences = converted_.emplace_back(types, types + sizes_.types * hidden);
      for (size_t i = 0; i < differences.size(); ++i) {
        differences[i] -= types[i % hidden];
      }
      types = differences.data();
    }
    stored.token_types = types;
  }
  stored.norm = tensors.Norm(hidden);
  if (stored.norm.weight == nullptr) {
    throw std::invalid_argument("the embeddings lack their norm");
  }
  stored.feed_forward = options.feed_forward;
  stored.norm_first = options.norm_first;
  ReadLayers(options, tensors, stored);
  if (options.norm_first) {
    stored.last_norm = tensors.Norm(hidden);
    if (stored.last_norm.weight == nullptr) {
      throw std::invalid_argument("the hidden state lacks its norm");
    }
  }
  stored.padding_id = options.padding_id;
  if (options.padding_id >= 0) {
    // The rows up to the padding's are not for ordinary tokens.
    const size_t skipped = static_cast<size_t>(options.padding_id) + 1;
    if (sizes_.positions <= skipped) {
      throw std::invalid_argument("there are no positions behind that of the padding");
    }
    sizes_.positions -= skipped;
  }
  if (!options.relative_biases.empty()) {
    stored.relative_biases = converted_.emplace_back(options.relative_biases).data();
    const size_t distances = options.relative_biases.size() / options.shape.heads;
    stored.max_tokens = (distances + 1) / 2;
    if (distances * options.shape.heads != options.relative_biases.size() || distances % 2 == 0 ||
        stored.max_tokens < sizes_.positions) {
      throw std::invalid_argument("the relative position biases do not cover the longest input");
    }
  }
  ReadRotary(options, stored);
  return stored;
}

void CheckpointEncoder::ReadRotary(const CheckpointOptions& options, kernels::StoredEncoder& stored) const {
  if (options.inverse_frequencies.empty()) {
    return;
  }
  const size_t pairs = options.shape.hidden / options.shape.heads / 2;
  for (const std::vector<float>& frequencies : options.inverse_frequencies) {
    if (frequencies.size() != pairs) {
      throw std::invalid_argument("a rotary embedding has not one frequency for two values of a head");
    }
  }
  if (options.attention.size() != options.shape.layers || sizes_.positions == 0 ||
      sizes_.positions > kMaxRotaryTokens) {
    throw std::invalid_argument("rotary embeddings need an attention per layer and a longest input");
  }
  stored.inverse_frequencies = options.inverse_frequencies;
  stored.max_tokens = sizes_.positions;
  for (size_t index = 0; index < options.shape.layers; ++index) {
    stored.layers[index].rotary = options.attention[index].rotary;
    stored.layers[index].window = options.attention[index].window;
  }
}

void CheckpointEncoder::ReadLayers(const CheckpointOptions& options, TensorReader& tensors,
                                   kernels::StoredEncoder& stored) {
  const size_t hidden = options.shape.hidden;
  const size_t wide = options.shape.intermediate;
  const auto linear = [&](size_t outputs, size_t inputs) {
    const kernels::StoredMatrix weight = tensors.Linear(outputs, inputs);
    return kernels::StoredLinear{weight, tensors.Vector(outputs), true};
  };
  for (size_t index = 0; index < options.shape.layers; ++index) {
    kernels::StoredLayer& layer = stored.layers.emplace_back();
    layer.qkv = linear(hidden, hidden);
    std::vector<float>& biases = converted_.emplace_back(layer.qkv.bias, layer.qkv.bias + hidden);
    for (const void*& further : layer.qkv.further) {
      const kernels::StoredLinear part = linear(hidden, hidden);
      if (part.weight.bfloat16 != layer.qkv.weight.bfloat16) {
        throw std::invalid_argument("a layer's query, key and value are of different types");
      }
      further = part.weight.values;
      biases.insert(biases.end(), part.bias, part.bias + hidden);
    }
    layer.qkv.bias = biases.data();
    layer.output = linear(hidden, hidden);
    layer.attention_norm = tensors.Norm(hidden);
    layer.up = linear(wide, hidden);
    if (options.feed_forward != kernels::FeedForward::kGelu) {
      const kernels::StoredMatrix second = tensors.Linear(wide, hidden);
      if (second.bfloat16 != layer.up.weight.bfloat16) {
        throw std::invalid_argument("the halves of a layer's feed-forward input are of different types");
      }
      layer.up.further[0] = second.values;
    }
    layer.down = linear(hidden, wide);
    layer.feed_forward_norm = tensors.Norm(hidden);
    if (layer.feed_forward_norm.weight == nullptr || (layer.attention_norm.weight == nullptr && !options.norm_first)) {
      throw std::invalid_argument("a layer lacks a norm");
    }
  }
}

}  // namespace gabion
