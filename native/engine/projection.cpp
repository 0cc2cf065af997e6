#include "projection.hpp"

#include <utility>

#include "status.hpp"

namespace gabion {

Projection::Projection(std::vector<double> matrix, std::vector<double> offset)
    : matrix_(std::move(matrix)), offset_(std::move(offset)) {
  if (offset_.empty() || matrix_.empty() || matrix_.size() % offset_.size() != 0) {
    throw Error(Code::kInvalidArgument, "a projection of " + std::to_string(offset_.size()) +
                                            " components cannot have a matrix of " + std::to_string(matrix_.size()) +
                                            " values");
  }
}

void Projection::Apply(const float* vector, float* output) const noexcept {
  const size_t width = dimensions();
  for (size_t component = 0; component < offset_.size(); ++component) {
    const double* row = matrix_.data() + component * width;
    double sum = 0;
    for (size_t i = 0; i < width; ++i) {
      sum += row[i] * static_cast<double>(vector[i]);
    }
    output[component] = static_cast<float>(sum + offset_[component]);
  }
}

}  // namespace gabion
