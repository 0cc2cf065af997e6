#include "instruction_set.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include <cstdlib>
#include <stdexcept>

namespace gabion::kernels {

#if defined(__x86_64__)
extern const Variant kAvx2;
extern const Variant kAvxVnni;
extern const Variant kAvx512Vnni;
extern const Variant kAvx512Bf16;
extern const Variant kAmx;

namespace {

// Bits of CPUID leaf 7, register edx.
bool HasAmx() {
  constexpr unsigned kBf16Bit = 22;
  constexpr unsigned kTileBit = 24;
  constexpr unsigned kInt8Bit = 25;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && ((edx >> kBf16Bit) & 1U) != 0 &&
         ((edx >> kTileBit) & 1U) != 0 && ((edx >> kInt8Bit) & 1U) != 0;
}

/// Linux enables the 8 KB of tile state only for processes that request it.
bool MayUseAmx() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// Bits of CPUID leaf 7, subleaf 1, register eax, which GCC 12's __builtin_cpu_supports has no names for.
bool HasExtended(unsigned bit) {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && ((eax >> bit) & 1U) != 0;
}

// The builtins also check that the operating system saves the registers.
bool HasAvx2() { return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0; }

bool HasAvx512Vnni() {
  return HasAvx2() && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0 &&
         __builtin_cpu_supports("avx512vnni") != 0;
}

}  // namespace

std::vector<const Variant*> UsableVariants() {
  constexpr unsigned kAvxVnniBit = 4;
  constexpr unsigned kAvx512Bf16Bit = 5;
  __builtin_cpu_init();
  std::vector<const Variant*> usable;
  if (HasAvx512Vnni() && HasExtended(kAvx512Bf16Bit)) usable.push_back(&kAvx512Bf16);
  if (HasAvx512Vnni()) usable.push_back(&kAvx512Vnni);
  if (HasAvx2() && HasExtended(kAvxVnniBit)) usable.push_back(&kAvxVnni);
  if (HasAvx2()) usable.push_back(&kAvx2);
  // Last, so that only GABION_ISA selects it: it was tested on a model of the tile unit, not yet on a processor with
  // one.
  if (!usable.empty() && usable.front() == &kAvx512Bf16 && HasAmx() && MayUseAmx()) usable.push_back(&kAmx);
  return usable;
}
#elif defined(__aarch64__)
extern const Variant kNeon;
extern const Variant kNeonDotprod;
extern const Variant kNeonI8mm;
extern const Variant kNeonBf16;

namespace {

struct Features {
  bool dotprod;
  bool i8mm;
  bool bf16;
};

#if defined(__APPLE__)
Features FeaturesHere() {
  const auto has = [](const char* name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
  };
  return {has("hw.optional.arm.FEAT_DotProd"), has("hw.optional.arm.FEAT_I8MM"), has("hw.optional.arm.FEAT_BF16")};
}
#elif defined(__linux__)
// Bit numbers of HWCAP and HWCAP2, spelled out because headers of older systems lack them.
Features FeaturesHere() {
  const unsigned long first = getauxval(AT_HWCAP);
  const unsigned long second = getauxval(AT_HWCAP2);
  return {((first >> 20U) & 1U) != 0, ((second >> 13U) & 1U) != 0, ((second >> 14U) & 1U) != 0};
}
#else
Features FeaturesHere() { return {}; }
#endif

}  // namespace

std::vector<const Variant*> UsableVariants() {
  const Features has = FeaturesHere();
  const bool matrices = has.dotprod && has.i8mm;
  std::vector<const Variant*> usable;
  if (matrices && has.bf16) usable.push_back(&kNeonBf16);
  if (matrices) usable.push_back(&kNeonI8mm);
  if (has.dotprod) usable.push_back(&kNeonDotprod);
  usable.push_back(&kNeon);
  return usable;
}
#else
std::vector<const Variant*> UsableVariants() { return {}; }
#endif

const Variant* ChosenVariant() {
  const std::vector<const Variant*> usable = UsableVariants();
  const char* requested = std::getenv("GABION_ISA");
  if (requested == nullptr || *requested == '\0') {
    return usable.empty() ? nullptr : usable.front();
  }
  std::string names;
  for (const Variant* variant : usable) {
    if (variant->name == std::string(requested)) {
      return variant;
    }
    names += (names.empty() ? "" : ", ") + std::string(variant->name);
  }
  throw std::invalid_argument("GABION_ISA is '" + std::string(requested) + "'; this processor runs " +
                              (names.empty() ? "none of the encoder's instruction sets" : names));
}

Format FormatFor(const Variant& variant, Precision precision, bool bfloat16_weights) {
  if (precision == Precision::kInt8) {
    return variant.int8;
  }
  if (precision == Precision::kBf16) {
    return variant.bfloat16;
  }
  return bfloat16_weights ? Format::kBfloat16Wide : Format::kFloat32;
}

}  // namespace gabion::kernels
