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

// The C library's allocator does not return a freed block of this size to the system: models that are loaded and closed
// would leave fragmented holes behind. ASan has to see the end of each block, so under ASan all blocks are allocated.
#ifdef __SANITIZE_ADDRESS__
constexpr size_t kMappedFrom = std::numeric_limits<size_t>::max();
#else
constexpr size_t kMappedFrom = kLargePage;
#endif

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

#if defined(_WIN32)
// Large pages need a privilege on Windows; ordinary mappings start on 64 KB.
void* Map(size_t bytes) noexcept { return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE); }
void Unmap(void* start, size_t /*bytes*/) noexcept { VirtualFree(start, 0, MEM_RELEASE); }
void* Allocate(size_t bytes) noexcept { return _aligned_malloc(bytes, kCacheLine); }
void Free(void* bytes) noexcept { _aligned_free(bytes); }
#else
/// Memory that starts on a large page; null if there is none. All weights are read for every text: with small pages
/// each 4 KB would cost a TLB miss.
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
  madvise(start + before, bytes, MADV_HUGEPAGE);  // advisory: failure costs only speed
#endif
  return start + before;
}
void Unmap(void* start, size_t bytes) noexcept { munmap(start, bytes); }
void* Allocate(size_t bytes) noexcept { return std::aligned_alloc(kCacheLine, bytes); }
void Free(void* bytes) noexcept { std::free(bytes); }  // NOLINT(cppcoreguidelines-no-malloc): of aligned_alloc
#endif

}  // namespace

AlignedBuffer::AlignedBuffer(size_t size) : size_(size) {
  if (size >= kMappedFrom) {
    const size_t rounded = RoundUp(size, kLargePage);
    bytes_ = std::unique_ptr<void, AlignedDeleter>(Map(rounded), AlignedDeleter{rounded});
  } else {
    bytes_.reset(Allocate(RoundUp(size, kCacheLine)));
  }
  if (bytes_ == nullptr) {
    throw std::bad_alloc();
  }
}

void AlignedDeleter::operator()(void* bytes) const noexcept {
  if (mapped > 0) {
    Unmap(bytes, mapped);
  } else {
    Free(bytes);
  }
}

}  // namespace gabion::kernels
