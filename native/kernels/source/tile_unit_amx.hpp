// The AMX instructions, one function each. The microkernels take the unit as a type, so that tests can replace it by a
// model in plain C++.
#pragma once

#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// The operand of LDTILECFG for palette 1: eight tiles of at most 16 rows of 64 bytes.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  GABION_INLINE void Set(int tile, size_t count, size_t bytes) {
    rows[tile] = static_cast<uint8_t>(count);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};
static_assert(sizeof(TileShapes) == 64);

// Inline assembly because GCC's intrinsics are macros that accept no template parameter.
struct TileUnit {
  static GABION_INLINE void Configure(const TileShapes& shapes) { __asm__ volatile("ldtilecfg %0" : : "m"(shapes)); }
  static GABION_INLINE void Release() { __asm__ volatile("tilerelease"); }
  template <int tile>
  static GABION_INLINE void Clear() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(tile));
  }
  /// `stride` is in bytes.
  template <int tile>
  static GABION_INLINE void Load(const void* from, size_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
  }
  template <int tile>
  static GABION_INLINE void Store(void* to, size_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
  }
  /// sum += a · b; a has rows of unsigned bytes; in b four signed bytes of a column are contiguous.
  template <int sum, int a, int b>
  static GABION_INLINE void DotBytes() {
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
  }
  /// sum += a · b; a has rows of bf16; in b two bf16 values of a column are contiguous.
  template <int sum, int a, int b>
  static GABION_INLINE void DotBfloat16() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sum), "i"(a), "i"(b));
  }
};

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
