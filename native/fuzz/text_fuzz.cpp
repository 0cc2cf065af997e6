// libFuzzer target: arbitrary bytes as a text, through the tokenizers of models, whole and in windows. The interface's
// results for a text must be consistent; nothing may crash, hang or write beyond its buffers. Built and run by
// scripts/fuzz.mjs.
//
// GABION_FUZZ_TOKENIZERS names the definitions, separated by colons. An input's first byte selects one, its second a
// limit.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "gabion_tokenizer.h"

namespace {

std::vector<gabion_tokenizer*> LoadAll() {
  std::vector<gabion_tokenizer*> all;
  const char* names = std::getenv("GABION_FUZZ_TOKENIZERS");
  std::istringstream list(names == nullptr ? "" : names);
  for (std::string name; std::getline(list, name, ':');) {
    std::ifstream file(name, std::ios::binary);
    const std::string json{std::istreambuf_iterator<char>(file), {}};
    gabion_tokenizer* tokenizer = nullptr;
    if (gabion_tokenizer_load(reinterpret_cast<const uint8_t*>(json.data()), json.size(), 0, &tokenizer) !=
        GABION_TOKENIZER_OK) {
      std::abort();
    }
    all.push_back(tokenizer);
  }
  if (all.empty()) {
    std::abort();
  }
  return all;
}

struct Windows {
  size_t text = 0;
  size_t count = 0;
};

void Window(void* context, const int64_t* ids, size_t count, size_t start, size_t end) {
  auto* windows = static_cast<Windows*>(context);
  if (start > end || end > windows->text || (count > 0 && ids[count - 1] < 0)) {
    std::abort();
  }
  ++windows->count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* tokenizers = new std::vector<gabion_tokenizer*>(LoadAll());
  if (size < 2) {
    return 0;
  }
  const gabion_tokenizer* tokenizer = (*tokenizers)[data[0] % tokenizers->size()];
  const size_t limit = 3 + data[1];
  const uint8_t* text = data + 2;
  const size_t length = size - 2;

  std::vector<int64_t> ids(limit);
  size_t written = 0;
  size_t total = 0;
  const int status = gabion_tokenizer_encode(tokenizer, text, length, limit, ids.data(), ids.size(), &written, &total);
  if (status == GABION_TOKENIZER_INVALID_UTF8) {
    return 0;
  }
  if (status != GABION_TOKENIZER_OK || written > limit || total < written || (total <= limit && written != total)) {
    std::abort();
  }
  uint32_t highest = 0;
  gabion_tokenizer_max_id(tokenizer, &highest);
  if (std::any_of(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(written),
                  [highest](int64_t id) { return id < 0 || id > highest; })) {
    std::abort();
  }
  Windows windows{length};
  const size_t window = 1 + data[1] % 40;
  if (gabion_tokenizer_windows(tokenizer, text, length, window, window, Window, &windows) != GABION_TOKENIZER_OK) {
    std::abort();
  }
  // Windows without overlap have room for all tokens but the two special ones.
  if (windows.count * window + 2 < total) {
    std::abort();
  }
  return 0;
}
