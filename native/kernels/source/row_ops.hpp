// Operations on one row of activations: elementary functions, layer normalization and quantization. Every function
// propagates NaN to its result, so that one check of the final vector finds any.
#pragma once

#include "../packed.hpp"
#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// 2^x for x <= 127, relative error below 2e-7; results below 2^-126 become 2^-126.
GABION_INLINE Vec Exp2(Vec x) {
  x = Max(Set(-126.0F), x);  // in this order: NaN in the second operand propagates in every set
  const Vec whole = Round(x);
  const Vec part = Sub(x, whole);
  // Minimax polynomial of 2^part on [-1/2, 1/2] for the relative error, which is 8e-8.
  Vec sum = MulAdd(part, Set(0.00132764718F), Set(0.00967554133F));
  sum = MulAdd(part, sum, Set(0.0555071327F));
  sum = MulAdd(part, sum, Set(0.240221197F));
  sum = MulAdd(part, sum, Set(0.693146967F));
  sum = MulAdd(part, sum, Set(1.00000007F));
  return MulByPow2(sum, whole);
}

/// 2^x for x <= 127, relative error below 1.8e-3, about 0 below 2^-126: for attention weights over values that are
/// quantized to int8.
GABION_INLINE Vec ApproxExp2(Vec x) {
  // Minimax polynomial of 2^part on [0, 1] for the relative error.
  const Vec part = Fract(x);
  const Vec slope = MulAdd(part, Set(0.337189436F), Set(0.657636284F));
  return MulByFloorPow2(MulAdd(part, slope, Set(1.00172472F)), x);
}

/// x · (1 + erf(x / sqrt 2)) / 2, absolute error below 1e-6 for |x| < 6, and x or 0 outside.
GABION_INLINE Vec Gelu(Vec x) {
  // erf(x / sqrt 2) = x · P(x²) / Q(x²): rational minimax approximation on |x| < 3.95 · sqrt 2 for the absolute error
  // of erf, which is 2e-8; outside erf is 1 in float.
  constexpr float kBound = 5.5861435F;
  const Vec inside = Min(Set(kBound), Max(Set(-kBound), x));
  const Vec square = Mul(inside, inside);
  Vec numerator = MulAdd(square, Set(4.44537971e-08F), Set(1.27102941e-05F));
  numerator = MulAdd(square, numerator, Set(0.00034624505F));
  numerator = MulAdd(square, numerator, Set(0.00940576632F));
  numerator = MulAdd(square, numerator, Set(0.0686019304F));
  numerator = MulAdd(square, numerator, Set(0.797884447F));
  Vec denominator = MulAdd(square, Set(1.18249403e-06F), Set(7.48875917e-05F));
  denominator = MulAdd(square, denominator, Set(0.00190883686F));
  denominator = MulAdd(square, denominator, Set(0.0288976764F));
  denominator = MulAdd(square, denominator, Set(0.252645513F));
  denominator = MulAdd(square, denominator, Set(1.0F));
  const Vec erf = Min(Set(1.0F), Div(Mul(inside, numerator), denominator));
  const Vec half = Mul(x, Set(0.5F));
  return IfThenElseZero(GtOrNan(x, Set(-kBound)), MulAdd(half, erf, half));
}

/// x / (1 + e^-x), relative error below 4e-7.
GABION_INLINE Vec Silu(Vec x) {
  const Vec power = Exp2(Min(Set(126.0F), Mul(x, Set(-1.44269504F))));
  return Div(x, Add(Set(1.0F), power));
}

/// Gelu within 4e-5 · max(1, |x|), for results that are converted to bf16 or 8 bits next.
GABION_INLINE Vec ApproxGelu(Vec x) {
  // x · (1/2 + x · P(x²)): minimax polynomial of the normal distribution function on |x| < 4, weighted by max(|x|,
  // 0.3); constant beyond.
  constexpr float kBound = 4.0F;
  const Vec inside = Min(Set(kBound), Max(Set(-kBound), x));
  const Vec square = Mul(inside, inside);
  Vec part = MulAdd(square, Set(-1.30129429e-09F), Set(1.04196047e-07F));
  part = MulAdd(square, part, Set(-3.65713322e-06F));
  part = MulAdd(square, part, Set(7.48550519e-05F));
  part = MulAdd(square, part, Set(-0.00100649055F));
  part = MulAdd(square, part, Set(0.00950539857F));
  part = MulAdd(square, part, Set(-0.0658878461F));
  part = MulAdd(square, part, Set(0.398673385F));
  return Mul(x, MulAdd(inside, part, Set(0.5F)));
}

/// Layer normalization of `row` into `to`, which may be the row. Two passes: the mean, then the variance about it.
GABION_INLINE void LayerNormRow(const float* row, size_t n, const float* weight, const float* bias, float epsilon,
                                float* to) {
  Vec sum = Set(0);
  for (size_t i = 0; i < n; i += kLanes) {
    sum = Add(sum, Load(row + i));
  }
  const float count = static_cast<float>(n);
  const Vec mean = Set(ReduceSum(sum) / count);
  Vec squares = Set(0);
  for (size_t i = 0; i < n; i += kLanes) {
    const Vec deviation = Sub(Load(row + i), mean);
    squares = MulAdd(deviation, deviation, squares);
  }
  const Vec inverse_deviation = Set(1.0F / __builtin_sqrtf(ReduceSum(squares) / count + epsilon));
  for (size_t i = 0; i < n; i += kLanes) {
    const Vec scaled = Mul(Sub(Load(row + i), mean), inverse_deviation);
    Store(to + i, MulAdd(scaled, Load(weight + i), Load(bias + i)));
  }
}

/// Rows of `hidden` floats.
struct Rows {
  float* values;
  size_t stride;
};

/// LayerNormRow of `count` rows into `to`, which may be the same rows.
GABION_NOINLINE inline void LayerNormRows(Rows from, size_t count, size_t hidden, const float* weight,
                                          const float* bias, float epsilon, Rows to) {
  for (size_t row = 0; row < count; ++row) {
    LayerNormRow(from.values + row * from.stride, hidden, weight, bias, epsilon, to.values + row * to.stride);
  }
}

/// Rows whose absmax is below this quantize to zeros: the inverse scale would not be finite.
constexpr float kMinAbsMax = 1e-33F;

/// kLanes values of a row, times their SmoothQuant scales if there are any.
GABION_INLINE Vec LoadSmoothed(const float* row, const float* smooth_scales, size_t i) {
  return smooth_scales == nullptr ? Load(row + i) : Mul(Load(row + i), Load(smooth_scales + i));
}

/// Quantizes a row symmetrically to integers of at most ±limit and returns the scale, real = scale · integer; NaN if
/// the row is not finite. nan_mask accumulates 0 · value, which is 0 for finite values and NaN otherwise.
GABION_INLINE float QuantizeRowToInt16(const float* row, const float* smooth_scales, size_t n, int limit, int16_t* to) {
  Vec lane_absmax = Set(0);
  Vec nan_mask = Set(0);
  for (size_t i = 0; i < n; i += kLanes) {
    const Vec v = LoadSmoothed(row, smooth_scales, i);
    lane_absmax = Max(lane_absmax, Abs(v));
    nan_mask = MulAdd(v, Set(0), nan_mask);
  }
  const float absmax = ReduceMax(lane_absmax);
  const Vec inverse_scale = Set(absmax > kMinAbsMax ? static_cast<float>(limit) / absmax : 0);
  for (size_t i = 0; i < n; i += kLanes) {
    StoreInt16(to + i, Mul(LoadSmoothed(row, smooth_scales, i), inverse_scale));
  }
  return absmax / static_cast<float>(limit) + ReduceSum(nan_mask);
}

/// Quantizes a group of a row asymmetrically to bytes 0…255, stored minus kZeroPointShift:
/// real = scale · (stored byte - zero_point). Adds 0 · value to `nan_mask` for every value.
GABION_INLINE void QuantizeGroupToUint8(const float* row, const float* smooth_scales, size_t n, uint8_t* to,
                                        float* scale, float* zero_point, Vec& nan_mask) {
  Vec max[2] = {Set(0), Set(0)};
  Vec min[2] = {Set(0), Set(0)};
  for (size_t i = 0; i < n; i += 2 * kLanes) {
    Unroll<2>(GABION_UNROLL_BODY {
      constexpr int kHalf = decltype(index)::value;
      const Vec v = LoadSmoothed(row, smooth_scales, i + kHalf * kLanes);
      max[kHalf] = Max(max[kHalf], v);
      min[kHalf] = Min(min[kHalf], v);
      nan_mask = MulAdd(v, Set(0), nan_mask);
    });
  }
  float top = 0;
  float bottom = 0;
  const Vec negated = Sub(Set(0), Min(min[0], min[1]));
  ReduceMaxTwo(Max(max[0], max[1]), negated, &top, &bottom);
  const float range = top + bottom;
  const float inverse_scale = range > kMinAbsMax ? 255.0F / range : 0;
  const float unsigned_zero = __builtin_rintf(bottom * inverse_scale);
  for (size_t i = 0; i < n; i += kLanes) {
    StoreUint8(to + i, MulAdd(LoadSmoothed(row, smooth_scales, i), Set(inverse_scale), Set(unsigned_zero)));
  }
  *scale = range / 255.0F;
  *zero_point = unsigned_zero - static_cast<float>(kZeroPointShift);
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
