// The kernels for avx-vnni; CMakeLists.txt gives this file its compiler flags.
#define GABION_VARIANT avx_vnni
#include "lanes_avx2.hpp"
#include "variant.hpp"

namespace gabion::kernels {

extern const Variant kAvxVnni;
const Variant kAvxVnni = avx_vnni::MakeVariant("avx-vnni", Format::kInt8Dot, Format::kBfloat16Wide);

}  // namespace gabion::kernels
