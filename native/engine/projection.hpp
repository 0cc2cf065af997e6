// An affine map y = matrix · x + offset that is applied to a vector right after it is made. Immutable.
#pragma once

#include <cstddef>
#include <vector>

namespace gabion {

class Projection {
 public:
  /// `matrix` is [components, dimensions], row-major; `offset` is [components]. Throws kInvalidArgument.
  Projection(const std::vector<double>& matrix, std::vector<double> offset);

  size_t components() const noexcept { return offset_.size(); }
  size_t dimensions() const noexcept { return blocks_.size() / offset_.size(); }

  /// Sums in double, each component in the order of the dimensions.
  void Apply(const float* vector, float* output) const noexcept;

 private:
  /// Components in blocks of 8, then 4, 2 and 1; in a block a dimension's factors are adjacent. Sums of a block's
  /// components do not wait for each other, and the matrix is read from start to end.
  std::vector<double> blocks_;
  std::vector<double> offset_;
};

}  // namespace gabion
