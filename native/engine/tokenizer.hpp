// Text to token ids, through the Rust crate in native/tokenizer. Immutable after loading: any thread may use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct gabion_tokenizer;

namespace gabion {

/// What stays of a text that is too long: what the tokenizer's file says, its beginning, or its end.
enum class Truncation { kOfFile = 0, kKeepBeginning = 1, kKeepEnd = 2 };

class Tokenizer {
 public:
  /// Reads a tokenizer.json. Throws kModelNotFound or kModelInvalid.
  explicit Tokenizer(const std::string& file, Truncation truncation = Truncation::kOfFile);

  /// Appends at most `max_tokens` ids, special tokens included, to `ids`. Returns the number of ids of the whole text,
  /// before truncation. Throws kTokenizerFailed, kOutOfMemory.
  size_t Encode(std::string_view text, size_t max_tokens, std::vector<int64_t>& ids) const;

  /// A byte range of a text, and where its ids, special tokens included, lie in an array.
  struct Window {
    size_t first_id;
    size_t ids;
    size_t start;
    size_t end;
  };
  /// Cuts a text into windows of at most `size` tokens, special tokens not counted, one every `stride` tokens, and
  /// appends their ids to `ids`. A text without tokens has no window. Throws kInvalidArgument for a stride that is not
  /// from 1 to `size`, else as Encode.
  std::vector<Window> Windows(std::string_view text, size_t size, size_t stride, std::vector<int64_t>& ids) const;

  /// Appends the ids of all tokens of a text, without special tokens. Throws as Encode.
  void Tokens(std::string_view text, std::vector<int64_t>& ids) const;

  /// A place of a template: a special token, or kFirst or kSecond for the tokens of a text, and their type.
  struct Slot {
    int64_t id;
    uint8_t type;
  };
  static constexpr int64_t kFirst = -1;
  static constexpr int64_t kSecond = -2;
  /// The special tokens around one text, or between and around two. Throws kModelUnsupported.
  std::vector<Slot> Template(bool pair) const;

  /// Highest id of the vocabulary.
  uint32_t max_id() const noexcept { return max_id_; }

 private:
  std::unique_ptr<gabion_tokenizer, void (*)(gabion_tokenizer*)> handle_;
  uint32_t max_id_ = 0;
  size_t before_ = 0;  ///< special tokens before a text
  size_t after_ = 0;
};

}  // namespace gabion
