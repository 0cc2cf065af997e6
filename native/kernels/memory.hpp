// Memory for packed weights and workspaces. What differs by system is in memory.cpp.
#pragma once

#include <cstddef>
#include <memory>

namespace gabion::kernels {

struct FreeAligned {
  size_t mapped = 0;  ///< bytes of a mapping; 0: allocated
  void operator()(void* bytes) const noexcept;
};

/// Memory that starts on a cache line; from the size of a large page on it starts on one, is mapped by itself and goes
/// back to the system when it is freed.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(size_t size);
  void* get() const noexcept { return bytes_.get(); }
  size_t size() const noexcept { return size_; }

 private:
  std::unique_ptr<void, FreeAligned> bytes_;
  size_t size_ = 0;
};

}  // namespace gabion::kernels
