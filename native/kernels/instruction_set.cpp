#include "instruction_set.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <stdexcept>

namespace gabion::kernels {

#if defined(__x86_64__)
extern const Variant kAvx2;
extern const Variant kAvxVnni;
extern const Variant kAvx512Vnni;
extern const Variant kAvx512Bf16;

namespace {

// Bits of leaf 7, subleaf 1, register eax, which GCC 12's __builtin_cpu_supports does not name.
bool HasExtended(unsigned bit) {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && ((eax >> bit) & 1U) != 0;
}

// The builtins also ask whether the system saves the registers.
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
  return usable;
}
#else
std::vector<const Variant*> UsableVariants() { return {}; }
#endif

const Variant* ChosenVariant() {
  const std::vector<const Variant*> usable = UsableVariants();
  const char* wished = std::getenv("GABION_ISA");
  if (wished == nullptr || *wished == '\0') {
    return usable.empty() ? nullptr : usable.front();
  }
  std::string names;
  for (const Variant* variant : usable) {
    if (variant->name == std::string(wished)) {
      return variant;
    }
    names += (names.empty() ? "" : ", ") + std::string(variant->name);
  }
  throw std::invalid_argument("GABION_ISA is '" + std::string(wished) + "'; this processor runs " +
                              (names.empty() ? "none of the encoder's instruction sets" : names));
}

Format FormatFor(const Variant& variant, Precision precision, bool bfloat16_weights) {
  const std::string name = variant.name;
  switch (precision) {
    case Precision::kInt8:
      return name == "avx2" ? Format::kInt8Wide : Format::kInt8Dot;
    case Precision::kBf16:
      if (name == "avx512-bf16") {
        return Format::kBfloat16Dot;
      }
      break;
    case Precision::kFp32:
      break;
  }
  return bfloat16_weights ? Format::kBfloat16Wide : Format::kFloat32;
}

}  // namespace gabion::kernels
