// Attention of one head over one text. Scores of a tile's rows stay in the first-level cache between the three steps.
#pragma once

#include "formats.hpp"
#include "workspace.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

GABION_INLINE size_t PaddedTokens(size_t tokens) { return (tokens + kPanel - 1) / kPanel * kPanel; }

// In float panels a step of depth is one row of the panel; in bf16 panels two steps lie side by side in each column.

GABION_INLINE void StoreRow(float* to, Floats v0, Floats v1) {
  Store(to, v0);
  Store(to + kLanes, v1);
}
GABION_INLINE void StoreRow(uint16_t* to, Floats v0, Floats v1) {
  StoreBfloat16(to, v0);
  StoreBfloat16(to + kLanes, v1);
}

/// kPanel values as a column of a panel. `room` holds kPanel floats.
GABION_INLINE void StoreColumn(float* panel, size_t column, Floats v0, Floats v1, float* room) {
  StoreRow(room, v0, v1);
  for (size_t i = 0; i < kPanel; ++i) {
    panel[i * kPanel + column] = room[i];
  }
}
GABION_INLINE void StoreColumn(uint16_t* panel, size_t column, Floats v0, Floats v1, float* room) {
  auto* pairs = reinterpret_cast<char*>(room);
  StoreRow(reinterpret_cast<uint16_t*>(pairs), v0, v1);
  for (size_t i = 0; i < kPanel / 2; ++i) {
    __builtin_memcpy(panel + 2 * (i * kPanel + column), pairs + 4 * i, 4);
  }
}

/// kPanel values as one of a panel's steps. Steps come in order: the first of a pair clears the other's half.
GABION_INLINE void StoreStep(float* panel, size_t step, Floats v0, Floats v1) {
  StoreRow(panel + step * kPanel, v0, v1);
}
GABION_INLINE void StoreStep(uint16_t* panel, size_t step, Floats v0, Floats v1) {
  uint16_t* to = panel + step / 2 * 2 * kPanel;
  if (step % 2 == 0) {
    StoreLowHalves(to, v0);
    StoreLowHalves(to + kPanel, v1);
  } else {
    StoreHighHalves(to, v0);
    StoreHighHalves(to + kPanel, v1);
  }
}

/// One head's projections in the layouts that tiles of a format read, and room for its scores.
template <typename F>
struct Head {
  using Value = typename F::Activation;

  GABION_INLINE Head(Cutter& cutter, size_t tokens, size_t width_of_head)
      : width(width_of_head), stride(width + kRowPadding), padded(PaddedTokens(tokens)) {
    // Softmax is computed with powers of two.
    query_scale = 1.44269504F / __builtin_sqrtf(static_cast<float>(width));
    queries = cutter.Take<Value>(tokens * stride);
    keys = cutter.Take<Value>(padded * width);
    values = cutter.Take<Value>(padded * width);
    const size_t count = kTileRows * (padded + kPanel);
    scores = cutter.Take<float>(count);
    if constexpr (__is_same(Value, float)) {
      shares = scores;
    } else {
      shares = cutter.Take<Value>(count);
    }
  }

  /// Keys beyond the last token are computed with and then ignored; they must only be finite.
  GABION_INLINE void Clear() const { __builtin_memset(keys, 0, padded * width * sizeof(Value)); }

  // kPanel of a token's numbers, from `at` within the width on.
  GABION_INLINE void PutQuery(size_t token, size_t at, Floats v0, Floats v1) const {
    StoreRow(queries + token * stride + at, Multiply(v0, Splat(query_scale)), Multiply(v1, Splat(query_scale)));
  }
  GABION_INLINE void PutKey(size_t token, size_t at, Floats v0, Floats v1, float* room) const {
    StoreColumn(keys + token / kPanel * kPanel * width + at * kPanel, token % kPanel, v0, v1, room);
  }
  /// Tokens come in order.
  GABION_INLINE void PutValue(size_t token, size_t at, Floats v0, Floats v1) const {
    StoreStep(values + at * padded, token, v0, v1);
  }
  /// Called when all tokens' numbers are there.
  GABION_INLINE void LayOut(size_t /*tokens*/) const {}

  size_t width;
  size_t stride;
  size_t padded;
  float query_scale;
  Value* queries;  ///< [tokens, stride], scaled by log2(e) / sqrt(width)
  Value* keys;     ///< panels of kPanel tokens, `width` deep
  Value* values;   ///< panels of kPanel of the width, as many tokens deep as are padded
  float* scores;   ///< kTileRows rows of padded + kPanel
  Value* shares;   ///< the scores' softmax: over the scores, or where it is narrower in memory of its own
};

GABION_INLINE void StoreShares(float* to, Floats v) { Store(to, v); }
GABION_INLINE void StoreShares(uint16_t* to, Floats v) { StoreBfloat16(to, v); }

/// The greatest of a row's scores; lanes beyond the tokens may hold anything.
GABION_INLINE float GreatestOfRow(const float* scores, size_t tokens) {
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
  return GreatestOf(greatest);
}

/// Writes 2^(score - greatest) of a row, zeros in the lanes behind its end, and returns the sum. Lanes of scores beyond
/// the tokens may hold anything; `shares` may be the scores.
template <typename Value>
GABION_INLINE float SoftmaxRow(const float* scores, size_t tokens, Value* shares) {
  const size_t whole = tokens / kLanes * kLanes;
  const int rest = static_cast<int>(tokens - whole);
  const Floats top = Splat(GreatestOfRow(scores, tokens));
  Floats sum = Splat(0);
  for (size_t i = 0; i < whole; i += kLanes) {
    const Floats power = PowerOf2(Subtract(Load(scores + i), top));
    sum = Add(sum, power);
    StoreShares(shares + i, power);
  }
  if (rest > 0) {
    const Floats power = KeepFirst(PowerOf2(Subtract(Load(scores + whole), top)), rest, Splat(0));
    sum = Add(sum, power);
    StoreShares(shares + whole, power);
  }
  return SumOf(sum);
}

/// Adds the biases by distance, if there are any, to `count` rows of scores, the first of which is that of token `row`.
GABION_INLINE void AddBiases(const float* distance_biases, size_t row, size_t count, size_t tokens, float* scores,
                             size_t stride) {
  if (distance_biases == nullptr) {
    return;
  }
  for (size_t i = 0; i < count; ++i, scores += stride) {
    const float* biases = distance_biases - (row + i);
    for (size_t at = 0; at < tokens; at += kLanes) {
      Store(scores + at, Add(Load(scores + at), Load(biases + at)));
    }
  }
}

/// Writes [tokens, width] at `context`. `distance_biases`: of this head, for distance 0; null: none.
template <typename F>
GABION_INLINE void Attend(const Head<F>& head, const float* distance_biases, size_t tokens, float* context,
                          size_t context_stride) {
  float* scores = head.scores;
  auto* shares = head.shares;
  const size_t row_stride = head.padded + kPanel;
  for (size_t row = 0, count = 0; row < tokens; row += count) {
    count = HeightOfTile(tokens - row, kTileRows);
    const TileFunction run = Tiles<F>::kOf[count - 1];
    TileWork work{};
    work.rows = {head.queries + row * head.stride, head.stride, nullptr, 0};
    work.depth = head.width;
    work.result_stride = row_stride;
    for (size_t key = 0; key < head.padded; key += kPanel) {
      work.panel = head.keys + key * head.width;
      work.result = scores + key;
      run(work);
    }
    AddBiases(distance_biases, row, count, head.padded, scores, row_stride);
    float factor[kTileRows];
    for (size_t i = 0; i < count; ++i) {
      factor[i] = 1.0F / SoftmaxRow(scores + i * row_stride, tokens, shares + i * row_stride);
    }
    float mixed[kTileRows * kPanel];
    work.rows = {shares, row_stride, nullptr, 0};
    // Whole steps of the format: the softmax of a token behind the last is zero.
    work.depth = __is_same(F, Float32) ? tokens : (tokens + 1) / 2 * 2;
    work.result = mixed;
    work.result_stride = kPanel;
    for (size_t at = 0; at < head.width; at += kPanel) {
      work.panel = head.values + at * head.padded;
      run(work);
      for (size_t i = 0; i < count; ++i) {
        float* to = context + (row + i) * context_stride + at;
        Store(to, Multiply(Load(mixed + i * kPanel), Splat(factor[i])));
        Store(to + kLanes, Multiply(Load(mixed + i * kPanel + kLanes), Splat(factor[i])));
      }
    }
  }
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
