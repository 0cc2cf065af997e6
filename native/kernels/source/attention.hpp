// Attention of one head over one text: scores = Q·Kᵀ, weights = softmax(scores), context = weights·V. The scores of a
// tile's rows stay in L1 between the three steps.
#pragma once

#include "arena.hpp"
#include "microkernels.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

GABION_INLINE size_t PaddedTokens(size_t tokens) { return (tokens + kNR - 1) / kNR * kNR; }

// In float panels one value of K is one row of the panel; in bf16 panels two values of K are interleaved per column.

GABION_INLINE void StoreRow(float* to, Vec v0, Vec v1) {
  Store(to, v0);
  Store(to + kLanes, v1);
}
GABION_INLINE void StoreRow(uint16_t* to, Vec v0, Vec v1) {
  StoreBfloat16(to, v0);
  StoreBfloat16(to + kLanes, v1);
}

/// Stores kNR values as a column of a panel. `scratch` holds kNR floats.
GABION_INLINE void StoreColumn(float* panel, size_t column, Vec v0, Vec v1, float* scratch) {
  StoreRow(scratch, v0, v1);
  for (size_t i = 0; i < kNR; ++i) {
    panel[i * kNR + column] = scratch[i];
  }
}
GABION_INLINE void StoreColumn(uint16_t* panel, size_t column, Vec v0, Vec v1, float* scratch) {
  auto* pairs = reinterpret_cast<char*>(scratch);
  StoreRow(reinterpret_cast<uint16_t*>(pairs), v0, v1);
  for (size_t i = 0; i < kNR / 2; ++i) {
    __builtin_memcpy(panel + 2 * (i * kNR + column), pairs + 4 * i, 4);
  }
}

/// Stores kNR values as one row of a panel, `step` along K. Steps must come in order: the first of a pair clears the
/// other one.
GABION_INLINE void StoreStep(float* panel, size_t step, Vec v0, Vec v1) { StoreRow(panel + step * kNR, v0, v1); }
GABION_INLINE void StoreStep(uint16_t* panel, size_t step, Vec v0, Vec v1) {
  uint16_t* to = panel + step / 2 * 2 * kNR;
  if (step % 2 == 0) {
    StoreEvenBfloat16(to, v0);
    StoreEvenBfloat16(to + kNR, v1);
  } else {
    StoreOddBfloat16(to, v0);
    StoreOddBfloat16(to + kNR, v1);
  }
}

/// One head's projections in the layouts that a format's microkernels read, and buffers for its scores.
template <typename F>
struct Head {
  using Value = typename F::Activation;

  GABION_INLINE Head(Arena& arena, size_t tokens, size_t head_width)
      : width(head_width), stride(width + kRowPadding), padded(PaddedTokens(tokens)) {
    // The softmax is computed in powers of two.
    query_scale = 1.44269504F / __builtin_sqrtf(static_cast<float>(width));
    queries = arena.Allocate<Value>(tokens * stride);
    keys = arena.Allocate<Value>(padded * width);
    values = arena.Allocate<Value>(padded * width);
    const size_t count = kVectorMR * (padded + kNR);
    scores = arena.Allocate<float>(count);
    if constexpr (__is_same(Value, float)) {
      weights = scores;
    } else {
      weights = arena.Allocate<Value>(count);
    }
  }

  /// Keys beyond the last token enter the computation and their scores are ignored; they must only be finite.
  GABION_INLINE void ClearPadding() const { __builtin_memset(keys, 0, padded * width * sizeof(Value)); }

  // Each stores kNR values of a token, starting at column `at` of the head.
  GABION_INLINE void StoreQuery(size_t token, size_t at, Vec v0, Vec v1) const {
    StoreRow(queries + token * stride + at, Mul(v0, Set(query_scale)), Mul(v1, Set(query_scale)));
  }
  GABION_INLINE void StoreKey(size_t token, size_t at, Vec v0, Vec v1, float* scratch) const {
    StoreColumn(keys + token / kNR * kNR * width + at * kNR, token % kNR, v0, v1, scratch);
  }
  /// Tokens must come in order.
  GABION_INLINE void StoreValue(size_t token, size_t at, Vec v0, Vec v1) const {
    StoreStep(values + at * padded, token, v0, v1);
  }
  /// Called when all tokens are stored.
  GABION_INLINE void Finish(size_t /*tokens*/) const {}

  size_t width;
  size_t stride;
  size_t padded;
  float query_scale;
  Value* queries;  ///< [tokens, stride], scaled by log2(e) / sqrt(width)
  Value* keys;     ///< panels of kNR tokens, K = width
  Value* values;   ///< panels of kNR columns of the head, K = padded tokens
  float* scores;   ///< kVectorMR rows of padded + kNR
  Value* weights;  ///< attention weights: in place of the scores for float, else in their own buffer
};

GABION_INLINE void StoreWeights(float* to, Vec v) { Store(to, v); }
GABION_INLINE void StoreWeights(uint16_t* to, Vec v) { StoreBfloat16(to, v); }

/// The maximum of a row of scores; lanes beyond the tokens may hold anything.
GABION_INLINE float RowMax(const float* scores, size_t tokens) {
  const size_t whole = tokens / kLanes * kLanes;
  const int rest = static_cast<int>(tokens - whole);
  const Vec lowest = Set(-3.0e38F);
  Vec max = lowest;
  for (size_t i = 0; i < whole; i += kLanes) {
    max = Max(max, Load(scores + i));
  }
  if (rest > 0) {
    max = Max(max, IfThenElse(FirstN(rest), Load(scores + whole), lowest));
  }
  return ReduceMax(max);
}

/// Writes 2^(score - max) of a row, zeros in the lanes beyond its end, and returns their sum: the attention weights
/// before normalization. Lanes of scores beyond the tokens may hold anything; `weights` may be the scores.
template <typename Value>
GABION_INLINE float SoftmaxRow(const float* scores, size_t tokens, Value* weights) {
  const size_t whole = tokens / kLanes * kLanes;
  const int rest = static_cast<int>(tokens - whole);
  const Vec max = Set(RowMax(scores, tokens));
  Vec sum = Set(0);
  for (size_t i = 0; i < whole; i += kLanes) {
    const Vec power = Exp2(Sub(Load(scores + i), max));
    sum = Add(sum, power);
    StoreWeights(weights + i, power);
  }
  if (rest > 0) {
    const Vec power = IfThenElse(FirstN(rest), Exp2(Sub(Load(scores + whole), max)), Set(0));
    sum = Add(sum, power);
    StoreWeights(weights + whole, power);
  }
  return ReduceSum(sum);
}

/// Adds the relative position biases, if there are any, to `count` rows of scores, the first of which is token `row`.
GABION_INLINE void AddRelativeBiases(const float* relative_biases, size_t row, size_t count, size_t tokens,
                                     float* scores, size_t stride) {
  if (relative_biases == nullptr) {
    return;
  }
  for (size_t i = 0; i < count; ++i, scores += stride) {
    const float* biases = relative_biases - (row + i);
    for (size_t at = 0; at < tokens; at += kLanes) {
      Store(scores + at, Add(Load(scores + at), Load(biases + at)));
    }
  }
}

/// The keys from `first` to `end` that a tile of queries looks at.
struct KeyRange {
  size_t first;
  size_t end;
};

/// The keys within `window` of `count` rows from `row` on, in whole panels; all where the window is 0.
GABION_INLINE KeyRange KeysWithin(size_t window, size_t row, size_t count, size_t padded) {
  if (window == 0) {
    return {0, padded};
  }
  const size_t first = row > window ? row - window : 0;
  return {first / kNR * kNR, Min(padded, PaddedTokens(row + count + window))};
}

/// Lowers the scores of keys beyond the window so far that their weights are nothing next to the others'.
GABION_NOINLINE inline void MaskBeyond(size_t window, KeyRange keys, size_t row, size_t count, float* scores,
                                       size_t stride) {
  constexpr float kBeyond = -1e6F;
  if (window == 0) {
    return;
  }
  for (size_t i = 0; i < count; ++i, scores += stride) {
    const size_t token = row + i;
    for (size_t key = keys.first; key + window < token; ++key) {
      scores[key] = kBeyond;
    }
    for (size_t key = token + window + 1; key < keys.end; ++key) {
      scores[key] = kBeyond;
    }
  }
}

/// Writes [tokens, width] at `context`. `relative_biases` points to the bias of this head for distance 0; null: none.
template <typename F>
GABION_INLINE void Attend(const Head<F>& head, const float* relative_biases, size_t window, size_t tokens,
                          float* context, size_t context_stride) {
  float* scores = head.scores;
  auto* weights = head.weights;
  const size_t row_stride = head.padded + kNR;
  for (size_t row = 0, count = 0; row < tokens; row += count) {
    count = TileHeight(tokens - row, kVectorMR);
    const UkernelFunction ukernel = Ukernels<F>::kByRows[count - 1];
    UkernelArgs args{};
    args.a = {head.queries + row * head.stride, head.stride, nullptr, 0};
    args.k = head.width;
    args.ldc = row_stride;
    const KeyRange keys = KeysWithin(window, row, count, head.padded);
    for (size_t key = keys.first; key < keys.end; key += kNR) {
      args.b = head.keys + key * head.width;
      args.c = scores + key;
      ukernel(args);
    }
    AddRelativeBiases(relative_biases, row, count, head.padded, scores, row_stride);
    MaskBeyond(window, keys, row, count, scores, row_stride);
    const size_t used = Min(tokens, keys.end) - keys.first;
    float inverse_sum[kVectorMR];
    for (size_t i = 0; i < count; ++i) {
      const size_t at = i * row_stride + keys.first;
      inverse_sum[i] = 1.0F / SoftmaxRow(scores + at, used, weights + at);
    }
    float product[kVectorMR * kNR];
    args.a = {weights + keys.first, row_stride, nullptr, 0};
    // Rounded up to the format's step: the weights of tokens beyond the last are zero.
    args.k = __is_same(F, Float32) ? used : (used + 1) / 2 * 2;
    args.c = product;
    args.ldc = kNR;
    for (size_t at = 0; at < head.width; at += kNR) {
      args.b = head.values + at * head.padded + keys.first * kNR;
      ukernel(args);
      for (size_t i = 0; i < count; ++i) {
        float* to = context + (row + i) * context_stride + at;
        Store(to, Mul(Load(product + i * kNR), Set(inverse_sum[i])));
        Store(to + kLanes, Mul(Load(product + i * kNR + kLanes), Set(inverse_sum[i])));
      }
    }
  }
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
