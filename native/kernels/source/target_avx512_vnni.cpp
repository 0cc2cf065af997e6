// The kernels for avx512-vnni; CMakeLists.txt gives this file its compiler flags.
#define GABION_VARIANT avx512_vnni
#include "lanes_avx512.hpp"
#include "variant.hpp"

namespace gabion::kernels {

extern const Variant kAvx512Vnni;
const Variant kAvx512Vnni = avx512_vnni::MakeVariant("avx512-vnni", Format::kInt8Dot, Format::kBfloat16Wide);

}  // namespace gabion::kernels
