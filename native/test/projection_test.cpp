#include "projection.hpp"

#include <gtest/gtest.h>

#include <array>

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
  // In float the small term would vanish beside the large ones.
  const Projection projection({1e8, 1, -1e8}, {0});
  const std::array<float, 3> vector{1, 0.25, 1};
  float output = 0;
  projection.Apply(vector.data(), &output);
  EXPECT_FLOAT_EQ(output, 0.25F);
}

TEST(Projection, RefusesShapesThatDoNotFit) {
  EXPECT_EQ(test::CodeOf([] { Projection({1, 2, 3}, {0, 0}); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([] { Projection({}, {}); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([] { Projection({}, {1}); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace gabion
