// libFuzzer target: an untrusted tokenizer.json and a text, through the tokenizer's C interface. What loads must also
// encode; nothing may crash, hang or read beyond its buffers. Built and run by scripts/fuzz.mjs.
//
// An input is the definition, then a zero byte, then a text; without a zero byte a fixed text is used.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "gabion_tokenizer.h"

namespace {

constexpr size_t kMaximumTokens = 64;
constexpr std::string_view kText = "The first text, \xd1\x82\xd0\xb5\xd0\xba\xd1\x81\xd1\x82 9:30!";

// A fault of the library is returned as a status, which callers report as an error: only a violation of the
// interface's contract ends the run.
void Encode(const gabion_tokenizer* tokenizer, std::string_view text) {
  std::vector<int64_t> ids(kMaximumTokens);
  size_t written = 0;
  size_t total = 0;
  const int status = gabion_tokenizer_encode(tokenizer, reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                             kMaximumTokens, ids.data(), ids.size(), &written, &total);
  uint32_t highest = 0;
  if (status != GABION_TOKENIZER_OK || gabion_tokenizer_max_id(tokenizer, &highest) != GABION_TOKENIZER_OK) {
    return;
  }
  // The embedding table is as long as the highest id requires: no id may exceed it.
  const bool is_beyond = std::any_of(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(std::min(written, ids.size())),
                                     [highest](int64_t id) { return id < 0 || id > highest; });
  if (written > ids.size() || total < written || is_beyond) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto* end = data + size;
  const auto* zero = std::find(data, end, uint8_t{0});
  gabion_tokenizer* tokenizer = nullptr;
  const int status = gabion_tokenizer_load(data, static_cast<size_t>(zero - data), 0, &tokenizer);
  if (status != GABION_TOKENIZER_OK) {
    return 0;
  }
  Encode(tokenizer, kText);
  if (zero != end) {
    Encode(tokenizer, {reinterpret_cast<const char*>(zero + 1), static_cast<size_t>(end - zero - 1)});
  }
  gabion_tokenizer_free(tokenizer);
  return 0;
}
