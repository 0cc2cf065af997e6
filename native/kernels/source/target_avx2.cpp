// The kernels for avx2; CMakeLists.txt gives this file its compiler flags.
#define GABION_VARIANT avx2
#include "lanes_avx2.hpp"
#include "variant.hpp"

namespace gabion::kernels {

extern const Variant kAvx2;
const Variant kAvx2 = avx2::MakeVariant("avx2", Format::kInt8Wide, Format::kBfloat16Wide);

}  // namespace gabion::kernels
