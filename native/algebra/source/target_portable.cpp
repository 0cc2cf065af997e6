// The algebra's source for any processor.

#include <cstddef>

namespace gabion::algebra {
namespace {
constexpr size_t kBytes = 16;
constexpr size_t kTileRows = 4;
constexpr size_t kTileVectors = 3;
}  // namespace
}  // namespace gabion::algebra

#include "eigen.hpp"
#include "products.hpp"
#include "similarity.hpp"
#include "variant.hpp"

namespace gabion::algebra {

extern const Variant kPortable;
const Variant kPortable{AddProducts<float>, AddProducts<double>, Tridiagonalize,     Rotate,
                        BackTransform,      CompareRows<float>,  CompareRows<double>};

}  // namespace gabion::algebra
