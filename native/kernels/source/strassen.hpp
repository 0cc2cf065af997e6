// One level of Strassen's algorithm for the float formats: seven products of half M, N and K instead of eight
// (V. Strassen, "Gaussian elimination is not optimal", Numerische Mathematik 13, 1969).
//
// Float GEMMs run close to the processor's peak FMA rate, so only fewer multiply-adds take less time. The sums of
// activations are formed once for all columns. The sums of weights are formed in registers while the weights are read,
// and need no memory: where additions have their own ports, they cost 2 % of a float microkernel and 3 to 5 % of a bf16
// one, whose weights are promoted first. A second level would read four blocks for most tiles, which costs as much as
// it saves.
//
// The halves of M are the even and the odd rows, so the numbers of a row depend on its neighbor in the text, not on how
// the text is divided into chunks; chunks must start at even rows. A last row without a neighbor is paired with zeros.
// The halves of K are its first and its second half, the halves of N a panel and the next one.
#pragma once

#include "microkernels.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Whether a format's GEMM may use Strassen's algorithm.
template <typename F>
constexpr bool kMayUseStrassen = kStrassenMinRows > 0 && (__is_same(F, Float32) || __is_same(F, Bfloat16Wide));

/// Whether it does for so many rows.
template <typename F>
GABION_INLINE bool UsesStrassen(size_t rows) {
  return kMayUseStrassen<F> && rows >= kStrassenMinRows;
}

/// Microkernels whose B operand is the sum or the difference of two blocks.
template <typename F, int sign>
struct BlockSum {
  static constexpr int kMR = F::kMR;

  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    FloatUkernel<F, mr, sign>(args);
  }
};

constexpr size_t kProducts = 7;
/// Added to the length of the sums of every pair, so that they do not map to the same cache sets.
constexpr size_t kSumPadding = 16;

GABION_INLINE size_t StrassenSumStride(size_t k) { return kProducts * (k / 2) + kSumPadding; }
GABION_INLINE size_t StrassenSumCount(size_t rows, size_t k) { return (rows + 1) / 2 * StrassenSumStride(k); }

/// Floats of the C tiles: results for a panel and the next one, then the seven products.
template <typename F>
constexpr size_t kTileFloats = (kMayUseStrassen<F> ? 4 + kProducts : 1) * F::kMR * kNR;

/// The left operands of the seven products per pair of rows, [pair][product][k / 2].
GABION_NOINLINE inline void FormStrassenSums(const float* rows, size_t stride, size_t count, size_t k,
                                             float* strassen_sums) {
  const size_t half = k / 2;
  for (size_t row = 0; row < count; row += 2, strassen_sums += StrassenSumStride(k)) {
    const float* even = rows + row * stride;
    const float* odd = even + stride;
    const bool unpaired = row + 1 == count;
    for (size_t i = 0; i < half; i += kLanes) {
      const Vec a11 = Load(even + i);
      const Vec a12 = Load(even + half + i);
      const Vec a21 = unpaired ? Set(0) : Load(odd + i);
      const Vec a22 = unpaired ? Set(0) : Load(odd + half + i);
      float* to = strassen_sums + i;
      Store(to, Add(a11, a22));
      Store(to + half, Add(a21, a22));
      Store(to + 2 * half, a11);
      Store(to + 3 * half, a22);
      Store(to + 4 * half, Add(a11, a12));
      Store(to + 5 * half, Sub(a21, a11));
      Store(to + 6 * half, Sub(a12, a22));
    }
  }
}

/// The results of `pairs` pairs of rows from the seven products, for the left panel and the right one.
GABION_NOINLINE inline void CombineProducts(const float* products, size_t product_floats, size_t pairs, float* left,
                                            float* right) {
  for (size_t i = 0; i < pairs; ++i) {
    for (size_t at = 0; at < kNR; at += kLanes) {
      const float* from = products + i * kNR + at;
      Vec m[kProducts];
      Unroll<kProducts>(GABION_UNROLL_BODY {
        constexpr int kNumber = decltype(index)::value;
        m[kNumber] = Load(from + kNumber * product_floats);
      });
      const size_t to = 2 * i * kNR + at;
      Store(left + to, Add(Add(m[0], m[3]), Sub(m[6], m[4])));
      Store(left + to + kNR, Add(m[1], m[3]));
      Store(right + to, Add(m[2], m[4]));
      Store(right + to + kNR, Add(Sub(m[0], m[1]), Add(m[2], m[5])));
    }
  }
}

/// C of `pairs` pairs of rows by a panel and the next one. `args` has the first pair's sums and the first panel;
/// `bytes` is the size of each panel. Writes the results for both panels to `tile`, one after the other.
template <typename F>
GABION_NOINLINE void StrassenUkernel(UkernelArgs args, size_t pairs, size_t bytes, float* tile) {
  constexpr size_t kFloats = F::kMR * kNR;  // of one product
  const size_t half = args.k / 2;
  const float* strassen_sums = args.a.strassen_sums;
  float* right = tile + 2 * kFloats;
  float* products = right + 2 * kFloats;
  const char* b11 = static_cast<const char*>(args.b);
  const char* b21 = b11 + bytes / 2;
  const char* b12 = b11 + bytes;
  const char* b22 = b12 + bytes / 2;
  const size_t prefetch_offset = args.prefetch_offset;
  args.a.stride = StrassenSumStride(args.k);
  args.k = half;
  const auto multiply = [&](UkernelFunction run, size_t product, const char* block, const char* second_block,
                            size_t prefetch) {
    args.a.values = strassen_sums + (product - 1) * half;
    args.b = block;
    args.second_block = static_cast<size_t>(second_block - block);
    args.prefetch_offset = prefetch;
    args.c = products + (product - 1) * kFloats;
    run(args);
  };
  const UkernelFunction one = Ukernels<F>::kByRows[pairs - 1];
  const UkernelFunction sum = Ukernels<BlockSum<F, 1>>::kByRows[pairs - 1];
  const UkernelFunction difference = Ukernels<BlockSum<F, -1>>::kByRows[pairs - 1];
  // In an order that finds a block of the previous product in L1. One product per block prefetches what follows it.
  multiply(one, 2, b11, b11, prefetch_offset);
  multiply(sum, 6, b12, b11, prefetch_offset);
  multiply(difference, 3, b12, b22, 0);
  multiply(one, 5, b22, b22, prefetch_offset);
  multiply(sum, 7, b21, b22, prefetch_offset);
  multiply(difference, 4, b21, b11, 0);
  multiply(sum, 1, b11, b22, 0);
  CombineProducts(products, kFloats, pairs, tile, right);
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
