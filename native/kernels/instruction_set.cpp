#include "instruction_set.hpp"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#include <cstdlib>
#include <stdexcept>

#include "../system/x64_features.hpp"

namespace gabion::kernels {

#if defined(__x86_64__)
extern const Variant kAvx2;
extern const Variant kAvxVnni;
extern const Variant kAvx512Vnni;
extern const Variant kAvx512Bf16;
extern const Variant kAmx;

namespace {

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

}  // namespace

std::vector<const Variant*> UsableVariants() {
  const X64Features has = FindX64Features();
  std::vector<const Variant*> usable;
  if (has.avx512_vnni && has.avx512_bf16) usable.push_back(&kAvx512Bf16);
  if (has.avx512_vnni) usable.push_back(&kAvx512Vnni);
  if (has.avx_vnni) usable.push_back(&kAvxVnni);
  if (has.avx2) usable.push_back(&kAvx2);
  // Last, so that only GABION_ISA selects it: it was tested on a model of the tile unit, not yet on a processor with
  // one.
  if (!usable.empty() && usable.front() == &kAvx512Bf16 && has.amx && MayUseAmx()) usable.push_back(&kAmx);
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
