// Loops that are unrolled before the optimizer sees them, so that arrays of vectors become registers in every compiler.
//
// Everything under source/ is compiled once an instruction set, inside a namespace of its own, and uses no function of
// the standard library: an inline one would be merged by the linker over all sets, and the widest could win.
#pragma once

#include <cstddef>
#include <cstdint>

#define GABION_INLINE inline __attribute__((always_inline))
#define GABION_NOINLINE __attribute__((noinline))
/// Head of the body of Repeat; the position is `decltype(index)::value`.
#define GABION_EACH [&](auto index) __attribute__((always_inline))

namespace gabion::kernels {
namespace GABION_VARIANT {

template <int value_>
struct Position {
  static constexpr int value = value_;
};

template <int count, int next = 0, typename Body>
GABION_INLINE void Repeat(const Body& body) {
  if constexpr (next < count) {
    body(Position<next>{});
    Repeat<count, next + 1>(body);
  }
}

template <typename T>
GABION_INLINE T Smaller(T a, T b) {
  return a < b ? a : b;
}

template <typename T>
GABION_INLINE T Larger(T a, T b) {
  return a > b ? a : b;
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
