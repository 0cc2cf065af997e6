// Microkernels for arm64's matrix instructions (SMMLA, BFMMLA), which multiply two rows of 8 bytes by two columns: I8MM
// and, where the file is compiled for it, BF16. In panels 8 bytes of a column are contiguous.
#pragma once

#include "microkernels.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Pairs of columns in a panel.
constexpr int kColumnPairs = static_cast<int>(kNR) / 2;
/// Bytes of each row and column per step of K.
constexpr size_t kStepBytes = 8;

struct Int8Product {
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

/// One step of K of two rows, concatenated; a last row without a neighbor is duplicated.
template <int mr, int pair>
GABION_INLINE int8x16_t LoadRows(const int8_t* x, size_t stride) {
  const int8_t* first = x + 2 * pair * stride;
  const int8_t* second = 2 * pair + 1 < mr ? first + stride : first;
  return vcombine_s8(vld1_s8(first), vld1_s8(second));
}

/// Accumulates `steps` steps of K; each accumulator holds two rows by two columns. `stride` is in bytes.
template <typename Product, int mr>
GABION_INLINE void AddProducts(const int8_t* x, size_t stride, const int8_t* w, size_t steps, size_t prefetch_offset,
                               typename Product::Sum (&sum)[(mr + 1) / 2][kColumnPairs]) {
  constexpr int kPairs = (mr + 1) / 2;
  for (; steps > 0; --steps, x += kStepBytes, w += kStepBytes * kNR) {
    int8x16_t a[kPairs];
    Unroll<kPairs>(GABION_UNROLL_BODY { a[decltype(index)::value] = LoadRows<mr, decltype(index)::value>(x, stride); });
    Prefetch<kStepBytes * kNR, false>(w + prefetch_offset);
    Unroll<kColumnPairs>([&](auto column) __attribute__((always_inline)) {
      constexpr int kColumn = decltype(column)::value;
      const int8x16_t b = vld1q_s8(w + 2 * kStepBytes * kColumn);
      Unroll<kPairs>(GABION_UNROLL_BODY {
        constexpr int kPair = decltype(index)::value;
        sum[kPair][kColumn] = Product::Add(sum[kPair][kColumn], a[kPair], b);
        __asm__ volatile("" : "+w"(sum[kPair][kColumn]));
      });
    });
  }
}

/// Four columns of a row, from two accumulators of a pair of rows.
template <typename Product, int row, int quad, int pairs>
GABION_INLINE auto RowOf(const typename Product::Sum (&sum)[pairs][kColumnPairs]) {
  const auto a = sum[row / 2][2 * quad];
  const auto b = sum[row / 2][2 * quad + 1];
  return row % 2 == 0 ? Product::FirstRow(a, b) : Product::SecondRow(a, b);
}

template <typename Product, int pairs>
GABION_INLINE void Clear(typename Product::Sum (&sum)[pairs][kColumnPairs]) {
  Unroll<pairs>(GABION_UNROLL_BODY {
    constexpr int kPair = decltype(index)::value;
    Unroll<kColumnPairs>([&](auto column)
                             __attribute__((always_inline)) { sum[kPair][decltype(column)::value] = Product::Zero(); });
  });
}

/// As Int8Dot, two rows by two columns at a time.
struct Int8Matrix : Int8Dot {
  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    const auto* x = static_cast<const int8_t*>(args.a.values);
    const auto* w = static_cast<const int8_t*>(args.b);
    const float* scales = args.b_scales;
    const float* row_scales = args.a.scales;
    for (size_t done = 0; done < args.k; done += args.group, scales += 2 * kNR, row_scales += 2) {
      Int8Product::Sum sum[(mr + 1) / 2][kColumnPairs];
      Clear<Int8Product>(sum);
      AddProducts<Int8Product, mr>(x + done, args.a.stride, w + done * kNR, args.group / kStepBytes,
                                   args.prefetch_offset, sum);
      Unroll<mr>(GABION_UNROLL_BODY {
        constexpr int kRow = decltype(index)::value;
        const float* quantization = row_scales + kRow * args.a.scale_stride;
        const Vec scale = Set(quantization[0]);
        const Vec zero_point = Set(quantization[1]);
        Unroll<2>([&](auto half) __attribute__((always_inline)) {
          constexpr int kHalf = decltype(half)::value;
          const VecI32 whole{RowOf<Int8Product, kRow, 2 * kHalf>(sum), RowOf<Int8Product, kRow, 2 * kHalf + 1>(sum)};
          float* to = args.c + kRow * args.ldc + kHalf * kLanes;
          const Vec before = done == 0 ? Set(0) : Load(to);
          Store(to, MulAdd(scale, SubtractZeroPoint(whole, zero_point, scales + kHalf * kLanes), before));
        });
      });
    }
  }
};

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
/// As Bfloat16Dot, two rows by two columns at a time.
struct Bfloat16Matrix : Bfloat16Dot {
  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    Bfloat16Product::Sum sum[(mr + 1) / 2][kColumnPairs];
    Clear<Bfloat16Product>(sum);
    AddProducts<Bfloat16Product, mr>(static_cast<const int8_t*>(args.a.values), 2 * args.a.stride,
                                     static_cast<const int8_t*>(args.b), 2 * args.k / kStepBytes, args.prefetch_offset,
                                     sum);
    Unroll<mr>(GABION_UNROLL_BODY {
      constexpr int kRow = decltype(index)::value;
      float* to = args.c + kRow * args.ldc;
      Store(to, {RowOf<Bfloat16Product, kRow, 0>(sum), RowOf<Bfloat16Product, kRow, 1>(sum)});
      Store(to + kLanes, {RowOf<Bfloat16Product, kRow, 2>(sum), RowOf<Bfloat16Product, kRow, 3>(sum)});
    });
  }
};
#endif

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
