#include "file_pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <fstream>
#include <sstream>
#include <string>

namespace gabion {
namespace {

struct Mapping {
  uintptr_t start;
  uintptr_t end;
};

/// The mappings of files, from the system's own list: start-end permissions offset device inode path.
std::vector<Mapping> FileMappings() {
  std::vector<Mapping> mappings;
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    std::istringstream fields(line);
    Mapping mapping{};
    char dash = 0;
    std::string permissions;
    std::string offset;
    std::string device;
    uint64_t inode = 0;
    fields >> std::hex >> mapping.start >> dash >> mapping.end >> permissions >> offset >> device >> std::dec >> inode;
    if (fields && inode != 0) {
      mappings.push_back(mapping);
    }
  }
  return mappings;
}

}  // namespace

void ReleaseFilePages(const std::vector<MemoryRange>& ranges) noexcept {
  try {
    const std::vector<Mapping> mappings = FileMappings();
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    for (const MemoryRange& range : ranges) {
      const auto start = reinterpret_cast<uintptr_t>(range.start);
      const uintptr_t first = (start + page - 1) / page * page;
      const uintptr_t end = (start + range.bytes) / page * page;
      const bool of_file = std::any_of(mappings.begin(), mappings.end(), [&](const Mapping& mapping) {
        return mapping.start <= start && start + range.bytes <= mapping.end;
      });
      if (of_file && end > first) {
        // Of a file mapping this drops the process's view alone; of other memory it would drop the contents.
        madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
      }
    }
  } catch (const std::exception&) {
    return;  // out of memory: then so be it
  }
}

}  // namespace gabion
