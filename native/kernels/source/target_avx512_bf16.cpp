// The kernels for avx512-bf16; CMakeLists.txt gives this file its compiler flags.
#define GABION_VARIANT avx512_bf16
#include "lanes_avx512.hpp"
#include "variant.hpp"

namespace gabion::kernels {

extern const Variant kAvx512Bf16;
const Variant kAvx512Bf16 = avx512_bf16::MakeVariant("avx512-bf16", Format::kInt8Dot, Format::kBfloat16Dot);

}  // namespace gabion::kernels
