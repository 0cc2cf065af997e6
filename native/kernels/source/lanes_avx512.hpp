// Vectors of 16 floats: AVX-512 F, BW, DQ, VL with VNNI, and BF16 where the file is compiled for it.
// Dot products missing from the set are computed with the same result from the instructions it has.
//
// Operations are named as in Highway (github.com/google/highway).
#pragma once

#include <immintrin.h>

#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr int kLanes = 16;
/// Rows of a register tile: with two vectors per row, 24 accumulators in 32 registers.
constexpr int kVectorMR = 12;
/// M from which float GEMMs use Strassen's algorithm (strassen.hpp), which is not faster below; 0: never.
constexpr size_t kStrassenMinRows = 14;
/// Whether the weights of the next step of K are formed between the multiply-adds of the current one (software
/// pipelining), which takes 8 registers beyond the accumulators.
constexpr bool kPipelinesWeights = true;

using Vec = __m512;
using VecI32 = __m512i;
using Mask = __mmask16;

/// Empty assembly that keeps its operands in registers and memory accesses on their side of it.
template <typename Vector>
GABION_INLINE void OptimizationBarrier(Vector& vector) {
  __asm__ volatile("" : "+v"(vector) : : "memory");
}
template <typename Vector>
GABION_INLINE void OptimizationBarrier(Vector& left, Vector& right) {
  __asm__ volatile("" : "+v"(left), "+v"(right) : : "memory");
}

GABION_INLINE Vec Load(const float* from) { return _mm512_loadu_ps(from); }
GABION_INLINE void Store(float* to, Vec v) { _mm512_storeu_ps(to, v); }
GABION_INLINE Vec Set(float x) { return _mm512_set1_ps(x); }
GABION_INLINE Vec Add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
GABION_INLINE Vec Sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
GABION_INLINE Vec Mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
GABION_INLINE Vec Div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
/// a · b + c, rounded once.
GABION_INLINE Vec MulAdd(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
/// c - a · b, rounded once.
GABION_INLINE Vec NegMulAdd(Vec a, Vec b, Vec c) { return _mm512_fnmadd_ps(a, b, c); }
/// Of Min and Max: b where either is NaN.
GABION_INLINE Vec Min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
GABION_INLINE Vec Max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
GABION_INLINE Vec Abs(Vec v) { return _mm512_abs_ps(v); }
GABION_INLINE Vec Round(Vec v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT); }
/// v · 2^n for integers n.
GABION_INLINE Vec MulByPow2(Vec v, Vec n) { return _mm512_scalef_ps(v, n); }
/// x - floor(x).
GABION_INLINE Vec Fract(Vec x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
/// v · 2^floor(x).
GABION_INLINE Vec MulByFloorPow2(Vec v, Vec x) { return _mm512_scalef_ps(v, x); }
/// a > b, also where either is NaN.
GABION_INLINE Mask GtOrNan(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ); }
/// The first `count` lanes.
GABION_INLINE Mask FirstN(int count) { return static_cast<__mmask16>((1U << count) - 1U); }
GABION_INLINE Vec IfThenElse(Mask mask, Vec yes, Vec no) { return _mm512_mask_mov_ps(no, mask, yes); }
GABION_INLINE Vec IfThenElseZero(Mask mask, Vec yes) { return _mm512_maskz_mov_ps(mask, yes); }
GABION_INLINE float ReduceSum(Vec v) { return _mm512_reduce_add_ps(v); }
GABION_INLINE float ReduceMax(Vec v) { return _mm512_reduce_max_ps(v); }
/// The maxima of two vectors, at little more than the cost of one.
GABION_INLINE void ReduceMaxTwo(Vec a, Vec b, float* max_a, float* max_b) {
  const __m512 ends = _mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
  const __m512 halves = _mm512_max_ps(ends, _mm512_shuffle_f32x4(ends, ends, 0xb1));
  const __m512 pairs = _mm512_max_ps(halves, _mm512_shuffle_ps(halves, halves, 0x4e));
  const __m512 all = _mm512_max_ps(pairs, _mm512_shuffle_ps(pairs, pairs, 0xb1));
  *max_a = _mm512_cvtss_f32(all);
  *max_b = _mm_cvtss_f32(_mm512_extractf32x4_ps(all, 2));
}

GABION_INLINE VecI32 ZeroI32() { return _mm512_setzero_si512(); }
GABION_INLINE VecI32 LoadI32(const void* from) { return _mm512_loadu_si512(from); }
GABION_INLINE void StoreI32(void* to, VecI32 v) { _mm512_storeu_si512(to, v); }
GABION_INLINE Vec ConvertToF32(VecI32 v) { return _mm512_cvtepi32_ps(v); }
/// The same four bytes in every lane.
GABION_INLINE VecI32 Broadcast32(const void* from) {
  int word = 0;
  __builtin_memcpy(&word, from, sizeof word);
  return _mm512_set1_epi32(word);
}
/// The even bf16 values (low halves of the lanes), promoted to float.
GABION_INLINE Vec PromoteEvenBfloat16(VecI32 pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
/// The odd bf16 values (high halves of the lanes), promoted to float.
GABION_INLINE Vec PromoteOddBfloat16(VecI32 pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000U))));
}
/// kLanes consecutive bf16 values, promoted to float.
GABION_INLINE Vec LoadPromoteBfloat16(const uint16_t* from) {
  const __m256i bf16 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}
/// 2 · kLanes signed bytes, promoted to 16 bits.
GABION_INLINE VecI32 LoadPromoteInt8(const int8_t* from) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
/// Rounds to nearest even; values must fit.
GABION_INLINE void StoreInt16(int16_t* to, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v)));
}
/// Subtracted from 8-bit activations when they are stored: x86 multiplies unsigned bytes by signed ones.
constexpr int kZeroPointShift = 0;
/// Rounds to nearest even, clamps to 0…255 and stores the value minus kZeroPointShift.
GABION_INLINE void StoreUint8(uint8_t* to, Vec v) {
  const __m512i wide = _mm512_max_epi32(_mm512_cvtps_epi32(v), _mm512_setzero_si512());
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtusepi32_epi8(wide));
}
/// Rounds to nearest even signed bytes; values must fit.
GABION_INLINE void StoreInt8(uint8_t* to, Vec v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
}
/// Four vectors as StoreInt8, interleaved: lane by lane one byte of each.
GABION_INLINE void StoreInterleaved4Int8(uint8_t* to, Vec v0, Vec v1, Vec v2, Vec v3) {
  const __m512i byte = _mm512_set1_epi32(0xff);
  const __m512i low = _mm512_or_si512(_mm512_and_si512(_mm512_cvtps_epi32(v0), byte),
                                      _mm512_slli_epi32(_mm512_and_si512(_mm512_cvtps_epi32(v1), byte), 8));
  const __m512i high =
      _mm512_or_si512(_mm512_and_si512(_mm512_cvtps_epi32(v2), byte), _mm512_slli_epi32(_mm512_cvtps_epi32(v3), 8));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
/// Rounds to nearest even; NaN stays NaN.
GABION_INLINE void StoreBfloat16(uint16_t* to, Vec v) {
#ifdef __AVX512BF16__
  const auto bf16 = _mm512_cvtneps_pbh(v);
  __builtin_memcpy(to, &bf16, sizeof bf16);
#else
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __m512i wide = _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), quiet);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(_mm512_srli_epi32(wide, 16)));
#endif
}

/// Stores bf16 into the low half of each of kLanes words; the high half becomes zero.
GABION_INLINE void StoreEvenBfloat16(uint16_t* to, Vec v) {
  uint16_t bf16[kLanes];
  StoreBfloat16(bf16, v);
  __m256i halves;
  __builtin_memcpy(&halves, bf16, sizeof halves);
  _mm512_storeu_si512(to, _mm512_cvtepu16_epi32(halves));
}
/// Stores bf16 into the high half of each of kLanes words; the low half is unchanged.
GABION_INLINE void StoreOddBfloat16(uint16_t* to, Vec v) {
  uint16_t bf16[kLanes];
  StoreBfloat16(bf16, v);
  __m256i halves;
  __builtin_memcpy(&halves, bf16, sizeof halves);
  const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
  _mm512_storeu_si512(to, _mm512_or_si512(_mm512_loadu_si512(to), high));
}

/// In each 32-bit lane: sum + a0·b0 + a1·b1 of signed 16-bit values.
GABION_INLINE VecI32 DotInt16(VecI32 sum, VecI32 a, VecI32 b) { return _mm512_dpwssd_epi32(sum, a, b); }
/// Weights and activations in the layouts that DotBytes takes.
GABION_INLINE VecI32 LoadByteWeights(const int8_t* from) { return LoadI32(from); }
GABION_INLINE VecI32 BroadcastBytes4(const uint8_t* from) { return Broadcast32(from); }
/// In each 32-bit lane: sum + a0·b0 + … + a3·b3, a unsigned and b signed bytes, nothing saturates.
GABION_INLINE VecI32 DotBytes(VecI32 sum, VecI32 a, VecI32 b) { return _mm512_dpbusd_epi32(sum, a, b); }
/// In each lane: sum + a0·b0 + a1·b1 of bf16 values.
GABION_INLINE Vec DotBfloat16(Vec sum, VecI32 a, VecI32 b) {
#ifdef __AVX512BF16__
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
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
    _mm_prefetch(static_cast<const char*>(at) + line, near ? _MM_HINT_T0 : _MM_HINT_T1);
  }
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
