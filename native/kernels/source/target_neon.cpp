// The kernels for neon; CMakeLists.txt gives this file its compiler flags.
#define GABION_VARIANT neon
#include "lanes_neon.hpp"
#include "variant.hpp"

namespace gabion::kernels {

extern const Variant kNeon;
const Variant kNeon = neon::MakeVariant("neon", Format::kInt8Dot, Format::kBfloat16Wide);

}  // namespace gabion::kernels
