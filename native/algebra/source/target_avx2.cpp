// The algebra's source for processors with AVX2 and FMA.

#include <cstddef>

namespace gabion::algebra {
namespace {
constexpr size_t kBytes = 32;
constexpr size_t kTileRows = 4;
constexpr size_t kTileVectors = 3;
}  // namespace
}  // namespace gabion::algebra

#include "eigen.hpp"
#include "products.hpp"
#include "similarity.hpp"
#include "variant.hpp"

namespace gabion::algebra {

extern const Variant kAvx2;
const Variant kAvx2{AddProducts<float>, AddProducts<double>, Tridiagonalize,     Rotate,
                    BackTransform,      CompareRows<float>,  CompareRows<double>};

}  // namespace gabion::algebra
