// The kernels for amx; CMakeLists.txt gives this file its compiler flags.
#define GABION_VARIANT amx
#include "lanes_avx512.hpp"
#include "tile_unit_amx.hpp"
// After the unit, which it uses.
#include "microkernels_amx.hpp"
#include "variant.hpp"

namespace gabion::kernels {

extern const Variant kAmx;
const Variant kAmx = amx::MakeVariant("amx", Format::kInt8Dot, Format::kBfloat16Dot);

}  // namespace gabion::kernels
