// Vectors of 8 floats for arm64, two registers each: NEON, and dot products of bytes and of bf16 where the file is
// compiled for them. Dot products missing from the set are computed with the same result from the instructions it has.
//
// Operations are named as in Highway (github.com/google/highway).
#pragma once

#include <arm_neon.h>

#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr int kLanes = 8;
/// Rows of a register tile: with two vectors per row, 24 accumulators in 32 registers.
constexpr int kVectorMR = 6;
/// M from which float GEMMs use Strassen's algorithm (strassen.hpp); 0: never.
constexpr size_t kStrassenMinRows = 0;
constexpr bool kPipelinesWeights = false;

struct Vec {
  float32x4_t low;
  float32x4_t high;
};
struct VecI32 {
  int32x4_t low;
  int32x4_t high;
};
struct Mask {
  uint32x4_t low;
  uint32x4_t high;
};

// Empty assembly that keeps its operands in registers; without "memory", which would spill vectors that are structs.
GABION_INLINE void OptimizationBarrier(Vec& vector) { __asm__ volatile("" : "+w"(vector.low), "+w"(vector.high)); }
GABION_INLINE void OptimizationBarrier(Vec& left, Vec& right) {
  __asm__ volatile("" : "+w"(left.low), "+w"(left.high), "+w"(right.low), "+w"(right.high));
}
GABION_INLINE void OptimizationBarrier(VecI32& left, VecI32& right) {
  __asm__ volatile("" : "+w"(left.low), "+w"(left.high), "+w"(right.low), "+w"(right.high));
}

GABION_INLINE Vec Load(const float* from) { return {vld1q_f32(from), vld1q_f32(from + 4)}; }
GABION_INLINE void Store(float* to, Vec v) {
  vst1q_f32(to, v.low);
  vst1q_f32(to + 4, v.high);
}
GABION_INLINE Vec Set(float x) {
  const float32x4_t all = vdupq_n_f32(x);
  return {all, all};
}
GABION_INLINE Vec Add(Vec a, Vec b) { return {vaddq_f32(a.low, b.low), vaddq_f32(a.high, b.high)}; }
GABION_INLINE Vec Sub(Vec a, Vec b) { return {vsubq_f32(a.low, b.low), vsubq_f32(a.high, b.high)}; }
GABION_INLINE Vec Mul(Vec a, Vec b) { return {vmulq_f32(a.low, b.low), vmulq_f32(a.high, b.high)}; }
GABION_INLINE Vec Div(Vec a, Vec b) { return {vdivq_f32(a.low, b.low), vdivq_f32(a.high, b.high)}; }
/// a · b + c, rounded once.
GABION_INLINE Vec MulAdd(Vec a, Vec b, Vec c) {
  return {vfmaq_f32(c.low, a.low, b.low), vfmaq_f32(c.high, a.high, b.high)};
}
/// c - a · b, rounded once.
GABION_INLINE Vec NegMulAdd(Vec a, Vec b, Vec c) {
  return {vfmsq_f32(c.low, a.low, b.low), vfmsq_f32(c.high, a.high, b.high)};
}
/// Of Min and Max: NaN where either is NaN.
GABION_INLINE Vec Min(Vec a, Vec b) { return {vminq_f32(a.low, b.low), vminq_f32(a.high, b.high)}; }
GABION_INLINE Vec Max(Vec a, Vec b) { return {vmaxq_f32(a.low, b.low), vmaxq_f32(a.high, b.high)}; }
GABION_INLINE Vec Abs(Vec v) { return {vabsq_f32(v.low), vabsq_f32(v.high)}; }
GABION_INLINE Vec Round(Vec v) { return {vrndnq_f32(v.low), vrndnq_f32(v.high)}; }
/// v · 2^n for integers n from -126 to 127.
GABION_INLINE float32x4_t MulByPow2(float32x4_t v, float32x4_t n) {
  const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
  return vmulq_f32(v, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
}
GABION_INLINE Vec MulByPow2(Vec v, Vec n) { return {MulByPow2(v.low, n.low), MulByPow2(v.high, n.high)}; }
/// x - floor(x).
GABION_INLINE Vec Fract(Vec x) { return Sub(x, {vrndmq_f32(x.low), vrndmq_f32(x.high)}); }
/// v · 2^max(floor(x), -126).
GABION_INLINE Vec MulByFloorPow2(Vec v, Vec x) {
  return MulByPow2(v, Max({vrndmq_f32(x.low), vrndmq_f32(x.high)}, Set(-126)));
}
/// a > b, also where either is NaN.
GABION_INLINE Mask GtOrNan(Vec a, Vec b) {
  return {vmvnq_u32(vcleq_f32(a.low, b.low)), vmvnq_u32(vcleq_f32(a.high, b.high))};
}
/// The first `count` lanes.
GABION_INLINE Mask FirstN(int count) {
  const int32x4_t lane = {0, 1, 2, 3};
  const int32x4_t end = vdupq_n_s32(count);
  return {vcgtq_s32(end, lane), vcgtq_s32(end, vaddq_s32(lane, vdupq_n_s32(4)))};
}
GABION_INLINE Vec IfThenElse(Mask mask, Vec yes, Vec no) {
  return {vbslq_f32(mask.low, yes.low, no.low), vbslq_f32(mask.high, yes.high, no.high)};
}
GABION_INLINE float32x4_t IfThenElseZero(uint32x4_t mask, float32x4_t yes) {
  return vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(yes)));
}
GABION_INLINE Vec IfThenElseZero(Mask mask, Vec yes) {
  return {IfThenElseZero(mask.low, yes.low), IfThenElseZero(mask.high, yes.high)};
}
GABION_INLINE float ReduceSum(Vec v) { return vaddvq_f32(vaddq_f32(v.low, v.high)); }
GABION_INLINE float ReduceMax(Vec v) { return vmaxvq_f32(vmaxq_f32(v.low, v.high)); }
/// The maxima of two vectors.
GABION_INLINE void ReduceMaxTwo(Vec a, Vec b, float* max_a, float* max_b) {
  *max_a = ReduceMax(a);
  *max_b = ReduceMax(b);
}

GABION_INLINE VecI32 ZeroI32() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
GABION_INLINE VecI32 LoadI32(const void* from) {
  const auto* bytes = static_cast<const int8_t*>(from);
  return {vreinterpretq_s32_s8(vld1q_s8(bytes)), vreinterpretq_s32_s8(vld1q_s8(bytes + 16))};
}
GABION_INLINE void StoreI32(void* to, VecI32 v) {
  auto* bytes = static_cast<int8_t*>(to);
  vst1q_s8(bytes, vreinterpretq_s8_s32(v.low));
  vst1q_s8(bytes + 16, vreinterpretq_s8_s32(v.high));
}
GABION_INLINE Vec ConvertToF32(VecI32 v) { return {vcvtq_f32_s32(v.low), vcvtq_f32_s32(v.high)}; }
GABION_INLINE Vec BitCastToF32(VecI32 v) { return {vreinterpretq_f32_s32(v.low), vreinterpretq_f32_s32(v.high)}; }
/// The same four bytes in every lane.
GABION_INLINE VecI32 Broadcast32(const void* from) {
  int word = 0;
  __builtin_memcpy(&word, from, sizeof word);
  const int32x4_t all = vdupq_n_s32(word);
  return {all, all};
}
/// The even bf16 values (low halves of the lanes), promoted to float.
GABION_INLINE Vec PromoteEvenBfloat16(VecI32 pairs) {
  return BitCastToF32({vshlq_n_s32(pairs.low, 16), vshlq_n_s32(pairs.high, 16)});
}
/// The odd bf16 values (high halves of the lanes), promoted to float.
GABION_INLINE Vec PromoteOddBfloat16(VecI32 pairs) {
  const int32x4_t mask = vdupq_n_s32(static_cast<int>(0xffff0000U));
  return BitCastToF32({vandq_s32(pairs.low, mask), vandq_s32(pairs.high, mask)});
}
/// kLanes consecutive bf16 values, promoted to float.
GABION_INLINE Vec LoadPromoteBfloat16(const uint16_t* from) {
  const uint16x8_t bf16 = vld1q_u16(from);
  return {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(bf16), 16)),
          vreinterpretq_f32_u32(vshll_high_n_u16(bf16, 16))};
}
/// 2 · kLanes signed bytes, promoted to 16 bits.
GABION_INLINE VecI32 LoadPromoteInt8(const int8_t* from) {
  const int8x16_t bytes = vld1q_s8(from);
  return {vreinterpretq_s32_s16(vmovl_s8(vget_low_s8(bytes))), vreinterpretq_s32_s16(vmovl_high_s8(bytes))};
}
GABION_INLINE int16x8_t ToInt16(Vec v) {
  return vqmovn_high_s32(vqmovn_s32(vcvtnq_s32_f32(v.low)), vcvtnq_s32_f32(v.high));
}
/// Rounds to nearest even; values must fit.
GABION_INLINE void StoreInt16(int16_t* to, Vec v) { vst1q_s16(to, ToInt16(v)); }

/// Subtracted from 8-bit activations when they are stored: arm64 multiplies signed bytes.
constexpr int kZeroPointShift = 128;
/// Rounds to nearest even, clamps to 0…255 and stores the value minus kZeroPointShift.
GABION_INLINE void StoreUint8(uint8_t* to, Vec v) { vst1_u8(to, veor_u8(vqmovun_s16(ToInt16(v)), vdup_n_u8(0x80))); }

/// Rounds to nearest even signed bytes; values must fit.
GABION_INLINE void StoreInt8(uint8_t* to, Vec v) { vst1_u8(to, vreinterpret_u8_s8(vqmovn_s16(ToInt16(v)))); }
/// Four vectors as StoreInt8, interleaved: lane by lane one byte of each.
GABION_INLINE void StoreInterleaved4Int8(uint8_t* to, Vec v0, Vec v1, Vec v2, Vec v3) {
  // Named: clang's vst4_s8 is a macro, which takes braces for several arguments.
  const int8x8x4_t bytes = {
      {vqmovn_s16(ToInt16(v0)), vqmovn_s16(ToInt16(v1)), vqmovn_s16(ToInt16(v2)), vqmovn_s16(ToInt16(v3))}};
  vst4_s8(reinterpret_cast<int8_t*>(to), bytes);
}

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
GABION_INLINE uint16x8_t ToBfloat16(Vec v) {
  return vreinterpretq_u16_bf16(vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(v.low), v.high));
}
#else
/// The bf16 value in the high half of each lane.
GABION_INLINE uint32x4_t RoundToBfloat16(float32x4_t v) {
  const uint32x4_t bits = vreinterpretq_u32_f32(v);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  return vbslq_u32(vceqq_f32(v, v), rounded, quiet);
}
GABION_INLINE uint16x8_t ToBfloat16(Vec v) {
  return vshrn_high_n_u32(vshrn_n_u32(RoundToBfloat16(v.low), 16), RoundToBfloat16(v.high), 16);
}
#endif
/// Rounds to nearest even; NaN stays NaN.
GABION_INLINE void StoreBfloat16(uint16_t* to, Vec v) { vst1q_u16(to, ToBfloat16(v)); }

/// Stores bf16 into the low half of each of kLanes words; the high half becomes zero.
GABION_INLINE void StoreEvenBfloat16(uint16_t* to, Vec v) {
  const uint16x8_t bf16 = ToBfloat16(v);
  StoreI32(to, {vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(bf16))), vreinterpretq_s32_u32(vmovl_high_u16(bf16))});
}
/// Stores bf16 into the high half of each of kLanes words; the low half is unchanged.
GABION_INLINE void StoreOddBfloat16(uint16_t* to, Vec v) {
  const uint16x8_t bf16 = ToBfloat16(v);
  const VecI32 before = LoadI32(to);
  const uint32x4_t low = vshll_n_u16(vget_low_u16(bf16), 16);
  const uint32x4_t high = vshll_high_n_u16(bf16, 16);
  StoreI32(to,
           {vorrq_s32(before.low, vreinterpretq_s32_u32(low)), vorrq_s32(before.high, vreinterpretq_s32_u32(high))});
}

GABION_INLINE int32x4_t DotInt16(int32x4_t sum, int16x8_t a, int16x8_t b) {
  const int32x4_t low = vmull_s16(vget_low_s16(a), vget_low_s16(b));
  return vaddq_s32(sum, vpaddq_s32(low, vmull_high_s16(a, b)));
}
/// In each 32-bit lane: sum + a0·b0 + a1·b1 of signed 16-bit values.
GABION_INLINE VecI32 DotInt16(VecI32 sum, VecI32 a, VecI32 b) {
  return {DotInt16(sum.low, vreinterpretq_s16_s32(a.low), vreinterpretq_s16_s32(b.low)),
          DotInt16(sum.high, vreinterpretq_s16_s32(a.high), vreinterpretq_s16_s32(b.high))};
}

#ifdef __ARM_FEATURE_DOTPROD
/// Weights and activations in the layouts that DotBytes takes.
GABION_INLINE VecI32 LoadByteWeights(const int8_t* from) { return LoadI32(from); }
GABION_INLINE VecI32 BroadcastBytes4(const uint8_t* from) { return Broadcast32(from); }
/// In each 32-bit lane: sum + a0·b0 + … + a3·b3 of signed bytes.
GABION_INLINE VecI32 DotBytes(VecI32 sum, VecI32 a, VecI32 b) {
  return {vdotq_s32(sum.low, vreinterpretq_s8_s32(b.low), vreinterpretq_s8_s32(a.low)),
          vdotq_s32(sum.high, vreinterpretq_s8_s32(b.high), vreinterpretq_s8_s32(a.high))};
}
#else
/// Weights in the layout that DotBytes takes: the first two bytes of all lanes, then the last two.
GABION_INLINE VecI32 LoadByteWeights(const int8_t* from) {
  const VecI32 v = LoadI32(from);
  const int16x8_t low = vreinterpretq_s16_s32(v.low);
  const int16x8_t high = vreinterpretq_s16_s32(v.high);
  return {vreinterpretq_s32_s16(vuzp1q_s16(low, high)), vreinterpretq_s32_s16(vuzp2q_s16(low, high))};
}
/// Four activations in the same layout.
GABION_INLINE VecI32 BroadcastBytes4(const uint8_t* from) {
  int16_t pairs[2];
  __builtin_memcpy(pairs, from, sizeof pairs);
  return {vreinterpretq_s32_s16(vdupq_n_s16(pairs[0])), vreinterpretq_s32_s16(vdupq_n_s16(pairs[1]))};
}
/// In each 32-bit lane: sum + a0·b0 + … + a3·b3 of signed bytes, of which b has no -128, so that two products fit
/// 16 bits.
GABION_INLINE VecI32 DotBytes(VecI32 sum, VecI32 a, VecI32 b) {
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
GABION_INLINE Vec DotBfloat16(Vec sum, VecI32 a, VecI32 b) {
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
  return {vbfdotq_f32(sum.low, vreinterpretq_bf16_s32(a.low), vreinterpretq_bf16_s32(b.low)),
          vbfdotq_f32(sum.high, vreinterpretq_bf16_s32(a.high), vreinterpretq_bf16_s32(b.high))};
#else
  return MulAdd(PromoteOddBfloat16(a), PromoteOddBfloat16(b),
                MulAdd(PromoteEvenBfloat16(a), PromoteEvenBfloat16(b), sum));
#endif
}

/// Prefetches the cache lines of the next `bytes`: 8-bit weights into L1, wider ones into L2, since two of their panels
/// exceed L1.
template <int bytes, bool near>
GABION_INLINE void Prefetch(const void* at) {
  for (int line = 0; line < bytes; line += 64) {
    __builtin_prefetch(static_cast<const char*>(at) + line, 0, near ? 3 : 2);
  }
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
