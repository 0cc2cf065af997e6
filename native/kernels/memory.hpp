// Cache-line-aligned memory for packed weights and workspaces. What differs by system is in memory.cpp.
#pragma once

#include <cstddef>
#include <memory>

namespace gabion::kernels {

struct AlignedDeleter {
  size_t mapped = 0;  ///< bytes of a mapping; 0: allocated
  void operator()(void* bytes) const noexcept;
};

/// A buffer that starts on a cache line. From the size of a large page on, it starts on one, has a mapping of its own,
/// and its memory returns to the system when it is freed.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t size);
  void* get() const noexcept { return bytes_.get(); }
  size_t size() const noexcept { return size_; }

 private:
  std::unique_ptr<void, AlignedDeleter> bytes_;
  size_t size_ = 0;
};

}  // namespace gabion::kernels
