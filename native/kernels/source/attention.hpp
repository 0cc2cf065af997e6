// Attention of one head over one text. Scores of a tile's rows stay in the first-level cache between the three steps.
#pragma once

#include "formats.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// One head's projections; `width` values each.
struct Head {
  const float* queries;  ///< [tokens, stride], scaled by log2(e) / sqrt(width)
  size_t stride;
  float* keys;    ///< [panels of kPanel tokens][width][kPanel]
  float* values;  ///< [panels of kPanel of the width][padded tokens][kPanel]
  size_t width;
};

GABION_INLINE size_t PaddedTokens(size_t tokens) { return (tokens + kPanel - 1) / kPanel * kPanel; }

/// Turns a row of scores into 2^(score - greatest) and returns the sum. Lanes beyond the tokens may hold anything.
GABION_INLINE float SoftmaxRow(float* scores, size_t tokens) {
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
    Store(scores + i, power);
  }
  if (rest > 0) {
    const Floats power = KeepFirst(PowerOf2(Subtract(Load(scores + whole), top)), rest, Splat(0));
    sum = Add(sum, power);
    Store(scores + whole, power);
  }
  return SumOf(sum);
}

/// `scores` has room for kTileRows rows of PaddedTokens + kPanel. Writes [tokens, width] at `context`.
GABION_INLINE void Attend(const Head& head, size_t tokens, float* scores, float* context, size_t context_stride) {
  const size_t padded = PaddedTokens(tokens);
  const size_t score_stride = padded + kPanel;
  const size_t tiles = (tokens + kTileRows - 1) / kTileRows;
  const size_t height = tokens / tiles;
  const size_t taller = tokens % tiles;
  for (size_t tile = 0, row = 0; tile < tiles; ++tile) {
    const size_t count = height + (tile < taller ? 1 : 0);
    const TileFunction run = Tiles<Float32>::kOf[count - 1];
    TileWork work{};
    work.rows = {head.queries + row * head.stride, head.stride, nullptr, 0};
    work.depth = head.width;
    work.result_stride = score_stride;
    for (size_t key = 0; key < padded; key += kPanel) {
      work.panel = head.keys + key * head.width;
      work.result = scores + key;
      run(work);
    }
    float factor[kTileRows];
    for (size_t i = 0; i < count; ++i) {
      factor[i] = 1.0F / SoftmaxRow(scores + i * score_stride, tokens);
    }
    float mixed[kTileRows * kPanel];
    work.rows = {scores, score_stride, nullptr, 0};
    work.depth = tokens;
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
