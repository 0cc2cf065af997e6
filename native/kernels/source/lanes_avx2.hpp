// Vectors of 8 floats: AVX2 with FMA, and AVX-VNNI where the file is compiled for it.
// Dot products missing from the set are computed with the same result from the instructions it has.
//
// Operations are named as in Highway (github.com/google/highway).
#pragma once

#include <immintrin.h>

#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr int kLanes = 8;
/// Rows of a register tile: with two vectors per row, 12 accumulators in 16 registers.
constexpr int kVectorMR = 6;
/// M from which float GEMMs use Strassen's algorithm (strassen.hpp), which is not faster below; 0: never.
constexpr size_t kStrassenMinRows = 18;
/// Whether the weights of the next step of K are formed between the multiply-adds of the current one (software
/// pipelining), which takes 8 registers beyond the accumulators.
constexpr bool kPipelinesWeights = false;

using Vec = __m256;
using VecI32 = __m256i;
using Mask = __m256;

/// Empty assembly that keeps its operands in registers and memory accesses on their side of it.
template <typename Vector>
GABION_INLINE void OptimizationBarrier(Vector& vector) {
  __asm__ volatile("" : "+x"(vector) : : "memory");
}
template <typename Vector>
GABION_INLINE void OptimizationBarrier(Vector& left, Vector& right) {
  __asm__ volatile("" : "+x"(left), "+x"(right) : : "memory");
}

GABION_INLINE Vec Load(const float* from) { return _mm256_loadu_ps(from); }
GABION_INLINE void Store(float* to, Vec v) { _mm256_storeu_ps(to, v); }
GABION_INLINE Vec Set(float x) { return _mm256_set1_ps(x); }
GABION_INLINE Vec Add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
GABION_INLINE Vec Sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
GABION_INLINE Vec Mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
GABION_INLINE Vec Div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
/// a · b + c, rounded once.
GABION_INLINE Vec MulAdd(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
/// c - a · b, rounded once.
GABION_INLINE Vec NegMulAdd(Vec a, Vec b, Vec c) { return _mm256_fnmadd_ps(a, b, c); }
/// Of Min and Max: b where either is NaN.
GABION_INLINE Vec Min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
GABION_INLINE Vec Max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
GABION_INLINE Vec Abs(Vec v) { return _mm256_andnot_ps(Set(-0.0F), v); }
GABION_INLINE Vec Round(Vec v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/// v · 2^n for integers n from -126 to 127.
GABION_INLINE Vec MulByPow2(Vec v, Vec n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
/// x - floor(x).
GABION_INLINE Vec Fract(Vec x) { return _mm256_sub_ps(x, _mm256_floor_ps(x)); }
/// v · 2^max(floor(x), -126).
GABION_INLINE Vec MulByFloorPow2(Vec v, Vec x) { return MulByPow2(v, _mm256_max_ps(_mm256_floor_ps(x), Set(-126))); }
/// a > b, also where either is NaN.
GABION_INLINE Mask GtOrNan(Vec a, Vec b) { return _mm256_cmp_ps(a, b, _CMP_NLE_UQ); }
/// The first `count` lanes.
GABION_INLINE Mask FirstN(int count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane));
}
GABION_INLINE Vec IfThenElse(Mask mask, Vec yes, Vec no) { return _mm256_blendv_ps(no, yes, mask); }
GABION_INLINE Vec IfThenElseZero(Mask mask, Vec yes) { return _mm256_and_ps(mask, yes); }
GABION_INLINE float ReduceSum(Vec v) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
GABION_INLINE float ReduceMax(Vec v) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
/// The maxima of two vectors.
GABION_INLINE void ReduceMaxTwo(Vec a, Vec b, float* max_a, float* max_b) {
  *max_a = ReduceMax(a);
  *max_b = ReduceMax(b);
}

GABION_INLINE VecI32 ZeroI32() { return _mm256_setzero_si256(); }
GABION_INLINE VecI32 LoadI32(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
GABION_INLINE void StoreI32(void* to, VecI32 v) { _mm256_storeu_si256(static_cast<__m256i*>(to), v); }
GABION_INLINE Vec ConvertToF32(VecI32 v) { return _mm256_cvtepi32_ps(v); }
GABION_INLINE Vec BitCastToF32(VecI32 v) { return _mm256_castsi256_ps(v); }
/// The same four bytes in every lane.
GABION_INLINE VecI32 Broadcast32(const void* from) {
  int word = 0;
  __builtin_memcpy(&word, from, sizeof word);
  return _mm256_set1_epi32(word);
}
/// The even bf16 values (low halves of the lanes), promoted to float.
GABION_INLINE Vec PromoteEvenBfloat16(VecI32 pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
/// The odd bf16 values (high halves of the lanes), promoted to float.
GABION_INLINE Vec PromoteOddBfloat16(VecI32 pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000U))));
}
/// kLanes consecutive bf16 values, promoted to float.
GABION_INLINE Vec LoadPromoteBfloat16(const uint16_t* from) {
  const __m128i bf16 = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
}
/// 2 · kLanes signed bytes, promoted to 16 bits.
GABION_INLINE VecI32 LoadPromoteInt8(const int8_t* from) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
/// Rounds to nearest even; values must fit.
GABION_INLINE void StoreInt16(int16_t* to, Vec v) {
  const __m256i wide = _mm256_cvtps_epi32(v);
  const __m128i low = _mm256_castsi256_si128(wide);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_packs_epi32(low, _mm256_extracti128_si256(wide, 1)));
}
/// Subtracted from 8-bit activations when they are stored: x86 multiplies unsigned bytes by signed ones.
constexpr int kZeroPointShift = 0;
/// Rounds to nearest even, clamps to 0…255 and stores the value minus kZeroPointShift.
GABION_INLINE void StoreUint8(uint8_t* to, Vec v) {
  const __m256i wide = _mm256_cvtps_epi32(v);
  const __m128i low = _mm256_castsi256_si128(wide);
  const __m128i words = _mm_packs_epi32(low, _mm256_extracti128_si256(wide, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}
/// Rounds to nearest even signed bytes; values must fit.
GABION_INLINE void StoreInt8(uint8_t* to, Vec v) {
  const __m256i wide = _mm256_cvtps_epi32(v);
  const __m128i low = _mm256_castsi256_si128(wide);
  const __m128i words = _mm_packs_epi32(low, _mm256_extracti128_si256(wide, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(words, words));
}
/// Four vectors as StoreInt8, interleaved: lane by lane one byte of each.
GABION_INLINE void StoreInterleaved4Int8(uint8_t* to, Vec v0, Vec v1, Vec v2, Vec v3) {
  const __m256i byte = _mm256_set1_epi32(0xff);
  const __m256i low = _mm256_or_si256(_mm256_and_si256(_mm256_cvtps_epi32(v0), byte),
                                      _mm256_slli_epi32(_mm256_and_si256(_mm256_cvtps_epi32(v1), byte), 8));
  const __m256i high =
      _mm256_or_si256(_mm256_and_si256(_mm256_cvtps_epi32(v2), byte), _mm256_slli_epi32(_mm256_cvtps_epi32(v3), 8));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_or_si256(low, _mm256_slli_epi32(high, 16)));
}
/// Rounds to nearest even; NaN stays NaN.
GABION_INLINE void StoreBfloat16(uint16_t* to, Vec v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i wide = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  const __m128i low = _mm256_castsi256_si128(wide);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_packus_epi32(low, _mm256_extracti128_si256(wide, 1)));
}

/// Stores bf16 into the low half of each of kLanes words; the high half becomes zero.
GABION_INLINE void StoreEvenBfloat16(uint16_t* to, Vec v) {
  uint16_t bf16[kLanes];
  StoreBfloat16(bf16, v);
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bf16));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepu16_epi32(halves));
}
/// Stores bf16 into the high half of each of kLanes words; the low half is unchanged.
GABION_INLINE void StoreOddBfloat16(uint16_t* to, Vec v) {
  uint16_t bf16[kLanes];
  StoreBfloat16(bf16, v);
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bf16));
  const __m256i high = _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16);
  auto* at = reinterpret_cast<__m256i*>(to);
  _mm256_storeu_si256(at, _mm256_or_si256(_mm256_loadu_si256(at), high));
}

/// In each 32-bit lane: sum + a0·b0 + a1·b1 of signed 16-bit values.
GABION_INLINE VecI32 DotInt16(VecI32 sum, VecI32 a, VecI32 b) {
#ifdef __AVXVNNI__
  return _mm256_dpwssd_avx_epi32(sum, a, b);
#else
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
#endif
}
/// Weights and activations in the layouts that DotBytes takes.
GABION_INLINE VecI32 LoadByteWeights(const int8_t* from) { return LoadI32(from); }
GABION_INLINE VecI32 BroadcastBytes4(const uint8_t* from) { return Broadcast32(from); }
/// In each 32-bit lane: sum + a0·b0 + … + a3·b3, a unsigned and b signed bytes, nothing saturates.
GABION_INLINE VecI32 DotBytes(VecI32 sum, VecI32 a, VecI32 b) {
#ifdef __AVXVNNI__
  return _mm256_dpbusd_avx_epi32(sum, a, b);
#else
  const __m256i low_byte = _mm256_set1_epi16(0xff);
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(a, low_byte), _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
#endif
}
/// In each lane: sum + a0·b0 + a1·b1 of bf16 values.
GABION_INLINE Vec DotBfloat16(Vec sum, VecI32 a, VecI32 b) {
  return MulAdd(PromoteOddBfloat16(a), PromoteOddBfloat16(b),
                MulAdd(PromoteEvenBfloat16(a), PromoteEvenBfloat16(b), sum));
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
