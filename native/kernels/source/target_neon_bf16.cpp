// The kernels for neon-bf16; CMakeLists.txt gives this file its compiler flags.
#define GABION_VARIANT neon_bf16
#include "lanes_neon.hpp"
#include "microkernels_mmla.hpp"
#include "variant.hpp"

namespace gabion::kernels {

extern const Variant kNeonBf16;
const Variant kNeonBf16 = neon_bf16::MakeVariant("neon-bf16", Format::kInt8Matrix, Format::kBfloat16Matrix);

}  // namespace gabion::kernels
