// The token ids of texts that recur, least recently used last. Threads share it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gabion {

class TokenCache {
 public:
  using Ids = std::shared_ptr<const std::vector<int64_t>>;

  /// Holds about so many bytes.
  explicit TokenCache(size_t max_bytes) : max_bytes_(max_bytes) {}

  /// Null if the text is not there.
  Ids Find(std::string_view text);
  void Add(std::string_view text, Ids ids);

 private:
  struct Entry {
    std::string text;
    Ids ids;
    size_t bytes;
  };

  const size_t max_bytes_;
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::unordered_map<std::string_view, std::list<Entry>::iterator> by_text_;  ///< keys are views of the entries
  size_t bytes_ = 0;
};

}  // namespace gabion
