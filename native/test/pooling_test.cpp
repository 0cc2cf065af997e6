#include "pooling.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "test_model.hpp"

namespace gabion {
namespace {

// Three tokens of width two.
constexpr std::array<float, 6> kHidden{1, -4, 3, 2, 5, -1};

std::array<float, 2> Pooled(Pooling mode, size_t tokens = 3) {
  std::array<float, 2> output{};
  Pool(mode, kHidden.data(), tokens, 2, output.data());
  return output;
}

TEST(Pooling, MeanDividesBySumOfTokens) { EXPECT_EQ(Pooled(Pooling::kMean), (std::array<float, 2>{3, -1})); }

TEST(Pooling, ClsTakesTheFirstAndLastTokenTheLast) {
  EXPECT_EQ(Pooled(Pooling::kCls), (std::array<float, 2>{1, -4}));
  EXPECT_EQ(Pooled(Pooling::kLastToken), (std::array<float, 2>{5, -1}));
}

TEST(Pooling, MaxIsTakenColumnByColumn) { EXPECT_EQ(Pooled(Pooling::kMax), (std::array<float, 2>{5, 2})); }

TEST(Pooling, MeanSqrtLengthDividesByTheRootOfTheLength) {
  const auto output = Pooled(Pooling::kMeanSqrtLength);
  EXPECT_FLOAT_EQ(output[0], 9.0F / std::sqrt(3.0F));
  EXPECT_FLOAT_EQ(output[1], -3.0F / std::sqrt(3.0F));
}

TEST(Pooling, OneTokenIsItself) {
  for (const Pooling mode :
       {Pooling::kMean, Pooling::kCls, Pooling::kMax, Pooling::kMeanSqrtLength, Pooling::kLastToken}) {
    EXPECT_EQ(Pooled(mode, 1), (std::array<float, 2>{1, -4}));
  }
}

TEST(Pooling, HasTheNamesOfTheModelFolder) {
  EXPECT_EQ(PoolingNamed("mean"), Pooling::kMean);
  EXPECT_EQ(PoolingNamed("lasttoken"), Pooling::kLastToken);
  EXPECT_EQ(PoolingNamed("sum"), std::nullopt);
}

TEST(NormalizeL2, GivesUnitLength) {
  std::array<float, 2> vector{3, 4};
  NormalizeL2(vector.data(), vector.size());
  EXPECT_FLOAT_EQ(vector[0], 0.6F);
  EXPECT_FLOAT_EQ(vector[1], 0.8F);
}

TEST(NormalizeL2, LeavesZeroFinite) {
  std::array<float, 3> vector{0, 0, 0};
  NormalizeL2(vector.data(), vector.size());
  EXPECT_EQ(vector, (std::array<float, 3>{0, 0, 0}));
}

TEST(PoolAndFinish, LeavesThePromptsTokensOut) {
  std::array<float, 2> output{};
  PoolAndFinish({Pooling::kMean, false}, kHidden.data(), 3, 1, 2, output.data());
  EXPECT_EQ(output, (std::array<float, 2>{4, 0.5F}));
  PoolAndFinish({Pooling::kCls, false}, kHidden.data(), 3, 2, 2, output.data());
  EXPECT_EQ(output, (std::array<float, 2>{5, -1}));
}

TEST(PoolAndFinish, RefusesATextThatIsAllPrompt) {
  std::array<float, 2> output{};
  EXPECT_EQ(test::CodeOf([&] { PoolAndFinish({}, kHidden.data(), 3, 3, 2, output.data()); }), Code::kInvalidArgument);
}

TEST(PoolAndFinish, CutsTheNormalizedVector) {
  constexpr std::array<float, 2> hidden{3, 4};
  std::array<float, 2> output{9, 9};
  PoolAndFinish({Pooling::kMean, true, 1}, hidden.data(), 1, 0, 2, output.data());
  EXPECT_EQ(output, (std::array<float, 2>{0.6F, 9}));
}

}  // namespace
}  // namespace gabion
