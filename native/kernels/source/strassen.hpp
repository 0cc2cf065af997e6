// One level of Strassen's algorithm for the float formats: seven products of half the rows, depth and columns in place
// of eight (V. Strassen, "Gaussian elimination is not optimal", Numerische Mathematik 13, 1969).
//
// Float products run close to what the processor can multiply and add, so only fewer of them take less time. The sums
// of activations are made once for all columns. Those of weights are made in registers while the weights are read, and
// need no memory: where additions have ports of their own, they cost a tile of floats 2 % and one of bf16, which are
// widened first, 3 to 5 %. A second level would read four blocks for most tiles, which costs as much as it saves.
//
// The halves of the rows are the even and the odd ones, so a row's numbers depend on its neighbour in the text, not on
// where the text is cut; cuts must lie between pairs. A last row without a neighbour has one of zeros. The halves of
// the depth are its first and second one, those of the columns a panel and the next.
#pragma once

#include "formats.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Whether a format's products may go this way.
template <typename F>
constexpr bool kMayPair = kPairsFrom > 0 && (__is_same(F, Float32) || __is_same(F, Bfloat16Wide));

/// Whether they do in a text of so many rows.
template <typename F>
GABION_INLINE bool GoesInPairs(size_t rows) {
  return kMayPair<F> && rows >= kPairsFrom;
}

/// Tiles whose weights are the sum of two blocks, or their difference.
template <typename F, int sign>
struct OfTwoBlocks {
  static constexpr int kRows = F::kRows;

  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    FloatTile<F, rows, sign>(work);
  }
};

constexpr size_t kProducts = 7;
/// Added to the length of every pair's sums, so that they do not fall into the same cache sets.
constexpr size_t kSumPadding = 16;

GABION_INLINE size_t StrideOfSums(size_t depth) { return kProducts * (depth / 2) + kSumPadding; }
GABION_INLINE size_t CountOfSums(size_t rows, size_t depth) { return (rows + 1) / 2 * StrideOfSums(depth); }

/// Floats that the tiles of a product take: results of a panel and the next, then the seven products.
template <typename F>
constexpr size_t kTileFloats = (kMayPair<F> ? 4 + kProducts : 1) * F::kRows * kPanel;

/// The left factors of the seven products for each pair of rows, [pair][product][depth / 2].
GABION_NOINLINE inline void SumPairs(const float* rows, size_t stride, size_t count, size_t depth, float* sums) {
  const size_t half = depth / 2;
  for (size_t row = 0; row < count; row += 2, sums += StrideOfSums(depth)) {
    const float* even = rows + row * stride;
    const float* odd = even + stride;
    const bool alone = row + 1 == count;
    for (size_t i = 0; i < half; i += kLanes) {
      const Floats a11 = Load(even + i);
      const Floats a12 = Load(even + half + i);
      const Floats a21 = alone ? Splat(0) : Load(odd + i);
      const Floats a22 = alone ? Splat(0) : Load(odd + half + i);
      float* to = sums + i;
      Store(to, Add(a11, a22));
      Store(to + half, Add(a21, a22));
      Store(to + 2 * half, a11);
      Store(to + 3 * half, a22);
      Store(to + 4 * half, Add(a11, a12));
      Store(to + 5 * half, Subtract(a21, a11));
      Store(to + 6 * half, Subtract(a12, a22));
    }
  }
}

/// The results of `pairs` pairs of rows from their seven products, for the left panel and for the right one.
GABION_NOINLINE inline void Combine(const float* products, size_t product_floats, size_t pairs, float* left,
                                    float* right) {
  for (size_t i = 0; i < pairs; ++i) {
    for (size_t at = 0; at < kPanel; at += kLanes) {
      const float* from = products + i * kPanel + at;
      Floats m[kProducts];
      Repeat<kProducts>(GABION_EACH {
        constexpr int kNumber = decltype(index)::value;
        m[kNumber] = Load(from + kNumber * product_floats);
      });
      const size_t to = 2 * i * kPanel + at;
      Store(left + to, Add(Add(m[0], m[3]), Subtract(m[6], m[4])));
      Store(left + to + kPanel, Add(m[1], m[3]));
      Store(right + to, Add(m[2], m[4]));
      Store(right + to + kPanel, Add(Subtract(m[0], m[1]), Add(m[2], m[5])));
    }
  }
}

/// One tile of `pairs` pairs of rows by a panel and the next one. `work` has the first pair's sums and the first panel,
/// `bytes` is the size of each panel. Leaves the results of both panels in `tile`, one behind the other.
template <typename F>
GABION_NOINLINE void PairTile(TileWork work, size_t pairs, size_t bytes, float* tile) {
  constexpr size_t kFloats = F::kRows * kPanel;  // of one product
  const size_t half = work.depth / 2;
  const float* sums = work.rows.sums;
  float* right = tile + 2 * kFloats;
  float* products = right + 2 * kFloats;
  const char* b11 = static_cast<const char*>(work.panel);
  const char* b21 = b11 + bytes / 2;
  const char* b12 = b11 + bytes;
  const char* b22 = b12 + bytes / 2;
  const size_t ahead = work.ahead;
  work.rows.stride = StrideOfSums(work.depth);
  work.depth = half;
  const auto multiply = [&](TileFunction run, size_t product, const char* block, const char* other, size_t fetch) {
    work.rows.values = sums + (product - 1) * half;
    work.panel = block;
    work.other = static_cast<size_t>(other - block);
    work.ahead = fetch;
    work.result = products + (product - 1) * kFloats;
    run(work);
  };
  const TileFunction one = Tiles<F>::kOf[pairs - 1];
  const TileFunction sum = Tiles<OfTwoBlocks<F, 1>>::kOf[pairs - 1];
  const TileFunction difference = Tiles<OfTwoBlocks<F, -1>>::kOf[pairs - 1];
  // In an order that finds a block of the product before in the first-level cache. Each block has one product that asks
  // for what comes behind it.
  multiply(one, 2, b11, b11, ahead);
  multiply(sum, 6, b12, b11, ahead);
  multiply(difference, 3, b12, b22, 0);
  multiply(one, 5, b22, b22, ahead);
  multiply(sum, 7, b21, b22, ahead);
  multiply(difference, 4, b21, b11, 0);
  multiply(sum, 1, b11, b22, 0);
  Combine(products, kFloats, pairs, tile, right);
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
