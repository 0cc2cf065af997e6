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

class Tokenizer {
 public:
  /// Reads a tokenizer.json. Throws kModelNotFound or kModelInvalid.
  explicit Tokenizer(const std::string& file);

  /// Writes at most `maximum` ids, special tokens included, to the front of `ids` (grown when needed, never shrunk).
  struct Encoded {
    size_t written;  ///< ids written
    size_t total;    ///< ids that the whole text has, before it was cut
  };
  Encoded Encode(std::string_view text, size_t maximum, std::vector<int64_t>& ids) const;

  /// A stretch of a text: where its ids, special tokens included, lie in an array, and the bytes that they stand for.
  struct Window {
    size_t first_id;
    size_t ids;
    size_t start;
    size_t end;
  };
  /// Cuts a text into windows of at most `size` tokens, special tokens not counted, one every `stride` tokens; all ids
  /// go to `ids`, replacing what it held. A text without tokens has no window. Throws kInvalidArgument for a stride
  /// that is not from 1 to `size`, else as Encode.
  std::vector<Window> Windows(std::string_view text, size_t size, size_t stride, std::vector<int64_t>& ids) const;

  /// Highest id that the vocabulary can give.
  uint32_t max_id() const noexcept { return max_id_; }

 private:
  std::unique_ptr<gabion_tokenizer, void (*)(gabion_tokenizer*)> handle_;
  uint32_t max_id_ = 0;
};

}  // namespace gabion
