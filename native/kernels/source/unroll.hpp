// Loops that are unrolled by templates, so that arrays of vectors become registers in every compiler.
//
// Everything under source/ is compiled once per instruction set, inside a namespace of its own, and uses no function of
// the standard library: the linker would merge an inline function of all sets into one, perhaps that of the widest set.
#pragma once

#include <cstddef>
#include <cstdint>

#define GABION_INLINE inline __attribute__((always_inline))
#define GABION_NOINLINE __attribute__((noinline))
/// Head of the body of Unroll; the iteration is `decltype(index)::value`.
#define GABION_UNROLL_BODY [&](auto index) __attribute__((always_inline))

namespace gabion::kernels {
namespace GABION_VARIANT {

template <int value_>
struct UnrollIndex {
  static constexpr int value = value_;
};

template <int count, int next = 0, typename Body>
GABION_INLINE void Unroll(const Body& body) {
  if constexpr (next < count) {
    body(UnrollIndex<next>{});
    Unroll<count, next + 1>(body);
  }
}

template <typename T>
GABION_INLINE T Min(T a, T b) {
  return a < b ? a : b;
}

template <typename T>
GABION_INLINE T Max(T a, T b) {
  return a > b ? a : b;
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
