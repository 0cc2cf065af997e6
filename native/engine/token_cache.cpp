#include "token_cache.hpp"

#include <utility>

namespace gabion {

TokenCache::Ids TokenCache::Find(std::string_view text) {
  const std::lock_guard lock(mutex_);
  const auto found = by_text_.find(text);
  if (found == by_text_.end()) {
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->ids;
}

void TokenCache::Add(std::string_view text, Ids ids) {
  constexpr size_t kEntryBytes = 192;  // of the list, the table and the shared pointer
  const size_t bytes = text.size() + ids->size() * sizeof(int64_t) + kEntryBytes;
  const std::lock_guard lock(mutex_);
  if (bytes > max_bytes_ || by_text_.contains(text)) {
    return;
  }
  entries_.push_front({std::string(text), std::move(ids), bytes});
  by_text_.emplace(entries_.front().text, entries_.begin());
  bytes_ += bytes;
  while (bytes_ > max_bytes_) {
    bytes_ -= entries_.back().bytes;
    by_text_.erase(entries_.back().text);
    entries_.pop_back();
  }
}

}  // namespace gabion
