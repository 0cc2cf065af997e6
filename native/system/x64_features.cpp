#include "x64_features.hpp"

#if defined(__x86_64__)

#include <cpuid.h>

namespace gabion {
namespace {

struct Leaf {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
};

/// All zero where the processor has no such leaf.
Leaf Read(unsigned number, unsigned part = 0) {
  Leaf leaf;
  __get_cpuid_count(number, part, &leaf.eax, &leaf.ebx, &leaf.ecx, &leaf.edx);
  return leaf;
}

bool Bit(unsigned word, unsigned number) { return ((word >> number) & 1U) != 0; }

/// The states that the operating system saves (XCR0). Only where cpuid says that the instruction exists.
unsigned SavedStates() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

}  // namespace

X64Features FindX64Features() noexcept {
  constexpr unsigned kVectors = 0x06;     // xmm, ymm
  constexpr unsigned kVectors512 = 0xe6;  // and masks, zmm
  X64Features found;
  const Leaf first = Read(1);
  const bool fma = Bit(first.ecx, 12);
  const bool xgetbv = Bit(first.ecx, 27);
  const bool avx = Bit(first.ecx, 28);
  if (!fma || !xgetbv || !avx) {
    return found;
  }
  const unsigned saved = SavedStates();
  const Leaf seventh = Read(7);
  const Leaf extended = Read(7, 1);
  found.avx2 = (saved & kVectors) == kVectors && Bit(seventh.ebx, 5);
  found.avx_vnni = found.avx2 && Bit(extended.eax, 4);
  found.avx512 = found.avx2 && (saved & kVectors512) == kVectors512 && Bit(seventh.ebx, 16) && Bit(seventh.ebx, 17) &&
                 Bit(seventh.ebx, 30) && Bit(seventh.ebx, 31);
  found.avx512_vnni = found.avx512 && Bit(seventh.ecx, 11);
  found.avx512_bf16 = found.avx512 && Bit(extended.eax, 5);
  found.amx = found.avx512 && Bit(seventh.edx, 22) && Bit(seventh.edx, 24) && Bit(seventh.edx, 25);
  return found;
}

}  // namespace gabion

#else

namespace gabion {
X64Features FindX64Features() noexcept { return {}; }
}  // namespace gabion

#endif
