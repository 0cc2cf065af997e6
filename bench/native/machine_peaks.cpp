// Peak rates of this processor: multiply-adds per second of one thread by format, and bytes per second by working-set
// size. Built for the machine it runs on; prints one line of JSON. Formats that the processor lacks are omitted.

#include <immintrin.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace {

double Seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

#if defined(__AVX512F__)
using Floats = __m512;
using Ints = __m512i;
Floats FloatOnes() { return _mm512_set1_ps(1); }
Ints ByteOnes() { return _mm512_set1_epi8(1); }
Floats FusedMultiplyAdd(Floats sum, Floats a, Floats b) { return _mm512_fmadd_ps(a, b, sum); }
Ints Or(Ints a, const void* from) { return _mm512_or_si512(a, _mm512_load_si512(from)); }
#else
using Floats = __m256;
using Ints = __m256i;
Floats FloatOnes() { return _mm256_set1_ps(1); }
Ints ByteOnes() { return _mm256_set1_epi8(1); }
Floats FusedMultiplyAdd(Floats sum, Floats a, Floats b) { return _mm256_fmadd_ps(a, b, sum); }
Ints Or(Ints a, const void* from) { return _mm256_or_si256(a, _mm256_load_si256(static_cast<const __m256i*>(from))); }
#endif

/// Twelve independent accumulators, the best of many repetitions; `per_step` multiply-adds per step of one accumulator.
template <typename Sum, typename Step>
double GigaMultiplyAdds(Sum start, double per_step, Step step) {
  constexpr int kSums = 12;
  constexpr int kRounds = 100000;
  double best = 0;
  for (const double end = Seconds() + 0.5; Seconds() < end;) {
    Sum sums[kSums];
    for (Sum& sum : sums) sum = start;
    const double begin = Seconds();
    for (int round = 0; round < kRounds; ++round) {
#pragma GCC unroll 12
      for (int i = 0; i < kSums; ++i) {
        sums[i] = step(sums[i]);
        __asm__ volatile("" : "+x"(sums[i]));
      }
    }
    const double rate = kRounds * kSums * per_step / (Seconds() - begin) / 1e9;
    best = rate > best ? rate : best;
  }
  return best;
}

double GigabytesRead(size_t bytes) {
  constexpr size_t kHuge = size_t{2} << 20;
  constexpr size_t kAtOnce = 8 * sizeof(Ints);
  auto* mapped =
      static_cast<char*>(mmap(nullptr, bytes + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  char* start = mapped + (kHuge - reinterpret_cast<uintptr_t>(mapped) % kHuge);
  madvise(start, bytes, MADV_HUGEPAGE);
  std::memset(start, 1, bytes);
  const size_t passes = bytes < (size_t{64} << 20) ? (size_t{64} << 20) / bytes : 1;
  double best = 0;
  for (const double end = Seconds() + 0.7; Seconds() < end;) {
    Ints sums[8] = {};
    const double begin = Seconds();
    for (size_t pass = 0; pass < passes; ++pass) {
      for (size_t at = 0; at + kAtOnce <= bytes; at += kAtOnce) {
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) sums[i] = Or(sums[i], start + at + static_cast<size_t>(i) * sizeof(Ints));
      }
    }
    for (Ints& sum : sums) __asm__ volatile("" : "+x"(sum));
    const double rate = static_cast<double>(bytes * passes) / (Seconds() - begin) / 1e9;
    best = rate > best ? rate : best;
  }
  munmap(mapped, bytes + kHuge);
  return best;
}

}  // namespace

int main() {
  const Floats half = FloatOnes();
  const Ints ones = ByteOnes();
  std::printf("{\"fp32\":%.1f", GigaMultiplyAdds(Floats{}, sizeof(Floats) / 4.0,
                                                 [&](Floats sum) { return FusedMultiplyAdd(sum, half, half); }));
#if defined(__AVX512VNNI__)
  std::printf(",\"int8\":%.1f",
              GigaMultiplyAdds(Ints{}, 64, [&](Ints sum) { return _mm512_dpbusd_epi32(sum, ones, ones); }));
#elif defined(__AVXVNNI__)
  std::printf(",\"int8\":%.1f",
              GigaMultiplyAdds(Ints{}, 32, [&](Ints sum) { return _mm256_dpbusd_avx_epi32(sum, ones, ones); }));
#endif
#if defined(__AVX512BF16__)
  const auto pairs = reinterpret_cast<__m512bh>(ones);
  std::printf(",\"bf16\":%.1f",
              GigaMultiplyAdds(Floats{}, 32, [&](Floats sum) { return _mm512_dpbf16_ps(sum, pairs, pairs); }));
#endif
  std::printf(",\"gigabytes\":{\"1 MiB\":%.1f,\"11 MiB\":%.1f,\"22 MiB\":%.1f,\"256 MiB\":%.1f}}\n",
              GigabytesRead(size_t{1} << 20), GigabytesRead(size_t{11} << 20), GigabytesRead(size_t{22} << 20),
              GigabytesRead(size_t{256} << 20));
  return 0;
}
