// Memory that is mapped from a file and will hardly be read again: its pages can leave the process, and stay in the
// system's page cache for whoever opens the file next.
#pragma once

#include <cstddef>
#include <vector>

namespace gabion {

struct MemoryRange {
  const void* start;
  size_t bytes;
};

/// Unmaps the whole pages of those ranges that lie in file mappings which this process has not written to; a later read
/// brings them back. Other memory is left alone. Never fails: at worst nothing is saved.
void ReleaseFilePages(const std::vector<MemoryRange>& ranges) noexcept;

}  // namespace gabion
