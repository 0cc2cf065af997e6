#include "projection.hpp"

#include <array>
#include <utility>

#include "status.hpp"

namespace gabion {
namespace {

constexpr size_t kWidest = 8;

/// Calls `use(first component, width)` for every block of components, in order.
template <typename Use>
void ForEachBlock(size_t components, Use use) {
  size_t first = 0;
  for (size_t width = kWidest; width > 0; width /= 2) {
    for (; components - first >= width; first += width) {
      use(first, width);
    }
  }
}

template <size_t Width>
void ApplyBlock(const double* factors, const double* offset, const float* vector, size_t dimensions, float* output) {
  std::array<double, Width> sums{};
  for (size_t i = 0; i < dimensions; ++i) {
    const auto value = static_cast<double>(vector[i]);
    for (size_t component = 0; component < Width; ++component) {
      sums[component] += factors[i * Width + component] * value;
    }
  }
  for (size_t component = 0; component < Width; ++component) {
    output[component] = static_cast<float>(sums[component] + offset[component]);
  }
}

}  // namespace

Projection::Projection(const std::vector<double>& matrix, std::vector<double> offset) : offset_(std::move(offset)) {
  if (offset_.empty() || matrix.empty() || matrix.size() % offset_.size() != 0) {
    throw Error(Code::kInvalidArgument, "a projection of " + std::to_string(offset_.size()) +
                                            " components cannot have a matrix of " + std::to_string(matrix.size()) +
                                            " values");
  }
  const size_t width = matrix.size() / offset_.size();
  blocks_.reserve(matrix.size());
  ForEachBlock(components(), [&](size_t first, size_t block) {
    for (size_t i = 0; i < width; ++i) {
      for (size_t component = first; component < first + block; ++component) {
        blocks_.push_back(matrix[component * width + i]);
      }
    }
  });
}

void Projection::Apply(const float* vector, float* output) const noexcept {
  const size_t width = dimensions();
  ForEachBlock(components(), [&](size_t first, size_t block) {
    const double* factors = blocks_.data() + first * width;
    const double* offset = offset_.data() + first;
    switch (block) {
      case kWidest:
        return ApplyBlock<kWidest>(factors, offset, vector, width, output + first);
      case 4:
        return ApplyBlock<4>(factors, offset, vector, width, output + first);
      case 2:
        return ApplyBlock<2>(factors, offset, vector, width, output + first);
      default:
        return ApplyBlock<1>(factors, offset, vector, width, output + first);
    }
  });
}

}  // namespace gabion
