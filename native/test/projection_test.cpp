#include "projection.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "test_model.hpp"

namespace gabion {
namespace {

TEST(Projection, AppliesMatrixAndOffset) {
  const Projection projection({1, 2, 3, 0, -1, 1}, {10, -0.5});
  EXPECT_EQ(projection.components(), 2U);
  EXPECT_EQ(projection.dimensions(), 3U);
  const std::array<float, 3> vector{1, 0.5, 2};
  std::array<float, 2> output{};
  projection.Apply(vector.data(), output.data());
  EXPECT_FLOAT_EQ(output[0], 18);
  EXPECT_FLOAT_EQ(output[1], 1);
}

TEST(Projection, SumsInDouble) {
  // In float the small term would be lost next to the large ones.
  const Projection projection({1e8, 1, -1e8}, {0});
  const std::array<float, 3> vector{1, 0.25, 1};
  float output = 0;
  projection.Apply(vector.data(), &output);
  EXPECT_FLOAT_EQ(output, 0.25F);
}

TEST(Projection, SumsEveryComponentInTheOrderOfTheDimensions) {
  // Components are computed several at a time; each must be bit-identical to its result alone.
  constexpr size_t kDimensions = 37;
  std::array<float, kDimensions> vector{};
  for (size_t i = 0; i < kDimensions; ++i) {
    vector[i] = std::sin(static_cast<float>(i));
  }
  for (size_t components = 1; components <= 23; ++components) {
    std::vector<double> matrix(components * kDimensions);
    std::vector<double> offset(components);
    for (size_t i = 0; i < matrix.size(); ++i) {
      matrix[i] = std::cos(static_cast<double>(i * i));
    }
    std::vector<float> together(components);
    Projection(matrix, offset).Apply(vector.data(), together.data());
    for (size_t component = 0; component < components; ++component) {
      double sum = 0;
      for (size_t i = 0; i < kDimensions; ++i) {
        sum += matrix[component * kDimensions + i] * static_cast<double>(vector[i]);
      }
      EXPECT_EQ(together[component], static_cast<float>(sum)) << component << " of " << components;
    }
  }
}

TEST(Projection, RefusesShapesThatDoNotFit) {
  EXPECT_EQ(test::CodeOf([] { Projection({1, 2, 3}, {0, 0}); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([] { Projection({}, {}); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([] { Projection({}, {1}); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace gabion
