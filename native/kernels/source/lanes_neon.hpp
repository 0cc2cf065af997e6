// Vectors of 8 floats for arm64, two registers each: NEON, and dot products of bytes and of bf16 where the file is
// compiled for them. Dot products that this set lacks are computed to the same value from the instructions it has.
#pragma once

#include <arm_neon.h>

#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr int kLanes = 8;
/// Rows of a register tile: with two vectors a row, 24 accumulators of 32 registers.
constexpr int kTileRows = 6;
/// Rows from which float products go in pairs (strassen.hpp); 0: never.
constexpr size_t kPairsFrom = 0;
constexpr bool kAddsBetween = false;

struct Floats {
  float32x4_t low;
  float32x4_t high;
};
struct Ints {
  int32x4_t low;
  int32x4_t high;
};

// Without "memory", which would send vectors that are a struct to the stack.
GABION_INLINE void Hold(Floats& vector) { __asm__ volatile("" : "+w"(vector.low), "+w"(vector.high)); }
GABION_INLINE void Hold(Floats& left, Floats& right) {
  __asm__ volatile("" : "+w"(left.low), "+w"(left.high), "+w"(right.low), "+w"(right.high));
}
GABION_INLINE void Hold(Ints& left, Ints& right) {
  __asm__ volatile("" : "+w"(left.low), "+w"(left.high), "+w"(right.low), "+w"(right.high));
}

GABION_INLINE Floats Load(const float* from) { return {vld1q_f32(from), vld1q_f32(from + 4)}; }
GABION_INLINE void Store(float* to, Floats v) {
  vst1q_f32(to, v.low);
  vst1q_f32(to + 4, v.high);
}
GABION_INLINE Floats Splat(float x) {
  const float32x4_t all = vdupq_n_f32(x);
  return {all, all};
}
GABION_INLINE Floats Add(Floats a, Floats b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
GABION_INLINE Floats Subtract(Floats a, Floats b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
GABION_INLINE Floats Multiply(Floats a, Floats b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
GABION_INLINE Floats Divide(Floats a, Floats b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
/// a · b + c, rounded once.
GABION_INLINE Floats MultiplyAdd(Floats a, Floats b, Floats c) {
  return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}
/// c - a · b, rounded once.
GABION_INLINE Floats MultiplySubtractFrom(Floats a, Floats b, Floats c) {
  return {vfmsq_f32(c.low, a.low, b.low), vfmsq_f32(c.high, a.high, b.high)};
}
GABION_INLINE Floats Lesser(Floats a, Floats b) { return {vminq_f32(a.low, b.low), vminq_f32(a.high, b.high)}; }
GABION_INLINE Floats Greater(Floats a, Floats b) { return {vmaxq_f32(a.low, b.low), vmaxq_f32(a.high, b.high)}; }
GABION_INLINE Floats Magnitude(Floats v) { return {vabsq_f32(v.low), vabsq_f32(v.high)}; }
GABION_INLINE Floats ToNearest(Floats v) { return {vrndnq_f32(v.low), vrndnq_f32(v.high)}; }
/// v · 2^n for whole n from -126 to 127.
GABION_INLINE float32x4_t TimesPowerOfTwo(float32x4_t v, float32x4_t n) {
  const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
  return vmulq_f32(v, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
}
GABION_INLINE Floats TimesPowerOfTwo(Floats v, Floats n) {
  return {TimesPowerOfTwo(v.low, n.low), TimesPowerOfTwo(v.high, n.high)};
}
/// What x is above the next lower whole number.
GABION_INLINE Floats FractionOf(Floats x) { return Subtract(x, {vrndmq_f32(x.low), vrndmq_f32(x.high)}); }
/// v · 2^n for the whole number n that is next lower to x, at least -126.
GABION_INLINE Floats TimesPowerOfFloor(Floats v, Floats x) {
  return TimesPowerOfTwo(v, Greater({vrndmq_f32(x.low), vrndmq_f32(x.high)}, Splat(-126)));
}
/// v where not x <= bound, else 0.
GABION_INLINE float32x4_t WhereAbove(float32x4_t x, float32x4_t bound, float32x4_t v) {
  return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(v), vcleq_f32(x, bound)));
}
/// v where x > bound, else 0.
GABION_INLINE Floats WhereAbove(Floats x, Floats bound, Floats v) {
  return {WhereAbove(x.low, bound.low, v.low), WhereAbove(x.high, bound.high, v.high)};
}
/// The first `count` lanes of v, `fill` in the others.
GABION_INLINE Floats KeepFirst(Floats v, int count, Floats fill) {
  const int32x4_t lane = {0, 1, 2, 3};
  const int32x4_t end = vdupq_n_s32(count);
  return {vbslq_f32(vcgtq_s32(end, lane), v.low, fill.low),
          vbslq_f32(vcgtq_s32(end, vaddq_s32(lane, vdupq_n_s32(4))), v.high, fill.high)};
}
GABION_INLINE float SumOf(Floats v) { return vaddvq_f32(vaddq_f32(v.low, v.high)); }
GABION_INLINE float GreatestOf(Floats v) { return vmaxvq_f32(vmaxq_f32(v.low, v.high)); }
/// The greatest lanes of two vectors.
GABION_INLINE void GreatestOfBoth(Floats a, Floats b, float* of_a, float* of_b) {
  *of_a = GreatestOf(a);
  *of_b = GreatestOf(b);
}

GABION_INLINE Ints NoInts() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
GABION_INLINE Ints LoadInts(const void* from) {
  const auto* bytes = static_cast<const int8_t*>(from);
  return {vreinterpretq_s32_s8(vld1q_s8(bytes)), vreinterpretq_s32_s8(vld1q_s8(bytes + 16))};
}
GABION_INLINE void StoreInts(void* to, Ints v) {
  auto* bytes = static_cast<int8_t*>(to);
  vst1q_s8(bytes, vreinterpretq_s8_s32(v.low));
  vst1q_s8(bytes + 16, vreinterpretq_s8_s32(v.high));
}
GABION_INLINE Floats ToFloats(Ints v) { return {vcvtq_f32_s32(v.low), vcvtq_f32_s32(v.high)}; }
GABION_INLINE Floats AsFloats(Ints v) { return {vreinterpretq_f32_s32(v.low), vreinterpretq_f32_s32(v.high)}; }
/// Four bytes in every lane.
GABION_INLINE Ints SplatWord(const void* from) {
  int word = 0;
  __builtin_memcpy(&word, from, sizeof word);
  const int32x4_t all = vdupq_n_s32(word);
  return {all, all};
}
/// Of bf16 pairs: the low one of each lane, widened.
GABION_INLINE Floats LowBfloat16(Ints pairs) {
  return AsFloats({vshlq_n_s32(pairs.low, 16), vshlq_n_s32(pairs.high, 16)});
}
/// Of bf16 pairs: the high one of each lane, widened.
GABION_INLINE Floats HighBfloat16(Ints pairs) {
  const int32x4_t mask = vdupq_n_s32(static_cast<int>(0xffff0000U));
  return AsFloats({vandq_s32(pairs.low, mask), vandq_s32(pairs.high, mask)});
}
/// kLanes consecutive bf16 values, widened.
GABION_INLINE Floats LoadBfloat16(const uint16_t* from) {
  const uint16x8_t narrow = vld1q_u16(from);
  return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(narrow), 16)),
          vreinterpretq_f32_u32(vshll_high_n_u16(narrow, 16))};
}
/// 2 · kLanes signed bytes, widened to 16 bits.
GABION_INLINE Ints LoadBytesWide(const int8_t* from) {
  const int8x16_t bytes = vld1q_s8(from);
  return {vreinterpretq_s32_s16(vmovl_s8(vget_low_s8(bytes))), vreinterpretq_s32_s16(vmovl_high_s8(bytes))};
}
GABION_INLINE int16x8_t ToInt16(Floats v) {
  return vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(v.low)), vcvtnq_s32_f32(v.high));
}
/// Rounds to nearest; values must fit.
GABION_INLINE void StoreInt16(int16_t* to, Floats v) { vst1q_s16(to, ToInt16(v)); }

/// What bytes of activations are stored less by: arm64 multiplies signed bytes.
constexpr int kByteOffset = 128;
/// Rounds to nearest, clamps to 0…255 and stores it less kByteOffset.
GABION_INLINE void StoreUint8(uint8_t* to, Floats v) { vst1_u8(to, veor_u8(vqmovun_s16(ToInt16(v)), vdup_n_u8(0x80))); }

/// Rounds to nearest signed bytes; values must fit.
GABION_INLINE void StoreInt8(uint8_t* to, Floats v) { vst1_u8(to, vreinterpret_u8_s8(vqmovn_s16(ToInt16(v)))); }
/// As StoreInt8, four vectors: lane by lane one byte of each.
GABION_INLINE void StoreFourInt8(uint8_t* to, Floats v0, Floats v1, Floats v2, Floats v3) {
  vst4_s8(reinterpret_cast<int8_t*>(to),
          {vqmovn_s16(ToInt16(v0)), vqmovn_s16(ToInt16(v1)), vqmovn_s16(ToInt16(v2)), vqmovn_s16(ToInt16(v3))});
}

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
GABION_INLINE uint16x8_t ToBfloat16(Floats v) {
  return vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(v.low), v.high));
}
#else
/// In the high half of each lane.
GABION_INLINE uint32x4_t RoundToBfloat16(float32x4_t v) {
  const uint32x4_t bits = vreinterpretq_u32_f32(v);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t up = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
  const uint32x4_t kept = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vbslq_u32(vceqq_f32(v, v), up, kept);
}
GABION_INLINE uint16x8_t ToBfloat16(Floats v) {
  return vshrn_high_n_u32(vshrn_n_u32(RoundToBfloat16(v.low), 16), RoundToBfloat16(v.high), 16);
}
#endif
/// Rounds to nearest even; NaN stays NaN.
GABION_INLINE void StoreBfloat16(uint16_t* to, Floats v) { vst1q_u16(to, ToBfloat16(v)); }

/// As bf16 into the low half of each of kLanes words; the other half becomes zero.
GABION_INLINE void StoreLowHalves(uint16_t* to, Floats v) {
  const uint16x8_t narrow = ToBfloat16(v);
  StoreInts(to,
            {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(narrow))), vreinterpretq_s32_u32(vmovl_high_u16(narrow))});
}
/// As bf16 into the high half of each of kLanes words; the other half stays.
GABION_INLINE void StoreHighHalves(uint16_t* to, Floats v) {
  const uint16x8_t narrow = ToBfloat16(v);
  const Ints before = LoadInts(to);
  const uint32x4_t low = vshll_n_u16(vget_low_u16(narrow), 16);
  const uint32x4_t high = vshll_high_n_u16(narrow, 16);
  StoreInts(to,
            {vorrq_s32(before.low, vreinterpretq_s32_u32(low)), vorrq_s32(before.high, vreinterpretq_s32_u32(high))});
}

GABION_INLINE int32x4_t DotInt16(int32x4_t sum, int16x8_t a, int16x8_t b) {
  const int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
  return vaddq_s32(sum, vpaddq_s32(low, vmull_high_s16(a, b)));
}
/// In each 32-bit lane: sum + a0·b0 + a1·b1 of signed 16-bit values.
GABION_INLINE Ints DotInt16(Ints sum, Ints a, Ints b) {
  return {DotInt16(sum.low, vreinterpretq_s16_s32(a.low), vreinterpretq_s16_s32(b.low)),
          DotInt16(sum.high, vreinterpretq_s16_s32(a.high), vreinterpretq_s16_s32(b.high))};
}

#ifdef __ARM_FEATURE_DOTPROD
/// Weights and activations in the forms that DotBytes takes.
GABION_INLINE Ints LoadByteWeights(const int8_t* from) { return LoadInts(from); }
GABION_INLINE Ints SplatBytes(const uint8_t* from) { return SplatWord(from); }
/// In each 32-bit lane: sum + a0·b0 + … + a3·b3 of signed bytes.
GABION_INLINE Ints DotBytes(Ints sum, Ints a, Ints b) {
  return {vdotq_s32(sum.low, vreinterpretq_s8_s32(b.low), vreinterpretq_s8_s32(a.low)),
          vdotq_s32(sum.high, vreinterpretq_s8_s32(b.high), vreinterpretq_s8_s32(a.high))};
}
#else
/// Weights in the form that DotBytes takes: the first two bytes of all lanes, then the last two.
GABION_INLINE Ints LoadByteWeights(const int8_t* from) {
  const Ints v = LoadInts(from);
  const int16x8_t low = vreinterpretq_s16_s32(v.low);
  const int16x8_t high = vreinterpretq_s16_s32(v.high);
  return {vreinterpretq_s32_s16(vuzp1q_s16(low, high)), vreinterpretq_s32_s16(vuzp2q_s16(low, high))};
}
/// Four activations in the same form.
GABION_INLINE Ints SplatBytes(const uint8_t* from) {
  int16_t pairs[2];
  __builtin_memcpy(pairs, from, sizeof pairs);
  return {vreinterpretq_s32_s16(vdupq_n_s16(pairs[0])), vreinterpretq_s32_s16(vdupq_n_s16(pairs[1]))};
}
/// In each 32-bit lane: sum + a0·b0 + … + a3·b3 of signed bytes, of which b has no -128: two products fit 16 bits.
GABION_INLINE Ints DotBytes(Ints sum, Ints a, Ints b) {
  const int8x16_t a01 = vreinterpretq_s8_s32(a.low);
  const int8x16_t a23 = vreinterpretq_s8_s32(a.high);
  const int8x16_t b01 = vreinterpretq_s8_s32(b.low);
  const int8x16_t b23 = vreinterpretq_s8_s32(b.high);
  const int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(b01), vget_low_s8(a01)), vget_low_s8(b23), vget_low_s8(a23));
  const int16x8_t high = vmlal_high_s8(vmull_high_s8(b01, a01), b23, a23);
  return {vpadalq_s16(sum.low, low), vpadalq_s16(sum.high, high)};
}
#endif

/// In each lane: sum + a0·b0 + a1·b1 of bf16 values.
GABION_INLINE Floats DotBfloat16(Floats sum, Ints a, Ints b) {
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
  return {vbfdotq_f32(sum.low, vreinterpretq_bf16_s32(a.low), vreinterpretq_bf16_s32(b.low)),
          vbfdotq_f32(sum.high, vreinterpretq_bf16_s32(a.high), vreinterpretq_bf16_s32(b.high))};
#else
  return MultiplyAdd(HighBfloat16(a), HighBfloat16(b), MultiplyAdd(LowBfloat16(a), LowBfloat16(b), sum));
#endif
}

/// Asks for the cache lines of the next `bytes`. Weights of one byte go to the first-level cache, wider ones to the
/// second: two of their panels are more than the first holds.
template <int bytes, bool near>
GABION_INLINE void Prefetch(const void* at) {
  for (int line = 0; line < bytes; line += 64) {
    __builtin_prefetch(static_cast<const char*>(at) + line, 0, near ? 3 : 2);
  }
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
