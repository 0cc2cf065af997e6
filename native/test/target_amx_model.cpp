// The kernels of AMX over a model of its instructions, for processors with AVX-512 BF16 that have no tiles.
#define GABION_VARIANT amx_model
#include "../kernels/source/lanes_avx512.hpp"
#include "tile_unit_model.hpp"
// Behind the unit.
#include "../kernels/source/microkernels_amx.hpp"
#include "../kernels/source/variant.hpp"

namespace gabion::kernels {

extern const Variant kAmxModel;
const Variant kAmxModel = amx_model::MakeVariant("amx-model", Format::kInt8Dot, Format::kBfloat16Dot);

}  // namespace gabion::kernels
