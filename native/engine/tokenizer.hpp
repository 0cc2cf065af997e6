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

  /// Highest id that the vocabulary can give.
  uint32_t max_id() const noexcept { return max_id_; }

 private:
  std::unique_ptr<gabion_tokenizer, void (*)(gabion_tokenizer*)> handle_;
  uint32_t max_id_ = 0;
};

}  // namespace gabion
