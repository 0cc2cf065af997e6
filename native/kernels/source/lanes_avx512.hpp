// Vectors of 16 floats: AVX-512 F, BW, DQ, VL with VNNI, and BF16 where the file is compiled for it.
// Dot products that this set lacks are computed to the same value from the instructions it has.
#pragma once

#include <immintrin.h>

#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr int kLanes = 16;
/// Rows of a register tile: with two vectors a row, 24 accumulators of 32 registers.
constexpr int kTileRows = 12;
/// Rows from which float products go in pairs (strassen.hpp), which fewer are no faster with; 0: never.
constexpr size_t kPairsFrom = 14;
/// Whether weights are added one step ahead, between the products: 8 more registers than the sums take.
constexpr bool kAddsBetween = true;

using Floats = __m512;
using Ints = __m512i;

template <typename Vector>
GABION_INLINE void Hold(Vector& vector) {
  __asm__ volatile("" : "+v"(vector) : : "memory");
}
template <typename Vector>
GABION_INLINE void Hold(Vector& left, Vector& right) {
  __asm__ volatile("" : "+v"(left), "+v"(right) : : "memory");
}

GABION_INLINE Floats Load(const float* from) { return _mm512_loadu_ps(from); }
GABION_INLINE void Store(float* to, Floats v) { _mm512_storeu_ps(to, v); }
GABION_INLINE Floats Splat(float x) { return _mm512_set1_ps(x); }
GABION_INLINE Floats Add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
GABION_INLINE Floats Subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
GABION_INLINE Floats Multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
GABION_INLINE Floats Divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
/// a · b + c, rounded once.
GABION_INLINE Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
/// c - a · b, rounded once.
GABION_INLINE Floats MultiplySubtractFrom(Floats a, Floats b, Floats c) { return _mm512_fnmadd_ps(a, b, c); }
GABION_INLINE Floats Lesser(Floats a, Floats b) { return _mm512_min_ps(a, b); }
GABION_INLINE Floats Greater(Floats a, Floats b) { return _mm512_max_ps(a, b); }
GABION_INLINE Floats Magnitude(Floats v) { return _mm512_abs_ps(v); }
GABION_INLINE Floats ToNearest(Floats v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT); }
/// v · 2^n for whole n.
GABION_INLINE Floats TimesPowerOfTwo(Floats v, Floats n) { return _mm512_scalef_ps(v, n); }
/// What x is above the next lower whole number.
GABION_INLINE Floats FractionOf(Floats x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
/// v · 2^n for the whole number n that is next lower to x.
GABION_INLINE Floats TimesPowerOfFloor(Floats v, Floats x) { return _mm512_scalef_ps(v, x); }
/// v where x > bound, else 0.
GABION_INLINE Floats WhereAbove(Floats x, Floats bound, Floats v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, bound, _CMP_NLE_UQ), v);
}
/// The first `count` lanes of v, `fill` in the others.
GABION_INLINE Floats KeepFirst(Floats v, int count, Floats fill) {
  return _mm512_mask_mov_ps(fill, static_cast<__mmask16>((1U << count) - 1U), v);
}
GABION_INLINE float SumOf(Floats v) { return _mm512_reduce_add_ps(v); }
GABION_INLINE float GreatestOf(Floats v) { return _mm512_reduce_max_ps(v); }
/// The greatest lanes of two vectors, for little more than one costs.
GABION_INLINE void GreatestOfBoth(Floats a, Floats b, float* of_a, float* of_b) {
  const __m512 ends = _mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
  const __m512 halves = _mm512_max_ps(ends, _mm512_shuffle_f32x4(ends, ends, 0xb1));
  const __m512 pairs = _mm512_max_ps(halves, _mm512_shuffle_ps(halves, halves, 0x4e));
  const __m512 all = _mm512_max_ps(pairs, _mm512_shuffle_ps(pairs, pairs, 0xb1));
  *of_a = _mm512_cvtss_f32(all);
  *of_b = _mm_cvtss_f32(_mm512_extractf32x4_ps(all, 2));
}

GABION_INLINE Ints NoInts() { return _mm512_setzero_si512(); }
GABION_INLINE Ints LoadInts(const void* from) { return _mm512_loadu_si512(from); }
GABION_INLINE void StoreInts(void* to, Ints v) { _mm512_storeu_si512(to, v); }
GABION_INLINE Floats ToFloats(Ints v) { return _mm512_cvtepi32_ps(v); }
/// Four bytes in every lane.
GABION_INLINE Ints SplatWord(const void* from) {
  int word = 0;
  __builtin_memcpy(&word, from, sizeof word);
  return _mm512_set1_epi32(word);
}
/// Of bf16 pairs: the low one of each lane, widened.
GABION_INLINE Floats LowBfloat16(Ints pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
/// Of bf16 pairs: the high one of each lane, widened.
GABION_INLINE Floats HighBfloat16(Ints pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000U))));
}
/// kLanes consecutive bf16 values, widened.
GABION_INLINE Floats LoadBfloat16(const uint16_t* from) {
  const __m256i narrow = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(narrow), 16));
}
/// 2 · kLanes signed bytes, widened to 16 bits.
GABION_INLINE Ints LoadBytesWide(const int8_t* from) {
  return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
/// Rounds to nearest; values must fit.
GABION_INLINE void StoreInt16(int16_t* to, Floats v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v)));
}
/// What bytes of activations are stored less by: these sets multiply unsigned bytes by signed ones.
constexpr int kByteOffset = 0;
/// Rounds to nearest, clamps to 0…255 and stores it less kByteOffset.
GABION_INLINE void StoreUint8(uint8_t* to, Floats v) {
  const __m512i wide = _mm512_max_epi32(_mm512_cvtps_epi32(v), _mm512_setzero_si512());
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtusepi32_epi8(wide));
}
/// Rounds to nearest signed bytes; values must fit.
GABION_INLINE void StoreInt8(uint8_t* to, Floats v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
}
/// As StoreInt8, four vectors: lane by lane one byte of each.
GABION_INLINE void StoreFourInt8(uint8_t* to, Floats v0, Floats v1, Floats v2, Floats v3) {
  const __m512i byte = _mm512_set1_epi32(0xff);
  const __m512i low = _mm512_or_si512(_mm512_and_si512(_mm512_cvtps_epi32(v0), byte),
                                      _mm512_slli_epi32(_mm512_and_si512(_mm512_cvtps_epi32(v1), byte), 8));
  const __m512i high =
      _mm512_or_si512(_mm512_and_si512(_mm512_cvtps_epi32(v2), byte), _mm512_slli_epi32(_mm512_cvtps_epi32(v3), 8));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
/// Rounds to nearest even; NaN stays NaN.
GABION_INLINE void StoreBfloat16(uint16_t* to, Floats v) {
#ifdef __AVX512BF16__
  const auto narrow = _mm512_cvtneps_pbh(v);
  __builtin_memcpy(to, &narrow, sizeof narrow);
#else
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
  const __m512i kept = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __m512i wide = _mm512_mask_mov_epi32(up, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), kept);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(_mm512_srli_epi32(wide, 16)));
#endif
}

/// As bf16 into the low half of each of kLanes words; the other half becomes zero.
GABION_INLINE void StoreLowHalves(uint16_t* to, Floats v) {
  uint16_t narrow[kLanes];
  StoreBfloat16(narrow, v);
  __m256i halves;
  __builtin_memcpy(&halves, narrow, sizeof halves);
  _mm512_storeu_si512(to, _mm512_cvtepu16_epi32(halves));
}
/// As bf16 into the high half of each of kLanes words; the other half stays.
GABION_INLINE void StoreHighHalves(uint16_t* to, Floats v) {
  uint16_t narrow[kLanes];
  StoreBfloat16(narrow, v);
  __m256i halves;
  __builtin_memcpy(&halves, narrow, sizeof halves);
  const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
  _mm512_storeu_si512(to, _mm512_or_si512(_mm512_loadu_si512(to), high));
}

/// In each 32-bit lane: sum + a0·b0 + a1·b1 of signed 16-bit values.
GABION_INLINE Ints DotInt16(Ints sum, Ints a, Ints b) { return _mm512_dpwssd_epi32(sum, a, b); }
/// Weights and activations in the forms that DotBytes takes.
GABION_INLINE Ints LoadByteWeights(const int8_t* from) { return LoadInts(from); }
GABION_INLINE Ints SplatBytes(const uint8_t* from) { return SplatWord(from); }
/// In each 32-bit lane: sum + a0·b0 + … + a3·b3, a unsigned and b signed bytes, nothing saturates.
GABION_INLINE Ints DotBytes(Ints sum, Ints a, Ints b) { return _mm512_dpbusd_epi32(sum, a, b); }
/// In each lane: sum + a0·b0 + a1·b1 of bf16 values.
GABION_INLINE Floats DotBfloat16(Floats sum, Ints a, Ints b) {
#ifdef __AVX512BF16__
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
#else
  return MultiplyAdd(HighBfloat16(a), HighBfloat16(b), MultiplyAdd(LowBfloat16(a), LowBfloat16(b), sum));
#endif
}
/// Asks for the cache lines of the next `bytes`. Weights of one byte go to the first-level cache, wider ones to the
/// second: two of their panels are more than the first holds.
template <int bytes, bool near>
GABION_INLINE void Prefetch(const void* at) {
  for (int line = 0; line < bytes; line += 64) {
    _mm_prefetch(static_cast<const char*>(at) + line, near ? _MM_HINT_T0 : _MM_HINT_T1);
  }
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
