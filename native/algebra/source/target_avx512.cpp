// The algebra's source for processors with AVX-512.

#include <cstddef>

namespace gabion::algebra {
namespace {
constexpr size_t kBytes = 64;
constexpr size_t kTileRows = 8;
constexpr size_t kTileVectors = 3;
}  // namespace
}  // namespace gabion::algebra

#include "eigen.hpp"
#include "products.hpp"
#include "similarity.hpp"
#include "variant.hpp"

namespace gabion::algebra {

extern const Variant kAvx512;
const Variant kAvx512{AddProducts<float>, AddProducts<double>, Tridiagonalize,     Rotate,
                      BackTransform,      CompareRows<float>,  CompareRows<double>};

}  // namespace gabion::algebra
