// Reading protobuf messages field by field, which is what an ONNX file is made of. Field numbers in what uses it are
// those of onnx.proto3.
#pragma once

#include <cstdint>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>

namespace gabion {

/// The message is no protobuf, or not of the kind that is looked for.
struct ProtobufDamaged : std::exception {};

/// The fields of one protobuf message, in order. Field numbers below are those of onnx.proto3.
class ProtobufFields {
 public:
  explicit ProtobufFields(std::string_view message) : rest_(message) {}

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
        throw ProtobufDamaged{};
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
      throw ProtobufDamaged{};
    }
    std::memcpy(&value, bytes_.data(), sizeof value);
    return value;
  }

 private:
  std::string_view Take(uint64_t count) {
    if (count > rest_.size()) {
      throw ProtobufDamaged{};
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
    throw ProtobufDamaged{};
  }

  std::string_view rest_;
  uint64_t number_ = 0;
  uint64_t integer_ = 0;
  std::string_view bytes_;
};

/// The contents of an ONNX file that refers to its weights; nothing for a larger file. A graph of 48 layers has less
/// than 100 KB.
inline std::optional<std::string> ReadSmallGraph(const std::string& file) {
  constexpr std::streamoff kLargestFile = 1 << 20;
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  if (!stream || stream.tellg() > kLargestFile) {
    return std::nullopt;
  }
  stream.seekg(0);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

}  // namespace gabion
