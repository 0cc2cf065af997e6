// Vectors of 8 floats: AVX2 with FMA, and AVX-VNNI where the file is compiled for it.
// Dot products that this set lacks are computed to the same value from the instructions it has.
#pragma once

#include <immintrin.h>

#include "unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr int kLanes = 8;
/// Rows of a register tile: with two vectors a row, 12 accumulators of 16 registers.
constexpr int kTileRows = 6;
/// Rows from which float products go in pairs (strassen.hpp), which fewer are no faster with; 0: never.
constexpr size_t kPairsFrom = 18;
/// Whether weights are added one step ahead, between the products: 8 more registers than the sums take.
constexpr bool kAddsBetween = false;

using Floats = __m256;
using Ints = __m256i;

template <typename Vector>
GABION_INLINE void Hold(Vector& vector) {
  __asm__ volatile("" : "+x"(vector) : : "memory");
}
template <typename Vector>
GABION_INLINE void Hold(Vector& left, Vector& right) {
  __asm__ volatile("" : "+x"(left), "+x"(right) : : "memory");
}

GABION_INLINE Floats Load(const float* from) { return _mm256_loadu_ps(from); }
GABION_INLINE void Store(float* to, Floats v) { _mm256_storeu_ps(to, v); }
GABION_INLINE Floats Splat(float x) { return _mm256_set1_ps(x); }
GABION_INLINE Floats Add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
GABION_INLINE Floats Subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
GABION_INLINE Floats Multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
GABION_INLINE Floats Divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
/// a · b + c, rounded once.
GABION_INLINE Floats MultiplyAdd(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
/// c - a · b, rounded once.
GABION_INLINE Floats MultiplySubtractFrom(Floats a, Floats b, Floats c) { return _mm256_fnmadd_ps(a, b, c); }
GABION_INLINE Floats Lesser(Floats a, Floats b) { return _mm256_min_ps(a, b); }
GABION_INLINE Floats Greater(Floats a, Floats b) { return _mm256_max_ps(a, b); }
GABION_INLINE Floats Magnitude(Floats v) { return _mm256_andnot_ps(Splat(-0.0F), v); }
GABION_INLINE Floats ToNearest(Floats v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/// v · 2^n for whole n from -126 to 127.
GABION_INLINE Floats TimesPowerOfTwo(Floats v, Floats n) {
  const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_mul_ps(v, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
}
/// What x is above the next lower whole number.
GABION_INLINE Floats FractionOf(Floats x) { return _mm256_sub_ps(x, _mm256_floor_ps(x)); }
/// v · 2^n for the whole number n that is next lower to x, at least -126.
GABION_INLINE Floats TimesPowerOfFloor(Floats v, Floats x) {
  return TimesPowerOfTwo(v, _mm256_max_ps(_mm256_floor_ps(x), Splat(-126)));
}
/// v where x > bound, else 0.
GABION_INLINE Floats WhereAbove(Floats x, Floats bound, Floats v) {
  return _mm256_and_ps(_mm256_cmp_ps(x, bound, _CMP_NLE_UQ), v);
}
/// The first `count` lanes of v, `fill` in the others.
GABION_INLINE Floats KeepFirst(Floats v, int count, Floats fill) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_blendv_ps(fill, v, _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane)));
}
GABION_INLINE float SumOf(Floats v) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
GABION_INLINE float GreatestOf(Floats v) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}
/// The greatest lanes of two vectors.
GABION_INLINE void GreatestOfBoth(Floats a, Floats b, float* of_a, float* of_b) {
  *of_a = GreatestOf(a);
  *of_b = GreatestOf(b);
}

GABION_INLINE Ints NoInts() { return _mm256_setzero_si256(); }
GABION_INLINE Ints LoadInts(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
GABION_INLINE void StoreInts(void* to, Ints v) { _mm256_storeu_si256(static_cast<__m256i*>(to), v); }
GABION_INLINE Floats ToFloats(Ints v) { return _mm256_cvtepi32_ps(v); }
GABION_INLINE Floats AsFloats(Ints v) { return _mm256_castsi256_ps(v); }
/// Four bytes in every lane.
GABION_INLINE Ints SplatWord(const void* from) {
  int word = 0;
  __builtin_memcpy(&word, from, sizeof word);
  return _mm256_set1_epi32(word);
}
/// Of bf16 pairs: the low one of each lane, widened.
GABION_INLINE Floats LowBfloat16(Ints pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
/// Of bf16 pairs: the high one of each lane, widened.
GABION_INLINE Floats HighBfloat16(Ints pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000U))));
}
/// kLanes consecutive bf16 values, widened.
GABION_INLINE Floats LoadBfloat16(const uint16_t* from) {
  const __m128i narrow = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(narrow), 16));
}
/// 2 · kLanes signed bytes, widened to 16 bits.
GABION_INLINE Ints LoadBytesWide(const int8_t* from) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
/// Rounds to nearest; values must fit.
GABION_INLINE void StoreInt16(int16_t* to, Floats v) {
  const __m256i wide = _mm256_cvtps_epi32(v);
  const __m128i low = _mm256_castsi256_si128(wide);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_packs_epi32(low, _mm256_extracti128_si256(wide, 1)));
}
/// What bytes of activations are stored less by: these sets multiply unsigned bytes by signed ones.
constexpr int kByteOffset = 0;
/// Rounds to nearest, clamps to 0…255 and stores it less kByteOffset.
GABION_INLINE void StoreUint8(uint8_t* to, Floats v) {
  const __m256i wide = _mm256_cvtps_epi32(v);
  const __m128i low = _mm256_castsi256_si128(wide);
  const __m128i words = _mm_packs_epi32(low, _mm256_extracti128_si256(wide, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}
/// Rounds to nearest signed bytes; values must fit.
GABION_INLINE void StoreInt8(uint8_t* to, Floats v) {
  const __m256i wide = _mm256_cvtps_epi32(v);
  const __m128i low = _mm256_castsi256_si128(wide);
  const __m128i words = _mm_packs_epi32(low, _mm256_extracti128_si256(wide, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packs_epi16(words, words));
}
/// As StoreInt8, four vectors: lane by lane one byte of each.
GABION_INLINE void StoreFourInt8(uint8_t* to, Floats v0, Floats v1, Floats v2, Floats v3) {
  const __m256i byte = _mm256_set1_epi32(0xff);
  const __m256i low = _mm256_or_si256(_mm256_and_si256(_mm256_cvtps_epi32(v0), byte),
                                      _mm256_slli_epi32(_mm256_and_si256(_mm256_cvtps_epi32(v1), byte), 8));
  const __m256i high =
      _mm256_or_si256(_mm256_and_si256(_mm256_cvtps_epi32(v2), byte), _mm256_slli_epi32(_mm256_cvtps_epi32(v3), 8));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_or_si256(low, _mm256_slli_epi32(high, 16)));
}
/// Rounds to nearest even; NaN stays NaN.
GABION_INLINE void StoreBfloat16(uint16_t* to, Floats v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const __m256i kept = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i wide = _mm256_srli_epi32(_mm256_blendv_epi8(up, kept, nan), 16);
  const __m128i low = _mm256_castsi256_si128(wide);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_packus_epi32(low, _mm256_extracti128_si256(wide, 1)));
}

/// As bf16 into the low half of each of kLanes words; the other half becomes zero.
GABION_INLINE void StoreLowHalves(uint16_t* to, Floats v) {
  uint16_t narrow[kLanes];
  StoreBfloat16(narrow, v);
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(narrow));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtepu16_epi32(halves));
}
/// As bf16 into the high half of each of kLanes words; the other half stays.
GABION_INLINE void StoreHighHalves(uint16_t* to, Floats v) {
  uint16_t narrow[kLanes];
  StoreBfloat16(narrow, v);
  const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(narrow));
  const __m256i high = _mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16);
  auto* at = reinterpret_cast<__m256i*>(to);
  _mm256_storeu_si256(at, _mm256_or_si256(_mm256_loadu_si256(at), high));
}

/// In each 32-bit lane: sum + a0·b0 + a1·b1 of signed 16-bit values.
GABION_INLINE Ints DotInt16(Ints sum, Ints a, Ints b) {
#ifdef __AVXVNNI__
  return _mm256_dpwssd_avx_epi32(sum, a, b);
#else
  return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
#endif
}
/// Weights and activations in the forms that DotBytes takes.
GABION_INLINE Ints LoadByteWeights(const int8_t* from) { return LoadInts(from); }
GABION_INLINE Ints SplatBytes(const uint8_t* from) { return SplatWord(from); }
/// In each 32-bit lane: sum + a0·b0 + … + a3·b3, a unsigned and b signed bytes, nothing saturates.
GABION_INLINE Ints DotBytes(Ints sum, Ints a, Ints b) {
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
GABION_INLINE Floats DotBfloat16(Floats sum, Ints a, Ints b) {
  return MultiplyAdd(HighBfloat16(a), HighBfloat16(b), MultiplyAdd(LowBfloat16(a), LowBfloat16(b), sum));
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
