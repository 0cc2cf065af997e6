// What is done to one row of activations: elementary functions, layer normalisation and the change of number format.
// Every function lets NaN through to its result, so that one check of the final vector finds any.
#pragma once

#include "../packed.hpp"
#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// 2^x for x <= 127, relative error below 2e-7; results below 2^-126 become 2^-126.
GABION_INLINE Floats PowerOf2(Floats x) {
  x = Greater(Splat(-126.0F), x);  // the second operand is what both instruction sets return for NaN
  const Floats whole = ToNearest(x);
  const Floats part = Subtract(x, whole);
  // Minimax polynomial of 2^part on [-1/2, 1/2] for the relative error, which is 8e-8.
  Floats sum = MultiplyAdd(part, Splat(0.00132764718F), Splat(0.00967554133F));
  sum = MultiplyAdd(part, sum, Splat(0.0555071327F));
  sum = MultiplyAdd(part, sum, Splat(0.240221197F));
  sum = MultiplyAdd(part, sum, Splat(0.693146967F));
  sum = MultiplyAdd(part, sum, Splat(1.00000007F));
  return TimesPowerOfTwo(sum, whole);
}

/// For shares among tokens whose values are as coarse as int8 leaves them: 2^x for x <= 127, relative error
/// below 1.8e-3, nearly nothing below 2^-126.
GABION_INLINE Floats RoughPowerOf2(Floats x) {
  // Minimax polynomial of 2^part on [0, 1] for the relative error.
  const Floats part = FractionOf(x);
  const Floats slope = MultiplyAdd(part, Splat(0.337189436F), Splat(0.657636284F));
  return TimesPowerOfFloor(MultiplyAdd(part, slope, Splat(1.00172472F)), x);
}

/// x · (1 + erf(x / sqrt 2)) / 2, absolute error below 1e-6 for |x| < 6, and x or 0 outside.
GABION_INLINE Floats Gelu(Floats x) {
  // erf(x / sqrt 2) = x · P(x²) / Q(x²): rational minimax approximation on |x| < 3.95 · sqrt 2 for the absolute error
  // of erf, which is 2e-8; outside erf is 1 in float.
  constexpr float kBound = 5.5861435F;
  const Floats inside = Lesser(Splat(kBound), Greater(Splat(-kBound), x));
  const Floats square = Multiply(inside, inside);
  Floats above = MultiplyAdd(square, Splat(4.44537971e-08F), Splat(1.27102941e-05F));
  above = MultiplyAdd(square, above, Splat(0.00034624505F));
  above = MultiplyAdd(square, above, Splat(0.00940576632F));
  above = MultiplyAdd(square, above, Splat(0.0686019304F));
  above = MultiplyAdd(square, above, Splat(0.797884447F));
  Floats below = MultiplyAdd(square, Splat(1.18249403e-06F), Splat(7.48875917e-05F));
  below = MultiplyAdd(square, below, Splat(0.00190883686F));
  below = MultiplyAdd(square, below, Splat(0.0288976764F));
  below = MultiplyAdd(square, below, Splat(0.252645513F));
  below = MultiplyAdd(square, below, Splat(1.0F));
  const Floats erf = Lesser(Splat(1.0F), Divide(Multiply(inside, above), below));
  const Floats half = Multiply(x, Splat(0.5F));
  return WhereAbove(x, Splat(-kBound), MultiplyAdd(half, erf, half));
}

/// For values that are rounded to bf16 or bytes right behind it: within 4e-5 · max(1, |x|).
GABION_INLINE Floats RoughGelu(Floats x) {
  // x · (1/2 + x · P(x²)): minimax polynomial of the normal distribution function on |x| < 4, weighted by max(|x|,
  // 0.3); outside it stays what it is at 4.
  constexpr float kBound = 4.0F;
  const Floats inside = Lesser(Splat(kBound), Greater(Splat(-kBound), x));
  const Floats square = Multiply(inside, inside);
  Floats part = MultiplyAdd(square, Splat(-1.30129429e-09F), Splat(1.04196047e-07F));
  part = MultiplyAdd(square, part, Splat(-3.65713322e-06F));
  part = MultiplyAdd(square, part, Splat(7.48550519e-05F));
  part = MultiplyAdd(square, part, Splat(-0.00100649055F));
  part = MultiplyAdd(square, part, Splat(0.00950539857F));
  part = MultiplyAdd(square, part, Splat(-0.0658878461F));
  part = MultiplyAdd(square, part, Splat(0.398673385F));
  return Multiply(x, MultiplyAdd(inside, part, Splat(0.5F)));
}

/// Normalises `row` into `to` (which may be the row). Two passes: mean, then variance about it.
GABION_INLINE void NormalizeRow(const float* row, size_t n, const float* weight, const float* bias, float epsilon,
                                float* to) {
  Floats sum = Splat(0);
  for (size_t i = 0; i < n; i += kLanes) {
    sum = Add(sum, Load(row + i));
  }
  const float count = static_cast<float>(n);
  const Floats mean = Splat(SumOf(sum) / count);
  Floats squares = Splat(0);
  for (size_t i = 0; i < n; i += kLanes) {
    const Floats off = Subtract(Load(row + i), mean);
    squares = MultiplyAdd(off, off, squares);
  }
  const Floats factor = Splat(1.0F / __builtin_sqrtf(SumOf(squares) / count + epsilon));
  for (size_t i = 0; i < n; i += kLanes) {
    const Floats scaled = Multiply(Subtract(Load(row + i), mean), factor);
    Store(to + i, MultiplyAdd(scaled, Load(weight + i), Load(bias + i)));
  }
}

/// Rows below this are zero in integers: the inverse of their scale would not be finite.
constexpr float kTiny = 1e-33F;

/// kLanes values of a row, times their factors if there are any.
GABION_INLINE Floats LoadScaled(const float* row, const float* factors, size_t i) {
  return factors == nullptr ? Load(row + i) : Multiply(Load(row + i), Load(factors + i));
}

/// Rounds a row to integers of at most ±limit and returns the scale that undoes it; NaN if the row is not finite.
GABION_INLINE float RowToInt16(const float* row, const float* factors, size_t n, int limit, int16_t* to) {
  Floats greatest = Splat(0);
  Floats poison = Splat(0);
  for (size_t i = 0; i < n; i += kLanes) {
    const Floats v = LoadScaled(row, factors, i);
    greatest = Greater(greatest, Magnitude(v));
    poison = MultiplyAdd(v, Splat(0), poison);
  }
  const float top = GreatestOf(greatest);
  const Floats factor = Splat(top > kTiny ? static_cast<float>(limit) / top : 0);
  for (size_t i = 0; i < n; i += kLanes) {
    StoreInt16(to + i, Multiply(LoadScaled(row, factors, i), factor));
  }
  return top / static_cast<float>(limit) + SumOf(poison);
}

/// Rounds a group of a row to bytes 0…255, stored less kByteOffset: real = scale · (stored byte - zero). Adds 0 · value
/// to `poison` for every value.
GABION_INLINE void GroupToUint8(const float* row, const float* factors, size_t n, uint8_t* to, float* scale,
                                float* zero, Floats& poison) {
  Floats greatest[2] = {Splat(0), Splat(0)};
  Floats least[2] = {Splat(0), Splat(0)};
  for (size_t i = 0; i < n; i += 2 * kLanes) {
    Repeat<2>(GABION_EACH {
      constexpr int kHalf = decltype(index)::value;
      const Floats v = LoadScaled(row, factors, i + kHalf * kLanes);
      greatest[kHalf] = Greater(greatest[kHalf], v);
      least[kHalf] = Lesser(least[kHalf], v);
      poison = MultiplyAdd(v, Splat(0), poison);
    });
  }
  float top = 0;
  float bottom = 0;
  const Floats negated = Subtract(Splat(0), Lesser(least[0], least[1]));
  GreatestOfBoth(Greater(greatest[0], greatest[1]), negated, &top, &bottom);
  const float range = top + bottom;
  const float factor = range > kTiny ? 255.0F / range : 0;
  const float shift = __builtin_rintf(bottom * factor);
  for (size_t i = 0; i < n; i += kLanes) {
    StoreUint8(to + i, MultiplyAdd(LoadScaled(row, factors, i), Splat(factor), Splat(shift)));
  }
  *scale = range / 255.0F;
  *zero = shift - static_cast<float>(kByteOffset);
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
