// Logits from a hidden state, against numbers computed by hand.

#include "classifier_head.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "test_model.hpp"

namespace gabion {
namespace {

/// Three tokens of width 2; the second segment has the last two, the first one was left out.
const std::vector<float> kHidden{1, 2, 3, 4, 5, 8};

TokenWindow Window() { return {0, 3, 0, 0, {{1, 0}, {1, 2}}}; }

std::vector<float> Logits(const ClassifierHead& head) {
  std::vector<float> logits(head.outputs());
  head.Apply(kHidden.data(), 2, Window(), logits.data());
  return logits;
}

TEST(ClassifierHead, ReadsTheFirstTokenTheMeanAndMeansOfSegments) {
  using Kind = Feature::Kind;
  const DenseLayer identity{2, {1, 0, 0, 1}, {0, 0.5}, Activation::kNone};
  EXPECT_EQ(Logits({{{Kind::kFirstToken}}, 1, {identity}}), (std::vector<float>{1, 2.5}));
  EXPECT_EQ(Logits({{{Kind::kMean}}, 2, {identity}}), (std::vector<float>{6, 9.8333330F}));
  EXPECT_EQ(Logits({{{Kind::kSegmentMean, 1}}, 1, {identity}}), (std::vector<float>{4, 6.5}));
  EXPECT_EQ(Logits({{{Kind::kSegmentMean, 0}}, 1, {identity}}), (std::vector<float>{0, 0.5}));
  const DenseLayer sum{1, {1, 10, 100, 1000}, {0}, Activation::kNone};
  EXPECT_EQ(Logits({{{Kind::kFirstToken}, {Kind::kSegmentMean, 1}}, 1, {sum}}), (std::vector<float>{6421}));
}

TEST(ClassifierHead, AppliesLayersAndTheirActivations) {
  const std::vector<Feature> first{{Feature::Kind::kFirstToken}};
  const DenseLayer difference{1, {1, -1}, {0.5}, Activation::kNone};
  const auto with = [&](Activation activation) {
    DenseLayer layer = difference;
    layer.activation = activation;
    return Logits({first, 1, {layer, {1, {2}, {1}, Activation::kNone}}}).front();
  };
  EXPECT_FLOAT_EQ(with(Activation::kNone), 0);
  EXPECT_FLOAT_EQ(with(Activation::kRelu), 1);
  EXPECT_FLOAT_EQ(with(Activation::kTanh), 2 * std::tanh(-0.5F) + 1);
  EXPECT_FLOAT_EQ(with(Activation::kGelu), 2 * -0.15426877F + 1);
}

TEST(ClassifierHead, RefusesLayersThatDoNotFit) {
  const DenseLayer layer{1, {1, 1}, {0}, Activation::kNone};
  const auto code = [](const ClassifierHead& head, size_t width, size_t segments) {
    return test::CodeOf([&] { head.RequireConsistent(width, segments); });
  };
  EXPECT_NO_THROW((ClassifierHead{{{}}, 1, {layer}}.RequireConsistent(2, 1)));
  EXPECT_EQ(code({{{}}, 1, {layer}}, 3, 1), Code::kInvalidArgument);
  EXPECT_EQ(code({{{}}, 1, {layer, layer}}, 2, 1), Code::kInvalidArgument);
  EXPECT_EQ(code({{{Feature::Kind::kSegmentMean, 1}}, 1, {layer}}, 2, 1), Code::kInvalidArgument);
  EXPECT_EQ(code({{}, 1, {layer}}, 2, 1), Code::kInvalidArgument);
  EXPECT_EQ(code({{{}}, 1, {}}, 2, 1), Code::kInvalidArgument);
  EXPECT_EQ(code({{{}}, NAN, {layer}}, 2, 1), Code::kInvalidArgument);
}

}  // namespace
}  // namespace gabion
