// The model of the AMX instructions against values computed by hand, and the kernels over it against the dot-product
// kernels.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernel_reference.hpp"

#define GABION_VARIANT amx_test
#include "tile_unit_model.hpp"

namespace gabion::kernels {
extern const Variant kAmxModel;
}  // namespace gabion::kernels

namespace gabion {
namespace {

using kernels::Format;
using kernels::Variant;
using kernels::amx_test::TileShapes;
using kernels::amx_test::TileUnit;

/// One row of two bf16 pairs by one column of them, added to `before`.
float DotOfFour(const float (&row)[4], const float (&column)[4], float before) {
  TileShapes shapes;
  shapes.Set(0, 1, 4);
  shapes.Set(1, 1, 8);
  shapes.Set(2, 2, 4);
  TileUnit::Configure(shapes);
  uint16_t left[4];
  uint16_t right[4];
  std::transform(std::begin(row), std::end(row), left, test::ToBfloat16);
  std::transform(std::begin(column), std::end(column), right, test::ToBfloat16);
  TileUnit::Load<0>(&before, 4);
  TileUnit::Load<1>(left, 8);
  TileUnit::Load<2>(right, 4);
  TileUnit::DotBfloat16<0, 1, 2>();
  float sum = 0;
  TileUnit::Store<0>(&sum, 4);
  TileUnit::Release();
  return sum;
}

TEST(AmxModel, SumsEvenAndOddProductsApart) {
  EXPECT_EQ(DotOfFour({1, 2, 3, 4}, {5, 6, 7, 8}, 0.5F), 70.5F);
  // 2^24 + 1 is 2^24 in float: a one added to it is lost, in the other sum it is not.
  EXPECT_EQ(DotOfFour({0x1p24F, 0, 1, 0}, {1, 1, 1, 1}, 0), 0x1p24F);
  EXPECT_EQ(DotOfFour({0x1p24F, 1, 0, 1}, {1, 1, 1, 1}, 0), 0x1p24F + 2);
}

TEST(AmxModel, TakesDenormalsForZero) {
  EXPECT_EQ(DotOfFour({0x1p-130F, 0, 0, 0}, {0x1p100F, 0, 0, 0}, 0), 0);
  EXPECT_EQ(DotOfFour({0x1p-100F, 0, 0, 0}, {0x1p-40F, 0, 0, 0}, 0), 0);
  EXPECT_EQ(DotOfFour({0, 0, 0, 0}, {1, 1, 1, 1}, 0x1p-130F), 0);
  EXPECT_EQ(DotOfFour({0x1p-60F, 0, 0, 0}, {0x1p-60F, 0, 0, 0}, 0), 0x1p-120F);
}

TEST(AmxModel, BytesAreUnsignedBySignedAndDoNotSaturate) {
  TileShapes shapes;
  shapes.Set(0, 1, 4);
  shapes.Set(1, 1, 4);
  shapes.Set(2, 1, 4);
  TileUnit::Configure(shapes);
  const uint8_t left[4] = {255, 255, 255, 255};
  const int8_t right[4] = {-128, -128, -128, -128};
  TileUnit::Clear<0>();
  TileUnit::Load<1>(left, 4);
  TileUnit::Load<2>(right, 4);
  TileUnit::DotBytes<0, 1, 2>();
  TileUnit::DotBytes<0, 1, 2>();
  int32_t sum = 0;
  TileUnit::Store<0>(&sum, 4);
  TileUnit::Release();
  EXPECT_EQ(sum, 2 * 4 * 255 * -128);
}

std::vector<float> Multiplied(const Variant& variant, const std::vector<float>& x, size_t m, size_t k,
                              const test::RandomMatrix& weight, const test::RandomMatrix& bias) {
  kernels::PackingTask task{weight.Stored(true), k, 64, 1, {0, 32}};
  const kernels::PackedSize size = SizeOf(task, Format::kInt8Dot, variant.nr);
  const kernels::AlignedBuffer panels(size.panel_bytes);
  std::vector<float> scales(size.scale_count);
  for (size_t number = 0; number < 2; ++number) {
    EXPECT_TRUE(PackPanel(task, Format::kInt8Dot, variant.nr, number, panels.get(), scales.data()));
  }
  const kernels::PackedLinear linear{panels.get(), scales.data(), bias.floats(), 64, size.kc, 1, size.group, nullptr};
  const kernels::AlignedBuffer workspace(m * (2 * size.kc + 128) * sizeof(float) + 65536);
  std::vector<float> y(m * 64);
  variant.linear(Format::kInt8Dot, linear, x.data(), m, workspace.get(), y.data());
  return y;
}

TEST(AmxModel, BytesHaveTheBitsOfDotProducts) {
  const auto usable = kernels::UsableVariants();
  const auto dots = std::find_if(usable.begin(), usable.end(),
                                 [](const Variant* each) { return each->name == std::string("avx512-bf16"); });
  if (dots == usable.end()) GTEST_SKIP() << "the model has vectors of AVX-512 BF16 around it";
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const size_t k : {32, 96, 192, 384, 1024}) {  // groups of 32, 96, 64, 128
    const test::RandomMatrix weight(k * 64, 0.05, random);
    const test::RandomMatrix bias(64, 0.05, random);
    for (const size_t m : {1, 15, 16, 17, 31, 32, 33, 70}) {
      std::vector<float> x(m * k);
      std::generate(x.begin(), x.end(), [&] { return normal(random); });
      EXPECT_EQ(Multiplied(kernels::kAmxModel, x, m, k, weight, bias), Multiplied(**dots, x, m, k, weight, bias))
          << m << " m of " << k;
    }
  }
}

}  // namespace
}  // namespace gabion
