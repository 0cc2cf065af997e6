// Attention of one head over one text in 8 bits, for formats with 8-bit weights and activations.
//
// All keys of a head share one scale, so that their zero point adds the same amount to all scores of a query, which
// cancels in the softmax. Values have one scale per token, and its logarithm is added to the token's scores: the scale
// thereby becomes part of the quantized attention weight, and a token that draws much attention to small values, as
// separators do, does not cost the other tokens their precision. The softmax denominator divides the scales out again.
#pragma once

#include "attention.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Absmax of quantized queries, keys and values.
constexpr float kInt8AbsMax = 127.0F;
/// log2(255): 255 is the maximum of the quantized attention weights.
constexpr float kLogWeightLimit = 7.99435344F;
/// Zero point of unsigned bytes, before kZeroPointShift is subtracted.
constexpr float kUint8ZeroPoint = 128.0F;

/// MR of the microkernels. Without dot product instructions arm64 needs the registers of two rows for temporaries.
#if defined(__ARM_NEON) && !defined(__ARM_FEATURE_DOTPROD)
constexpr int kInt8AttentionMR = kVectorMR - 2;
#else
constexpr int kInt8AttentionMR = kVectorMR;
#endif

/// One head's projections in 8 bits, and buffers for its scores. Panels are those of Int8Dot: four values of K are
/// interleaved per column.
struct Int8Head {
  GABION_INLINE Int8Head(Arena& arena, size_t tokens, size_t head_width)
      : width(head_width),
        projected_stride(3 * width + kRowPadding),
        stride(width + kRowPadding),
        padded(PaddedTokens(tokens)) {
    projected = arena.Allocate<float>(tokens * projected_stride);
    queries = arena.Allocate<uint8_t>(tokens * stride);
    query_scales = arena.Allocate<float>(tokens);
    keys = arena.Allocate<uint8_t>(padded * width);
    values = arena.Allocate<uint8_t>(padded * width);
    value_log_scales = arena.Allocate<float>(padded);
    inverse_value_scales = arena.Allocate<float>(padded);
    compensation = arena.Allocate<int32_t>(width);
    scores = arena.Allocate<float>(kInt8AttentionMR * (padded + kNR));
    weights = arena.Allocate<uint8_t>(kInt8AttentionMR * (padded + kNR));
  }

  /// Keys and scales beyond the last token enter the computation and their scores are ignored.
  GABION_INLINE void ClearPadding() const {
    __builtin_memset(keys, 0, padded * width);
    __builtin_memset(value_log_scales, 0, padded * sizeof(float));
    __builtin_memset(inverse_value_scales, 0, padded * sizeof(float));
  }

  // Each stores kNR values of a token, starting at column `at` of the head.
  GABION_INLINE void StoreQuery(size_t token, size_t at, Vec v0, Vec v1) const {
    StoreRow(projected + token * projected_stride + at, v0, v1);
  }
  GABION_INLINE void StoreKey(size_t token, size_t at, Vec v0, Vec v1, float* /*scratch*/) const {
    StoreQuery(token, width + at, v0, v1);
  }
  GABION_INLINE void StoreValue(size_t token, size_t at, Vec v0, Vec v1) const {
    StoreQuery(token, 2 * width + at, v0, v1);
  }
  /// Quantizes what was stored; called when all tokens are stored.
  GABION_INLINE void Finish(size_t tokens) const;

  size_t width;
  size_t projected_stride;
  size_t stride;
  size_t padded;
  float* projected;  ///< [tokens, projected_stride]: queries, keys and values
  uint8_t* queries;  ///< [tokens, stride], signed
  float* query_scales;
  uint8_t* keys;                ///< panels of kNR tokens, K = width; unsigned
  uint8_t* values;              ///< panels of kNR columns of the head, K = padded tokens; signed
  float* value_log_scales;      ///< [padded]: log2 of the scale of each token's values
  float* inverse_value_scales;  ///< [padded]: 1 / that scale; until QuantizeValues the absmax
  int32_t* compensation;        ///< [width]: the accumulators' start, for kZeroPointShift in the weights
  float* scores;                ///< kInt8AttentionMR rows of padded + kNR
  uint8_t* weights;             ///< attention weights
};

/// log2 of a normal positive number, absolute error below 1.3e-4.
GABION_INLINE float ApproxLog2(float x) {
  uint32_t bits = 0;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const auto exponent = static_cast<float>(static_cast<int>(bits >> 23U) - 127);
  bits = (bits & 0x7fffffU) | 0x3f800000U;
  float mantissa = 0;
  __builtin_memcpy(&mantissa, &bits, sizeof mantissa);
  // Minimax polynomial of log2 on [1, 2] for the absolute error, exact at both ends.
  float sum = -0.082130365F * mantissa + 0.6497097F;
  sum = sum * mantissa - 2.1341302F;
  sum = sum * mantissa + 4.0863786F;
  return exponent + (sum * mantissa - 2.5198276F);
}

/// A vector of a token's query (part 0), key (1) or value (2).
GABION_INLINE Vec LoadProjected(const Int8Head& head, size_t token, size_t part, size_t at) {
  return Load(head.projected + token * head.projected_stride + part * head.width + at);
}

/// Factor that maps ±absmax to ±kInt8AbsMax.
GABION_INLINE float InverseScale(float absmax) { return absmax > kMinAbsMax ? kInt8AbsMax / absmax : 0; }

/// Absmax of each token's query, into query_scales, and value, into inverse_value_scales; returns the absmax of all
/// keys, NaN if any number is not finite.
GABION_INLINE float MeasureAbsMax(const Int8Head& head, size_t tokens) {
  Vec key_absmax = Set(0);
  Vec nan_mask = Set(0);
  for (size_t token = 0; token < tokens; ++token) {
    Vec query_absmax = Set(0);
    Vec value_absmax = Set(0);
    for (size_t at = 0; at < head.width; at += kLanes) {
      const Vec query = LoadProjected(head, token, 0, at);
      const Vec key = LoadProjected(head, token, 1, at);
      const Vec value = LoadProjected(head, token, 2, at);
      query_absmax = Max(query_absmax, Abs(query));
      key_absmax = Max(key_absmax, Abs(key));
      value_absmax = Max(value_absmax, Abs(value));
      nan_mask = MulAdd(query, Set(0), nan_mask);
      nan_mask = MulAdd(key, Set(0), nan_mask);
      nan_mask = MulAdd(value, Set(0), nan_mask);
    }
    ReduceMaxTwo(query_absmax, value_absmax, head.query_scales + token, head.inverse_value_scales + token);
  }
  return ReduceMax(key_absmax) + ReduceSum(nan_mask);
}

/// Queries to signed bytes. Their scales include that of the keys and the factor of the softmax.
GABION_INLINE void QuantizeQueries(const Int8Head& head, size_t tokens, float key_absmax) {
  // The softmax is computed in powers of two.
  const float scale =
      key_absmax / (kInt8AbsMax * kInt8AbsMax) * 1.44269504F / __builtin_sqrtf(static_cast<float>(head.width));
  for (size_t token = 0; token < tokens; ++token) {
    const Vec inverse_scale = Set(InverseScale(head.query_scales[token]));
    for (size_t at = 0; at < head.width; at += kLanes) {
      StoreInt8(head.queries + token * head.stride + at, Mul(LoadProjected(head, token, 0, at), inverse_scale));
    }
    head.query_scales[token] *= scale;
  }
}

/// Keys to unsigned bytes.
GABION_INLINE void QuantizeKeys(const Int8Head& head, size_t tokens, float absmax) {
  const Vec inverse_scale = Set(InverseScale(absmax));
  for (size_t token = 0; token < tokens; ++token) {
    uint8_t* panel = head.keys + token / kNR * kNR * head.width + token % kNR * 4;
    for (size_t at = 0; at < head.width; at += kLanes, panel += kLanes * kNR) {
      uint8_t bytes[kLanes];
      StoreUint8(bytes, MulAdd(LoadProjected(head, token, 1, at), inverse_scale, Set(kUint8ZeroPoint)));
      for (size_t i = 0; i < kLanes; i += 4) {
        __builtin_memcpy(panel + i * kNR, bytes + i, 4);
      }
    }
  }
}

/// Values to signed bytes with one scale per token.
GABION_INLINE void QuantizeValues(const Int8Head& head, size_t tokens) {
  for (size_t token = 0; token < tokens; ++token) {
    const float absmax = Max(head.inverse_value_scales[token], kMinAbsMax);
    head.value_log_scales[token] = ApproxLog2(absmax);
    head.inverse_value_scales[token] = 1.0F / absmax;
  }
  for (size_t first = 0; first < tokens; first += 4) {
    for (size_t at = 0; at < head.width; at += kLanes) {
      const auto scaled = [&](size_t token) __attribute__((always_inline)) {
        return token < tokens
                   ? Mul(LoadProjected(head, token, 2, at), Set(kInt8AbsMax * head.inverse_value_scales[token]))
                   : Set(0);
      };
      StoreInterleaved4Int8(head.values + at / kNR * kNR * head.padded + first * kNR + at % kNR * 4, scaled(first),
                            scaled(first + 1), scaled(first + 2), scaled(first + 3));
    }
  }
}

/// Compensates for attention weights that are stored minus kZeroPointShift: that times the column sums of the values.
GABION_INLINE void ComputeCompensation(const Int8Head& head, size_t tokens) {
  if constexpr (kZeroPointShift != 0) {
    const uint8_t half[4] = {kZeroPointShift / 2, kZeroPointShift / 2, kZeroPointShift / 2, kZeroPointShift / 2};
    for (size_t at = 0; at < head.width; at += kLanes) {
      const auto* values = reinterpret_cast<const int8_t*>(head.values) + at / kNR * kNR * head.padded + at % kNR * 4;
      VecI32 sum = ZeroI32();
      for (size_t token = 0; token < tokens; token += 4, values += 4 * kNR) {
        const VecI32 v = LoadByteWeights(values);
        sum = DotBytes(DotBytes(sum, BroadcastBytes4(half), v), BroadcastBytes4(half), v);
      }
      StoreI32(head.compensation + at, sum);
    }
  }
}

GABION_INLINE void Int8Head::Finish(size_t tokens) const {
  const float key_absmax = MeasureAbsMax(*this, tokens);
  QuantizeQueries(*this, tokens, key_absmax);
  QuantizeKeys(*this, tokens, key_absmax);
  QuantizeValues(*this, tokens);
  ComputeCompensation(*this, tokens);
}

/// Accumulates A·B in 32 bits. One operand is signed: the rows of A if `signed_rows`, else the panel of B.
template <int mr, bool signed_rows>
GABION_INLINE void AccumulateBytes(const UkernelArgs& args, VecI32 (&sum)[mr][2]) {
  const auto* x = static_cast<const uint8_t*>(args.a.values);
  const auto* w = static_cast<const int8_t*>(args.b);
  const size_t stride = args.a.stride;
  for (size_t left = args.k / 4; left > 0; --left, x += 4, w += 4 * kNR) {
    const VecI32 w0 = LoadByteWeights(w);
    const VecI32 w1 = LoadByteWeights(w + 2 * kNR);
    Unroll<mr>(GABION_UNROLL_BODY {
      constexpr int kRow = decltype(index)::value;
      const VecI32 a = BroadcastBytes4(x + kRow * stride);
      sum[kRow][0] = signed_rows ? DotBytes(sum[kRow][0], w0, a) : DotBytes(sum[kRow][0], a, w0);
      sum[kRow][1] = signed_rows ? DotBytes(sum[kRow][1], w1, a) : DotBytes(sum[kRow][1], a, w1);
      OptimizationBarrier(sum[kRow][0], sum[kRow][1]);
    });
  }
}

/// Scores, queries times a panel of keys: row scale · sum + log scale of the column, at `args.b_scales`.
struct Int8Scores {
  static constexpr int kMR = kInt8AttentionMR;

  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    VecI32 sum[mr][2];
    Unroll<mr>(GABION_UNROLL_BODY { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = ZeroI32(); });
    AccumulateBytes<mr, true>(args, sum);
    const Vec log0 = Load(args.b_scales);
    const Vec log1 = Load(args.b_scales + kLanes);
    Unroll<mr>(GABION_UNROLL_BODY {
      constexpr int kRow = decltype(index)::value;
      float* to = args.c + kRow * args.ldc;
      const Vec scale = Set(args.a.scales[kRow]);
      Store(to, MulAdd(ConvertToF32(sum[kRow][0]), scale, log0));
      Store(to + kLanes, MulAdd(ConvertToF32(sum[kRow][1]), scale, log1));
    });
  }
};

/// Context, attention weights times a panel of values: row scale · sum. Accumulators start with the compensation at
/// `args.b_scales`.
struct Int8Context {
  static constexpr int kMR = kInt8AttentionMR;

  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    VecI32 sum[mr][2];
    Unroll<mr>(GABION_UNROLL_BODY {
      constexpr int kRow = decltype(index)::value;
      sum[kRow][0] = kZeroPointShift == 0 ? ZeroI32() : LoadI32(args.b_scales);
      sum[kRow][1] = kZeroPointShift == 0 ? ZeroI32() : LoadI32(args.b_scales + kLanes);
    });
    AccumulateBytes<mr, false>(args, sum);
    Unroll<mr>(GABION_UNROLL_BODY {
      constexpr int kRow = decltype(index)::value;
      float* to = args.c + kRow * args.ldc;
      const Vec scale = Set(args.a.scales[kRow]);
      Store(to, Mul(ConvertToF32(sum[kRow][0]), scale));
      Store(to + kLanes, Mul(ConvertToF32(sum[kRow][1]), scale));
    });
  }
};

/// Writes 255 · 2^(score - max) of a row as bytes, zeros up to a whole step beyond its end, and returns the sum of
/// these powers, each times the inverse scale of its token. Lanes of scores beyond the tokens may hold anything.
GABION_INLINE float Int8SoftmaxRow(const float* scores, const float* inverse_value_scales, size_t tokens,
                                   uint8_t* weights) {
  const size_t whole = tokens / kLanes * kLanes;
  const int rest = static_cast<int>(tokens - whole);
  const Vec shift = Set(RowMax(scores, tokens) - kLogWeightLimit);
  Vec sum = Set(0);
  for (size_t i = 0; i < whole; i += kLanes) {
    const Vec power = ApproxExp2(Sub(Load(scores + i), shift));
    sum = MulAdd(power, Load(inverse_value_scales + i), sum);
    StoreUint8(weights + i, power);
  }
  if (rest > 0) {
    const Vec power = IfThenElse(FirstN(rest), ApproxExp2(Sub(Load(scores + whole), shift)), Set(0));
    sum = MulAdd(power, IfThenElse(FirstN(rest), Load(inverse_value_scales + whole), Set(0)), sum);
    StoreUint8(weights + whole, power);
  }
  return ReduceSum(sum);
}

GABION_INLINE void Attend(const Int8Head& head, const float* relative_biases, size_t window, size_t tokens,
                          float* context, size_t context_stride) {
  float* scores = head.scores;
  uint8_t* weights = head.weights;
  const size_t row_stride = head.padded + kNR;
  for (size_t row = 0, count = 0; row < tokens; row += count) {
    count = TileHeight(tokens - row, kInt8AttentionMR);
    UkernelArgs args{};
    args.a = {head.queries + row * head.stride, head.stride, head.query_scales + row, 1};
    args.k = head.width;
    args.ldc = row_stride;
    // The compensation is that of all tokens.
    const KeyRange keys = kZeroPointShift == 0 ? KeysWithin(window, row, count, head.padded) : KeyRange{0, head.padded};
    for (size_t key = keys.first; key < keys.end; key += kNR) {
      args.b = head.keys + key * head.width;
      args.b_scales = head.value_log_scales + key;
      args.c = scores + key;
      Ukernels<Int8Scores>::kByRows[count - 1](args);
    }
    AddRelativeBiases(relative_biases, row, count, head.padded, scores, row_stride);
    MaskBeyond(window, keys, row, count, scores, row_stride);
    const size_t used = Min(tokens, keys.end) - keys.first;
    float row_scales[kInt8AttentionMR];
    for (size_t i = 0; i < count; ++i) {
      const size_t at = i * row_stride + keys.first;
      const float sum = Int8SoftmaxRow(scores + at, head.inverse_value_scales + keys.first, used, weights + at);
      row_scales[i] = 1.0F / (kInt8AbsMax * sum);
    }
    args.a = {weights + keys.first, row_stride, row_scales, 1};
    args.k = (used + 3) / 4 * 4;
    args.ldc = context_stride;
    for (size_t at = 0; at < head.width; at += kNR) {
      args.b = head.values + at * head.padded + keys.first * kNR;
      args.b_scales = reinterpret_cast<const float*>(head.compensation + at);
      args.c = context + row * context_stride + at;
      Ukernels<Int8Context>::kByRows[count - 1](args);
    }
  }
}

/// The attention for a format: in 8 bits where its activations are 8 bits wide, in bf16 where its activations are bf16
/// and the set has bf16 dot products, else in float.
template <typename F, typename Activation = typename F::Activation>
struct AttentionFor {
  using Type = Head<Float32>;
};
template <typename F>
struct AttentionFor<F, uint8_t> {
  using Type = Int8Head;
};
#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
template <typename F>
struct AttentionFor<F, uint16_t> {
  using Type = Head<Bfloat16Dot>;
};
#endif
template <typename F>
using AttentionOf = typename AttentionFor<F>::Type;

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
