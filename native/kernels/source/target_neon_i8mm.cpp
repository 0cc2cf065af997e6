// The kernels for neon-i8mm; CMakeLists.txt gives this file its compiler flags.
#define GABION_VARIANT neon_i8mm
#include "lanes_neon.hpp"
#include "microkernels_mmla.hpp"
#include "variant.hpp"

namespace gabion::kernels {

extern const Variant kNeonI8mm;
const Variant kNeonI8mm = neon_i8mm::MakeVariant("neon-i8mm", Format::kInt8Matrix, Format::kBfloat16Wide);

}  // namespace gabion::kernels
