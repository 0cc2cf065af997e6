#include "encoder_graph.hpp"

#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

namespace gabion {
namespace {

// A graph of 48 layers has less than 100 KB; ordinary ones may hold a gigabyte of weights.
constexpr std::streamoff kLargestFile = 1 << 20;

/// The file is not what is looked for.
struct NotAnEncoder {};

/// The fields of one protobuf message, in order. Field numbers below are those of onnx.proto3.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  /// Goes to the next field; false at the end.
  bool Next() {
    if (rest_.empty()) {
      return false;
    }
    const uint64_t tag = Varint();
    number_ = tag >> 3U;
    switch (tag & 7U) {
      case 0:
        integer_ = Varint();
        bytes_ = {};
        break;
      case 1:
        bytes_ = Take(8);
        break;
      case 2:
        bytes_ = Take(Varint());
        break;
      case 5:
        bytes_ = Take(4);
        break;
      default:
        throw NotAnEncoder{};
    }
    return true;
  }

  uint64_t number() const noexcept { return number_; }
  uint64_t integer() const noexcept { return integer_; }
  std::string_view bytes() const noexcept { return bytes_; }
  std::string text() const { return std::string(bytes_); }
  float real() const {
    float value = 0;
    if (bytes_.size() != sizeof value) {
      throw NotAnEncoder{};
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    return value;
  }

 private:
  std::string_view Take(uint64_t count) {
    if (count > rest_.size()) {
      throw NotAnEncoder{};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  uint64_t Varint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(Take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7fU) << shift;
      if (byte < 0x80) {
        return value;
      }
    }
    throw NotAnEncoder{};
  }

  std::string_view rest_;
  uint64_t number_ = 0;
  uint64_t integer_ = 0;
  std::string_view bytes_;
};

uint64_t ToNumber(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (failure != std::errc() || end != digits.data() + digits.size()) {
    throw NotAnEncoder{};
  }
  return value;
}

void ReadExternal(std::string_view message, GraphTensor& tensor) {
  std::string_view key;
  std::string_view value;
  for (Fields entry(message); entry.Next();) {
    if (entry.number() == 1) key = entry.bytes();
    if (entry.number() == 2) value = entry.bytes();
  }
  if (key == "location") tensor.location = value;
  if (key == "offset") tensor.offset = ToNumber(value);
  if (key == "length") tensor.bytes = ToNumber(value);
}

std::pair<std::string, GraphTensor> ReadTensor(std::string_view message) {
  constexpr uint64_t kFloat = 1;
  constexpr uint64_t kBfloat16 = 16;
  std::pair<std::string, GraphTensor> named;
  auto& [name, tensor] = named;
  uint64_t type = 0;
  for (Fields field(message); field.Next();) {
    if (field.number() == 1) tensor.shape.push_back(field.integer());
    if (field.number() == 2) type = field.integer();
    if (field.number() == 8) name = field.text();
    if (field.number() == 13) ReadExternal(field.bytes(), tensor);
  }
  if (tensor.location.empty() || (type != kFloat && type != kBfloat16)) {
    throw NotAnEncoder{};
  }
  tensor.bfloat16 = type == kBfloat16;
  return named;
}

void ReadAttribute(std::string_view message, EncoderGraph& graph) {
  constexpr uint64_t kReal = 1;
  constexpr uint64_t kInteger = 2;
  constexpr uint64_t kText = 3;
  std::string name;
  float real = 0;
  uint64_t integer = 0;
  std::string text;
  uint64_t type = 0;
  for (Fields field(message); field.Next();) {
    if (field.number() == 1) name = field.text();
    if (field.number() == 2) real = field.real();
    if (field.number() == 3) integer = field.integer();
    if (field.number() == 4) text = field.text();
    if (field.number() == 20) type = field.integer();
  }
  if (type == kReal) graph.floats[name] = real;
  if (type == kInteger) graph.integers[name] = static_cast<int64_t>(integer);
  if (type == kText) graph.texts[name] = text;
}

EncoderGraph ReadGraph(std::string_view message) {
  EncoderGraph graph;
  std::vector<std::string> inputs;
  std::unordered_map<std::string, GraphTensor> tensors;
  size_t nodes = 0;
  for (Fields part(message); part.Next();) {
    if (part.number() == 5) {
      tensors.insert(ReadTensor(part.bytes()));
    }
    if (part.number() != 1) {
      continue;
    }
    std::string_view operation;
    std::string_view domain;
    for (Fields field(part.bytes()); field.Next();) {
      if (field.number() == 1) inputs.push_back(field.text());
      if (field.number() == 4) operation = field.bytes();
      if (field.number() == 5) ReadAttribute(field.bytes(), graph);
      if (field.number() == 7) domain = field.bytes();
    }
    if (++nodes > 1 || operation != "Encoder" || domain != "gabion") {
      throw NotAnEncoder{};
    }
  }
  if (inputs.empty() || tensors.contains(inputs.front())) {
    throw NotAnEncoder{};
  }
  for (size_t i = 1; i < inputs.size(); ++i) {
    const auto found = tensors.find(inputs[i]);
    if (found == tensors.end()) {
      throw NotAnEncoder{};
    }
    graph.weights.push_back(found->second);
  }
  return graph;
}

}  // namespace

std::optional<EncoderGraph> ParseEncoderGraph(const std::string& contents) {
  try {
    for (Fields field(contents); field.Next();) {
      if (field.number() == 7) {
        return ReadGraph(field.bytes());
      }
    }
  } catch (const NotAnEncoder&) {
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<EncoderGraph> ReadEncoderGraph(const std::string& file) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  if (!stream || stream.tellg() > kLargestFile) {
    return std::nullopt;
  }
  stream.seekg(0);
  return ParseEncoderGraph(std::string(std::istreambuf_iterator<char>(stream), {}));
}

}  // namespace gabion
