// How the memory of one run is shared out.
#pragma once

#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Added to every row's length, so that rows of a power of two do not fall into the same cache sets.
constexpr size_t kRowPadding = 16;

/// Cuts a workspace into arrays that start on cache lines; counts bytes when there is no workspace yet.
class Cutter {
 public:
  GABION_INLINE explicit Cutter(void* start) : at_(static_cast<char*>(start)) {}
  template <typename T>
  GABION_INLINE T* Take(size_t count) {
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
