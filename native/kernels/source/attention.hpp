// Attention of one head over one text. Scores of a tile's rows stay in the first-level cache between the three steps.
#pragma once

#include "formats.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// One head's projections, `width` values each, in the layouts that the format's tiles read.
template <typename Value>
struct Head {
  const Value* queries;  ///< [tokens, stride], scaled by log2(e) / sqrt(width)
  size_t stride;
  Value* keys;    ///< panels of kPanel tokens, `width` deep
  Value* values;  ///< panels of kPanel of the width, as many tokens deep as are padded
  size_t width;
  const float* distance_biases;  ///< of this head, for distance 0; null: none
};

// In float panels a step of depth is one row of the panel; in bf16 panels two steps lie side by side in each column.

GABION_INLINE void PutQuery(float* to, Floats v0, Floats v1) {
  Store(to, v0);
  Store(to + kLanes, v1);
}
GABION_INLINE void PutQuery(uint16_t* to, Floats v0, Floats v1) {
  StoreBfloat16(to, v0);
  StoreBfloat16(to + kLanes, v1);
}

/// kPanel of a token's key values, at a column of a panel. `room` holds kPanel floats.
GABION_INLINE void PutKey(float* panel, size_t column, Floats v0, Floats v1, float* room) {
  Store(room, v0);
  Store(room + kLanes, v1);
  for (size_t i = 0; i < kPanel; ++i) {
    panel[i * kPanel + column] = room[i];
  }
}
GABION_INLINE void PutKey(uint16_t* panel, size_t column, Floats v0, Floats v1, float* room) {
  auto* pairs = reinterpret_cast<char*>(room);
  StoreBfloat16(reinterpret_cast<uint16_t*>(pairs), v0);
  StoreBfloat16(reinterpret_cast<uint16_t*>(pairs) + kLanes, v1);
  for (size_t i = 0; i < kPanel / 2; ++i) {
    __builtin_memcpy(panel + 2 * (i * kPanel + column), pairs + 4 * i, 4);
  }
}

/// kPanel of a token's values. Tokens come in order: the first of a pair clears the other's half.
GABION_INLINE void PutValue(float* panel, size_t token, Floats v0, Floats v1) {
  PutQuery(panel + token * kPanel, v0, v1);
}
GABION_INLINE void PutValue(uint16_t* panel, size_t token, Floats v0, Floats v1) {
  uint16_t* to = panel + token / 2 * 2 * kPanel;
  if (token % 2 == 0) {
    StoreLowHalves(to, v0);
    StoreLowHalves(to + kPanel, v1);
  } else {
    StoreHighHalves(to, v0);
    StoreHighHalves(to + kPanel, v1);
  }
}

/// Where a tile's softmax goes: over its scores, or narrowed into memory of its own.
template <typename Value>
struct ShareRows {
  template <typename Cutter>
  static GABION_INLINE Value* Take(Cutter& cutter, float* scores, size_t count) {
    if constexpr (__is_same(Value, float)) {
      return scores;
    } else {
      return cutter.template Take<Value>(count);
    }
  }
};

GABION_INLINE void PutShares(float* to, Floats v) { Store(to, v); }
GABION_INLINE void PutShares(uint16_t* to, Floats v) { StoreBfloat16(to, v); }

GABION_INLINE size_t PaddedTokens(size_t tokens) { return (tokens + kPanel - 1) / kPanel * kPanel; }

/// Writes 2^(score - greatest) of a row, zeros in the lanes behind its end, and returns the sum. Lanes of scores beyond
/// the tokens may hold anything; `shares` may be the scores.
template <typename Value>
GABION_INLINE float SoftmaxRow(const float* scores, size_t tokens, Value* shares) {
  const size_t whole = tokens / kLanes * kLanes;
  const int rest = static_cast<int>(tokens - whole);
  const Floats lowest = Splat(-3.0e38F);
  Floats greatest = lowest;
  for (size_t i = 0; i < whole; i += kLanes) {
    greatest = Greater(greatest, Load(scores + i));
  }
  if (rest > 0) {
    greatest = Greater(greatest, KeepFirst(Load(scores + whole), rest, lowest));
  }
  const Floats top = Splat(GreatestOf(greatest));
  Floats sum = Splat(0);
  for (size_t i = 0; i < whole; i += kLanes) {
    const Floats power = PowerOf2(Subtract(Load(scores + i), top));
    sum = Add(sum, power);
    PutShares(shares + i, power);
  }
  if (rest > 0) {
    const Floats power = KeepFirst(PowerOf2(Subtract(Load(scores + whole), top)), rest, Splat(0));
    sum = Add(sum, power);
    PutShares(shares + whole, power);
  }
  return SumOf(sum);
}

/// scores [0, n) += biases [0, n)
GABION_INLINE void AddBiases(float* scores, const float* biases, size_t n) {
  for (size_t i = 0; i < n; i += kLanes) {
    Store(scores + i, Add(Load(scores + i), Load(biases + i)));
  }
}

/// `scores` and `shares` have room for kTileRows rows of PaddedTokens + kPanel. Writes [tokens, width] at `context`.
template <typename F>
GABION_INLINE void Attend(const Head<typename F::Activation>& head, size_t tokens, float* scores,
                          typename F::Activation* shares, float* context, size_t context_stride) {
  const size_t padded = PaddedTokens(tokens);
  const size_t row_stride = padded + kPanel;
  const size_t tiles = (tokens + kTileRows - 1) / kTileRows;
  const size_t height = tokens / tiles;
  const size_t taller = tokens % tiles;
  for (size_t tile = 0, row = 0; tile < tiles; ++tile) {
    const size_t count = height + (tile < taller ? 1 : 0);
    const TileFunction run = Tiles<F>::kOf[count - 1];
    TileWork work{};
    work.rows = {head.queries + row * head.stride, head.stride, nullptr, 0};
    work.depth = head.width;
    work.result_stride = row_stride;
    for (size_t key = 0; key < padded; key += kPanel) {
      work.panel = head.keys + key * head.width;
      work.result = scores + key;
      run(work);
    }
    float factor[kTileRows];
    for (size_t i = 0; i < count; ++i) {
      if (head.distance_biases != nullptr) {
        AddBiases(scores + i * row_stride, head.distance_biases - (row + i), padded);
      }
      factor[i] = 1.0F / SoftmaxRow(scores + i * row_stride, tokens, shares + i * row_stride);
    }
    float mixed[kTileRows * kPanel];
    work.rows = {shares, row_stride, nullptr, 0};
    // Whole steps of the format: the softmax of a token behind the last is zero.
    work.depth = __is_same(F, Float32) ? tokens : (tokens + 1) / 2 * 2;
    work.result = mixed;
    work.result_stride = kPanel;
    for (size_t at = 0; at < head.width; at += kPanel) {
      work.panel = head.values + at * padded;
      run(work);
      for (size_t i = 0; i < count; ++i) {
        float* to = context + (row + i) * context_stride + at;
        Store(to, Multiply(Load(mixed + i * kPanel), Splat(factor[i])));
        Store(to + kLanes, Multiply(Load(mixed + i * kPanel + kLanes), Splat(factor[i])));
      }
    }
    row += count;
  }
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
