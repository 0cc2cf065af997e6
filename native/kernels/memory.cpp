#include "memory.hpp"

#if defined(_WIN32)
#include <malloc.h>
#include <windows.h>
#else
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <new>

namespace gabion::kernels {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kLargePage = size_t{2} << 20U;

// The C library's allocator never gives a hole of this size back to the system: models that come and go would leave
// their places behind, full of what small blocks have made of them. ASan must see the end of each block, so there it
// has them all.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kMappedFrom = std::numeric_limits<size_t>::max();
#else
constexpr size_t kMappedFrom = kLargePage;
#endif

size_t RoundedUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

#if defined(_WIN32)
// Large pages need a privilege there; ordinary ones begin on 64 KB.
void* Map(size_t bytes) noexcept { return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
void Unmap(void* start, size_t /*bytes*/) noexcept { VirtualFree(start, 0, MEM_RELEASE); }
void* Allocate(size_t bytes) noexcept { return _aligned_malloc(bytes, kCacheLine); }
void Free(void* bytes) noexcept { _aligned_free(bytes); }
#else
/// Memory that starts on a large page; null where there is none. Weights are read from end to end for every text: with
/// small pages each 4 KB would cost a search of the page tables.
void* Map(size_t bytes) noexcept {
  void* mapped = mmap(nullptr, bytes + kLargePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    return nullptr;
  }
  auto* const start = static_cast<char*>(mapped);
  const size_t before = (kLargePage - reinterpret_cast<uintptr_t>(start) % kLargePage) % kLargePage;
  if (before > 0) {
    munmap(start, before);
  }
  munmap(start + before + bytes, kLargePage - before);
#ifdef MADV_HUGEPAGE
  madvise(start + before, bytes, MADV_HUGEPAGE);  // a wish; without it everything works as well
#endif
  return start + before;
}
void Unmap(void* start, size_t bytes) noexcept { munmap(start, bytes); }
void* Allocate(size_t bytes) noexcept { return std::aligned_alloc(kCacheLine, bytes); }
void Free(void* bytes) noexcept { std::free(bytes); }  // NOLINT(cppcoreguidelines-no-malloc): of aligned_alloc
#endif

}  // namespace

AlignedBytes::AlignedBytes(size_t size) : size_(size) {
  if (size >= kMappedFrom) {
    const size_t rounded = RoundedUp(size, kLargePage);
    bytes_ = std::unique_ptr<void, FreeAligned>(Map(rounded), FreeAligned{rounded});
  } else {
    bytes_.reset(Allocate(RoundedUp(size, kCacheLine)));
  }
  if (bytes_ == nullptr) {
    throw std::bad_alloc();
  }
}

void FreeAligned::operator()(void* bytes) const noexcept {
  if (mapped > 0) {
    Unmap(bytes, mapped);
  } else {
    Free(bytes);
  }
}

}  // namespace gabion::kernels
