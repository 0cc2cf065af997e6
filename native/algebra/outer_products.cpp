#include "outer_products.hpp"

#include <algorithm>
#include <vector>

#include "instance.hpp"

namespace gabion::algebra {
namespace {

/// The number of parts that the rows are divided into, independent of the number of threads, so that sums are always
/// taken in the same order. Each part has its own sums: fewer parts if these are large.
size_t PartsFor(size_t width) {
  constexpr size_t kLarge = 512;
  return width <= kLarge ? 8 : 4;
}

void Add(const Variant& variant, const ProductSum<float>& sum) { variant.add_floats(sum); }
void Add(const Variant& variant, const ProductSum<double>& sum) { variant.add_doubles(sum); }

template <typename Value>
void AddAll(const Value* rows, size_t count, size_t dimensions, const double* shift, double* products, double* sums,
            size_t threads, const Variant& variant) {
  const size_t width = (dimensions + kPanel - 1) / kPanel * kPanel;
  const size_t max_parts = PartsFor(width);
  // Whole K-blocks, so that the parts are nearly equal.
  const size_t per_part = ((count + max_parts - 1) / max_parts + kDepth - 1) / kDepth * kDepth;
  const size_t parts = (count + per_part - 1) / per_part;
  auto shifts = AllocateAligned<Value>(width);
  std::fill_n(shifts.get(), width, Value{0});
  std::transform(shift, shift + dimensions, shifts.get(), [](double value) { return static_cast<Value>(value); });
  const auto packed = AllocateAligned<Value>(parts * width * kDepth);
  const auto partial = AllocateAligned<double>(parts * width * (width + 1));
  ForEach(parts, threads, [&](size_t part) {
    double* own = partial.get() + part * width * (width + 1);
    std::fill_n(own, width * (width + 1), 0.0);
    const size_t first = part * per_part;
    Add(variant, ProductSum<Value>{rows + first * dimensions, std::min(per_part, count - first), dimensions,
                                   shifts.get(), packed.get() + part * width * kDepth, own, own + width * width});
  });
  for (size_t part = 0; part < parts; ++part) {
    const double* own = partial.get() + part * width * (width + 1);
    for (size_t i = 0; i < dimensions; ++i) {
      sums[i] += own[width * width + i];
      for (size_t j = i; j < dimensions; ++j) {
        products[i * dimensions + j] += own[i * width + j];
      }
    }
  }
  for (size_t i = 0; i < dimensions; ++i) {
    for (size_t j = 0; j < i; ++j) {
      products[i * dimensions + j] = products[j * dimensions + i];
    }
  }
}

}  // namespace

void AddOuterProducts(const float* rows, size_t count, size_t dimensions, const double* shift, double* products,
                      double* sums, size_t threads, const Variant& variant) {
  AddAll(rows, count, dimensions, shift, products, sums, threads, variant);
}

void AddOuterProducts(const double* rows, size_t count, size_t dimensions, const double* shift, double* products,
                      double* sums, size_t threads, const Variant& variant) {
  AddAll(rows, count, dimensions, shift, products, sums, threads, variant);
}

}  // namespace gabion::algebra
