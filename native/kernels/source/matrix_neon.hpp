// Register tiles for arm64's matrix instructions, which multiply two rows of 8 bytes by two columns: I8MM and, where
// the file is compiled for it, BF16. Panels hold 8 bytes of a column side by side.
#pragma once

#include "formats.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Pairs of columns in a panel.
constexpr int kColumnPairs = static_cast<int>(kPanel) / 2;
/// What one step takes from each row and column.
constexpr size_t kStepBytes = 8;

struct ByteProduct {
  using Sum = int32x4_t;
  static GABION_INLINE Sum Zero() { return vdupq_n_s32(0); }
  static GABION_INLINE Sum Add(Sum sum, int8x16_t rows, int8x16_t columns) { return vmmlaq_s32(sum, rows, columns); }
  static GABION_INLINE Sum FirstRow(Sum a, Sum b) {
    return vreinterpretq_s32_s64(vuzp1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
  }
  static GABION_INLINE Sum SecondRow(Sum a, Sum b) {
    return vreinterpretq_s32_s64(vuzp2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
  }
};

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
struct Bfloat16Product {
  using Sum = float32x4_t;
  static GABION_INLINE Sum Zero() { return vdupq_n_f32(0); }
  static GABION_INLINE Sum Add(Sum sum, int8x16_t rows, int8x16_t columns) {
    return vbfmmlaq_f32(sum, vreinterpretq_bf16_s8(rows), vreinterpretq_bf16_s8(columns));
  }
  static GABION_INLINE Sum FirstRow(Sum a, Sum b) {
    return vreinterpretq_f32_s64(vuzp1q_s64(vreinterpretq_s64_f32(a), vreinterpretq_s64_f32(b)));
  }
  static GABION_INLINE Sum SecondRow(Sum a, Sum b) {
    return vreinterpretq_f32_s64(vuzp2q_s64(vreinterpretq_s64_f32(a), vreinterpretq_s64_f32(b)));
  }
};
#endif

/// The same step of two rows side by side; a row without a neighbour stands beside itself.
template <int rows, int pair>
GABION_INLINE int8x16_t LoadRows(const int8_t* x, size_t stride) {
  const int8_t* first = x + 2 * pair * stride;
  const int8_t* second = 2 * pair + 1 < rows ? first + stride : first;
  return vcombine_s8(vld1_s8(first), vld1_s8(second));
}

/// Adds `steps` steps to the sums of a tile, each of which is two rows by two columns. `stride` is in bytes.
template <typename Product, int rows>
GABION_INLINE void AddProducts(const int8_t* x, size_t stride, const int8_t* w, size_t steps, size_t ahead,
                               typename Product::Sum (&sum)[(rows + 1) / 2][kColumnPairs]) {
  constexpr int kPairs = (rows + 1) / 2;
  for (; steps > 0; --steps, x += kStepBytes, w += kStepBytes * kPanel) {
    int8x16_t a[kPairs];
    Repeat<kPairs>(GABION_EACH { a[decltype(index)::value] = LoadRows<rows, decltype(index)::value>(x, stride); });
    Prefetch<kStepBytes * kPanel, false>(w + ahead);
    Repeat<kColumnPairs>([&](auto column) __attribute__((always_inline)) {
      constexpr int kColumn = decltype(column)::value;
      const int8x16_t b = vld1q_s8(w + 2 * kStepBytes * kColumn);
      Repeat<kPairs>(GABION_EACH {
        constexpr int kPair = decltype(index)::value;
        sum[kPair][kColumn] = Product::Add(sum[kPair][kColumn], a[kPair], b);
        __asm__ volatile("" : "+w"(sum[kPair][kColumn]));
      });
    });
  }
}

/// Four columns of a row, from two sums of a pair of rows.
template <typename Product, int row, int quad, int pairs>
GABION_INLINE auto RowOf(const typename Product::Sum (&sum)[pairs][kColumnPairs]) {
  const auto a = sum[row / 2][2 * quad];
  const auto b = sum[row / 2][2 * quad + 1];
  return row % 2 == 0 ? Product::FirstRow(a, b) : Product::SecondRow(a, b);
}

template <typename Product, int pairs>
GABION_INLINE void Clear(typename Product::Sum (&sum)[pairs][kColumnPairs]) {
  Repeat<pairs>(GABION_EACH {
    constexpr int kPair = decltype(index)::value;
    Repeat<kColumnPairs>([&](auto column)
                             __attribute__((always_inline)) { sum[kPair][decltype(column)::value] = Product::Zero(); });
  });
}

/// As Int8Dot, two rows by two columns at a time.
struct Int8Matrix : Int8Dot {
  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    const auto* x = static_cast<const int8_t*>(work.rows.values);
    const auto* w = static_cast<const int8_t*>(work.panel);
    const float* scales = work.scales;
    const float* row_scales = work.rows.scales;
    for (size_t done = 0; done < work.depth; done += work.group, scales += 2 * kPanel, row_scales += 2) {
      ByteProduct::Sum sum[(rows + 1) / 2][kColumnPairs];
      Clear<ByteProduct>(sum);
      AddProducts<ByteProduct, rows>(x + done, work.rows.stride, w + done * kPanel, work.group / kStepBytes, work.ahead,
                                     sum);
      Repeat<rows>(GABION_EACH {
        constexpr int kRow = decltype(index)::value;
        const float* of_row = row_scales + kRow * work.rows.scale_stride;
        const Floats scale = Splat(of_row[0]);
        const Floats zero = Splat(of_row[1]);
        Repeat<2>([&](auto half) __attribute__((always_inline)) {
          constexpr int kHalf = decltype(half)::value;
          const Ints whole{RowOf<ByteProduct, kRow, 2 * kHalf>(sum), RowOf<ByteProduct, kRow, 2 * kHalf + 1>(sum)};
          float* to = work.result + kRow * work.result_stride + kHalf * kLanes;
          const Floats before = done == 0 ? Splat(0) : Load(to);
          Store(to, MultiplyAdd(scale, WithoutZero(whole, zero, scales + kHalf * kLanes), before));
        });
      });
    }
  }
};

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
/// As Bfloat16Dot, two rows by two columns at a time.
struct Bfloat16Matrix : Bfloat16Dot {
  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    Bfloat16Product::Sum sum[(rows + 1) / 2][kColumnPairs];
    Clear<Bfloat16Product>(sum);
    AddProducts<Bfloat16Product, rows>(static_cast<const int8_t*>(work.rows.values), 2 * work.rows.stride,
                                       static_cast<const int8_t*>(work.panel), 2 * work.depth / kStepBytes, work.ahead,
                                       sum);
    Repeat<rows>(GABION_EACH {
      constexpr int kRow = decltype(index)::value;
      float* to = work.result + kRow * work.result_stride;
      Store(to, {RowOf<Bfloat16Product, kRow, 0>(sum), RowOf<Bfloat16Product, kRow, 1>(sum)});
      Store(to + kLanes, {RowOf<Bfloat16Product, kRow, 2>(sum), RowOf<Bfloat16Product, kRow, 3>(sum)});
    });
  }
};
#endif

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
