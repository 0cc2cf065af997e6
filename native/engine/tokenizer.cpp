#include "tokenizer.hpp"

#include <gabion_tokenizer.h>

#include <algorithm>
#include <array>
#include <exception>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>

#include "memory_room.hpp"
#include "status.hpp"

namespace gabion {
namespace {

std::string LastError() {
  std::array<char, 512> buffer{};
  gabion_tokenizer_last_error(buffer.data(), buffer.size());
  buffer.back() = '\0';
  return buffer.data();
}

// Receives windows through the C interface, through which no exception may pass.
struct WindowSink {
  std::vector<Tokenizer::Window>& windows;
  std::vector<int64_t>& ids;
  std::exception_ptr failure;

  static void Take(void* context, const int64_t* ids, size_t count, size_t start, size_t end) {
    auto& sink = *static_cast<WindowSink*>(context);
    try {
      sink.windows.push_back({sink.ids.size(), count, start, end});
      sink.ids.insert(sink.ids.end(), ids, ids + count);
    } catch (...) {
      sink.failure = std::current_exception();
    }
  }
};

/// Reading a definition takes about ten times its size in memory.
void RequireRoom(const std::string& file, size_t bytes) {
  constexpr size_t kTimes = 24;
  if (!HasRoomFor(kTimes * bytes)) {
    throw Error(Code::kOutOfMemory, "there is no memory to read the tokenizer file " + file);
  }
}

/// Smaller amounts are available wherever a call gets this far.
constexpr size_t kSmall = size_t{1} << 20U;

void RequireRoomFor(const gabion_tokenizer* tokenizer, std::string_view text, bool windows) {
  const size_t bytes = gabion_tokenizer_memory(tokenizer, text.size(), windows ? 1 : 0);
  if (bytes >= kSmall && !HasRoomFor(bytes)) {
    throw Error(Code::kOutOfMemory, "there is no memory to tokenize a text of " + std::to_string(text.size()) +
                                        " bytes, which may take " + std::to_string(bytes >> 20U) + " MB");
  }
}

// Receives the one window that has all tokens; see WindowSink.
struct TokenSink {
  std::vector<int64_t>& ids;
  size_t before;
  size_t after;
  std::exception_ptr failure;

  static void Take(void* context, const int64_t* ids, size_t count, size_t /*start*/, size_t /*end*/) {
    auto& sink = *static_cast<TokenSink*>(context);
    try {
      sink.ids.insert(sink.ids.end(), ids + sink.before, ids + count - sink.after);
    } catch (...) {
      sink.failure = std::current_exception();
    }
  }
};

}  // namespace

Tokenizer::Tokenizer(const std::string& file, Truncation truncation) : handle_(nullptr, gabion_tokenizer_free) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    throw Error(Code::kModelNotFound, "tokenizer file " + file + " cannot be opened");
  }
  std::ostringstream contents;
  contents << stream.rdbuf();
  const std::string json = std::move(contents).str();
  if (!json.empty()) {
    RequireRoom(file, json.size());
  }
  gabion_tokenizer* handle = nullptr;
  if (gabion_tokenizer_load(reinterpret_cast<const uint8_t*>(json.data()), json.size(), static_cast<int>(truncation),
                            &handle) != 0) {
    throw Error(Code::kModelInvalid, "tokenizer file " + file + " cannot be used: " + LastError());
  }
  handle_.reset(handle);
  if (gabion_tokenizer_max_id(handle, &max_id_) != 0) {
    throw Error(Code::kModelInvalid, "tokenizer file " + file + " has no vocabulary: " + LastError());
  }
  const std::vector<Slot> slots = Template(false);
  const auto place = std::find_if(slots.begin(), slots.end(), [](const Slot& slot) { return slot.id == kFirst; });
  before_ = static_cast<size_t>(place - slots.begin());
  after_ = slots.size() - before_ - 1;
}

std::vector<Tokenizer::Slot> Tokenizer::Template(bool pair) const {
  constexpr size_t kMaxSlots = 64;
  std::array<int64_t, kMaxSlots> ids{};
  std::array<uint8_t, kMaxSlots> types{};
  size_t count = 0;
  if (gabion_tokenizer_template(handle_.get(), pair ? 1 : 0, ids.data(), types.data(), kMaxSlots, &count) != 0) {
    throw Error(Code::kModelUnsupported, std::string("the tokenizer has no usable template for ") +
                                             (pair ? "two texts: " : "a text: ") + LastError());
  }
  std::vector<Slot> slots;
  for (size_t i = 0; i < count; ++i) {
    slots.push_back({ids.at(i), types.at(i)});
  }
  return slots;
}

void Tokenizer::Tokens(std::string_view text, std::vector<int64_t>& ids) const {
  RequireRoomFor(handle_.get(), text, true);
  TokenSink sink{ids, before_, after_, {}};
  constexpr size_t kWhole = std::numeric_limits<uint32_t>::max();
  const int status = gabion_tokenizer_windows(handle_.get(), reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                              kWhole, kWhole, TokenSink::Take, &sink);
  if (sink.failure != nullptr) {
    std::rethrow_exception(sink.failure);
  }
  if (status != 0) {
    throw Error(Code::kTokenizerFailed, "the text could not be tokenized: " + LastError());
  }
}

size_t Tokenizer::Encode(std::string_view text, size_t max_tokens, std::vector<int64_t>& ids) const {
  const size_t first = ids.size();
  RequireRoomFor(handle_.get(), text, false);
  ids.resize(first + max_tokens);
  size_t written = 0;
  size_t total = 0;
  const int status = gabion_tokenizer_encode(handle_.get(), reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                             max_tokens, ids.data() + first, max_tokens, &written, &total);
  ids.resize(first + (status == 0 ? written : 0));
  if (status != 0) {
    throw Error(Code::kTokenizerFailed, "the text could not be tokenized: " + LastError());
  }
  if (written == 0) {
    throw Error(Code::kTokenizerFailed, "the tokenizer gave no token at all for a text");
  }
  return total;
}

std::vector<Tokenizer::Window> Tokenizer::Windows(std::string_view text, size_t size, size_t stride,
                                                  std::vector<int64_t>& ids) const {
  if (stride < 1 || stride > size) {
    throw Error(Code::kInvalidArgument, "a window's stride must be from 1 to its size, " + std::to_string(size) +
                                            ", got " + std::to_string(stride));
  }
  RequireRoomFor(handle_.get(), text, true);
  std::vector<Window> windows;
  WindowSink sink{windows, ids, nullptr};
  const int status = gabion_tokenizer_windows(handle_.get(), reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                              size, stride, WindowSink::Take, &sink);
  if (sink.failure != nullptr) {
    std::rethrow_exception(sink.failure);
  }
  if (status != 0) {
    throw Error(Code::kTokenizerFailed, "the text could not be tokenized: " + LastError());
  }
  return windows;
}

}  // namespace gabion
