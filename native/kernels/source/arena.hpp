// Allocation of the workspace of one run.
#pragma once

#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Added to the length of every row, so that rows of a power of two do not map to the same cache sets.
constexpr size_t kRowPadding = 16;

/// A bump allocator over a workspace; arrays start on cache lines. Without a workspace it only counts bytes.
class Arena {
 public:
  GABION_INLINE explicit Arena(void* start) : at_(static_cast<char*>(start)) {}
  template <typename T>
  GABION_INLINE T* Allocate(size_t count) {
    char* start = at_ == nullptr ? nullptr : at_ + used_;
    used_ += (count * sizeof(T) + 127) / 64 * 64;
    return reinterpret_cast<T*>(start);
  }
  GABION_INLINE size_t used() const { return used_; }

 private:
  char* at_;
  size_t used_ = 0;
};

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
