#include "memory_room.hpp"

#if defined(_WIN32)
#include <windows.h>
#else
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

#include "control_groups.hpp"

namespace gabion {
namespace {

// Reading the groups' files takes some 50 µs: not for amounts that are small against any limit.
constexpr size_t kLookedUpFrom = size_t{32} << 20U;

/// What a group holds that cannot be dropped as a file's pages can.
uint64_t Held(const std::string& folder, bool second) {
  std::ifstream stream(folder + "/memory.stat");
  uint64_t sum = 0;
  std::string name;
  for (uint64_t value = 0; stream >> name >> value;) {
    const bool counts = second ? name == "anon" || name == "shmem" || name == "slab_unreclaimable" ||
                                     name == "kernel_stack" || name == "pagetables"
                               : name == "total_rss" || name == "total_shmem";
    sum += counts ? value : 0;
  }
  return sum;
}

/// What the tightest control group leaves.
uint64_t LeftByGroups() {
  uint64_t left = std::numeric_limits<uint64_t>::max();
  EachControlGroup("memory", [&left](const std::string& folder, bool second) {
    const std::string limit = FirstLine(folder + (second ? "/memory.max" : "/memory.limit_in_bytes"));
    if (limit.empty() || limit == "max") {
      return;
    }
    const uint64_t bytes = std::strtoull(limit.c_str(), nullptr, 10);
    const uint64_t held = Held(folder, second);
    left = std::min(left, bytes > held ? bytes - held : 0);
  });
  return left;
}

/// Whether the process's address space takes so much.
bool Addressable(size_t bytes) {
#if defined(_WIN32)
  void* memory = VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
  return memory != nullptr && VirtualFree(memory, 0, MEM_RELEASE) != 0;
#else
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory != MAP_FAILED && munmap(memory, bytes) == 0;
#endif
}

}  // namespace

bool HasRoomFor(size_t bytes) { return Addressable(bytes) && (bytes < kLookedUpFrom || bytes <= LeftByGroups()); }

}  // namespace gabion
