// The kernels for neon-dotprod; CMakeLists.txt gives this file its compiler flags.
#define GABION_VARIANT neon_dotprod
#include "lanes_neon.hpp"
#include "variant.hpp"

namespace gabion::kernels {

extern const Variant kNeonDotprod;
const Variant kNeonDotprod = neon_dotprod::MakeVariant("neon-dotprod", Format::kInt8Dot, Format::kBfloat16Wide);

}  // namespace gabion::kernels
