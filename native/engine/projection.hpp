// An affine map y = matrix · x + offset that is applied to a vector right after it is made. Immutable.
#pragma once

#include <cstddef>
#include <vector>

namespace gabion {

class Projection {
 public:
  /// `matrix` is [components, dimensions], row-major; `offset` is [components]. Throws kInvalidArgument.
  Projection(std::vector<double> matrix, std::vector<double> offset);

  size_t components() const noexcept { return offset_.size(); }
  size_t dimensions() const noexcept { return matrix_.size() / offset_.size(); }

  /// Sums in double, in the order of the dimensions.
  void Apply(const float* vector, float* output) const noexcept;

 private:
  std::vector<double> matrix_;
  std::vector<double> offset_;
};

}  // namespace gabion
