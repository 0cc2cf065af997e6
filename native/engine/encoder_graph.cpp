#include "encoder_graph.hpp"

#include <charconv>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "protobuf_fields.hpp"

namespace gabion {
namespace {

/// The file is not the expected one.
using NotAnEncoder = ProtobufDamaged;

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
  for (ProtobufFields entry(message); entry.Next();) {
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
  for (ProtobufFields field(message); field.Next();) {
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
  for (ProtobufFields field(message); field.Next();) {
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
  for (ProtobufFields part(message); part.Next();) {
    if (part.number() == 5) {
      tensors.insert(ReadTensor(part.bytes()));
    }
    if (part.number() != 1) {
      continue;
    }
    std::string_view operation;
    std::string_view domain;
    for (ProtobufFields field(part.bytes()); field.Next();) {
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
    for (ProtobufFields field(contents); field.Next();) {
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
  const std::optional<std::string> contents = ReadSmallGraph(file);
  return contents ? ParseEncoderGraph(*contents) : std::nullopt;
}

}  // namespace gabion
