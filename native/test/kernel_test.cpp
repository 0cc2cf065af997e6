// The kernels of every instruction set that this processor runs, against plain double precision.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

#include "kernel_reference.hpp"

#ifdef GABION_AMX_MODEL
namespace gabion::kernels {
extern const Variant kAmxModel;
}  // namespace gabion::kernels
#endif

namespace gabion {
namespace {

using kernels::Encoder;
using kernels::EncoderShape;
using kernels::Format;
using kernels::PackingTask;
using kernels::Precision;
using kernels::Variant;
using test::RelativeError;

/// The formats of every instruction set, and those specific to this one.
std::vector<Format> FormatsOf(const Variant& variant) {
  std::vector<Format> formats{Format::kFloat32, Format::kBfloat16Wide, Format::kBfloat16Dot,
                              Format::kInt16,   Format::kInt8Wide,     Format::kInt8Dot};
  for (const Format own : {variant.bfloat16, variant.int8}) {
    if (std::find(formats.begin(), formats.end(), own) == formats.end()) formats.push_back(own);
  }
  return formats;
}

/// The instruction sets of this processor, and AMX over a model of its instructions where AVX-512 BF16 is supported.
std::vector<const Variant*> TestedVariants() {
  std::vector<const Variant*> variants = kernels::UsableVariants();
#ifdef GABION_AMX_MODEL
  const auto has = [&](const std::string& name) {
    return std::any_of(variants.begin(), variants.end(), [&](const Variant* each) { return each->name == name; });
  };
  if (has("avx512-bf16")) variants.push_back(&kernels::kAmxModel);
#endif
  return variants;
}

/// Cases that take minutes on the AMX model or, with GABION_SHORT set, on an emulator.
bool TooLong(const Variant& variant, size_t hidden, size_t tokens) {
  static const bool is_short = std::getenv("GABION_SHORT") != nullptr;
  const bool slow = is_short || variant.name == std::string("amx-model");
  return slow && (hidden > 384 || hidden * tokens > 6000);
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Root mean square of the error over that of the exact values, for normally distributed values.
double ErrorOf(Format format) {
  switch (format) {
    case Format::kFloat32:
    case Format::kBfloat16Wide:
      return 1e-6;
    case Format::kInt16:
      return 1e-3;
    case Format::kBfloat16Dot:
    case Format::kBfloat16Matrix:
      return 4e-3;
    case Format::kInt8Wide:
      return 1e-2;
    case Format::kInt8Dot:
    case Format::kInt8Matrix:
      break;
  }
  return 1.5e-2;
}

class Kernels : public testing::TestWithParam<const Variant*> {
 protected:
  static const Variant& variant() { return *GetParam(); }

  /// Packs and multiplies; throws what SizeOf throws.
  static std::vector<float> Multiply(Format format, const std::vector<float>& x, size_t rows,
                                     const test::RandomMatrix& weight, const test::RandomMatrix& bias, size_t k,
                                     size_t n, size_t k_blocks) {
    PackingTask task{weight.Stored(format == Format::kBfloat16Wide), k, n, k_blocks, {}};
    for (size_t at = 0; at < n; at += variant().nr) {
      task.panel_columns.push_back(at);
    }
    const kernels::PackedSize size = SizeOf(task, format, variant().nr);
    const kernels::AlignedBuffer panels(size.panel_bytes);
    std::vector<float> scales(size.scale_count);
    for (size_t number = 0; number < PanelCount(task); ++number) {
      EXPECT_TRUE(PackPanel(task, format, variant().nr, number, panels.get(), scales.data()));
    }
    const kernels::PackedLinear linear{
        panels.get(), scales.empty() ? nullptr : scales.data(), bias.floats(), n, size.kc, k_blocks, size.group,
        nullptr};
    const kernels::AlignedBuffer workspace(rows * (2 * size.kc + 128) * sizeof(float) + 65536);
    std::vector<float> y(rows * n);
    variant().linear(format, linear, x.data(), rows, workspace.get(), y.data());
    return y;
  }
};

TEST_P(Kernels, MultiplyLikeTheReference) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  const size_t heights[] = {1, 2, 3, 5, 6, 7, 11, 12, 13, 14, 18, 25, 31, 48, 97, 512};
  for (const Format format : FormatsOf(variant())) {
    for (const size_t rows : heights) {
      const size_t k = 32 * (1 + random() % 12);
      const size_t n = 32 * (1 + random() % 4);
      const size_t k_blocks = 1 + random() % 2;
      const test::RandomMatrix weight(k * k_blocks * n, 0.05, random);
      const test::RandomMatrix bias(n, 0.05, random);
      std::vector<float> x(rows * k * k_blocks);
      std::generate(x.begin(), x.end(), [&] { return normal(random); });
      const auto y = Multiply(format, x, rows, weight, bias, k * k_blocks, n, k_blocks);
      const auto exact = test::ReferenceLinear(test::Doubles(x.begin(), x.end()), rows, weight, bias, k * k_blocks, n);
      EXPECT_LT(RelativeError(y, exact), ErrorOf(format))
          << "format " << static_cast<int>(format) << ", " << rows << " rows, " << k << " x " << n;
    }
  }
}

TEST_P(Kernels, SumsOfTheLargestValuesDoNotOverflow) {
  std::mt19937 random(2);
  constexpr size_t kInputs = 1024;
  const test::RandomMatrix weight(kInputs * 32, 0, random, 3);
  const test::RandomMatrix bias(32, 0, random);
  for (const Format format : FormatsOf(variant())) {
    for (const float value : {1.0F, -1.0F, 1e30F, 1e-30F}) {
      const std::vector<float> x(7 * kInputs, value);
      const auto y = Multiply(format, x, 7, weight, bias, kInputs, 32, 1);
      const double exact = 3.0 * kInputs * static_cast<double>(value);
      for (const float got : y) {
        ASSERT_NEAR(static_cast<double>(got) / exact, 1, 0.01) << "format " << static_cast<int>(format);
      }
    }
  }
}

TEST_P(Kernels, ZerosAndDenormalsStayFinite) {
  std::mt19937 random(3);
  const test::RandomMatrix weight(64 * 32, 0.05, random);
  const test::RandomMatrix nothing(64 * 32, 0, random);
  const test::RandomMatrix bias(32, 0.05, random);
  for (const Format format : FormatsOf(variant())) {
    for (const float value : {0.0F, 1e-40F, -1e-45F}) {
      const std::vector<float> x(5 * 64, value);
      for (const test::RandomMatrix* of : {&weight, &nothing}) {
        const auto y = Multiply(format, x, 5, *of, bias, 64, 32, 1);
        for (size_t i = 0; i < y.size(); ++i) {
          ASSERT_NEAR(static_cast<double>(y[i]), bias[i % 32], 1e-6) << "format " << static_cast<int>(format);
        }
      }
    }
  }
}

TEST_P(Kernels, NanInARowComesOutOfThatRowOnly) {
  std::mt19937 random(4);
  const test::RandomMatrix weight(64 * 64, 0.05, random);
  const test::RandomMatrix bias(64, 0.05, random);
  for (const Format format : FormatsOf(variant())) {
    // Float GEMMs of many rows compute two neighbors together: the NaN may reach the other one, and no more.
    const bool is_float = format == Format::kFloat32 || format == Format::kBfloat16Wide;
    for (const size_t rows : {3, 33}) {
      for (const float bad : {kNan, std::numeric_limits<float>::infinity()}) {
        std::vector<float> x(rows * 64, 1.0F);
        x[64 + 5] = bad;
        const auto y = Multiply(format, x, rows, weight, bias, 64, 64, 1);
        for (size_t i = 0; i < y.size(); ++i) {
          const size_t row = i / 64;
          if (row == 0 && rows > 3 && is_float) continue;
          ASSERT_EQ(std::isfinite(y[i]), row != 1) << "format " << static_cast<int>(format) << " at " << i;
        }
      }
    }
  }
}

TEST_P(Kernels, PackingSeesWeightsThatAreNotFinite) {
  for (const Format format : FormatsOf(variant())) {
    for (const float bad : {kNan, -std::numeric_limits<float>::infinity()}) {
      std::vector<float> weight(64 * 32, 0.5F);
      weight[40 * 32 + 3] = bad;
      PackingTask task{{weight.data(), false}, 64, 32, 1, {}};
      for (size_t at = 0; at < 32; at += variant().nr) task.panel_columns.push_back(at);
      const auto size = SizeOf(task, format, variant().nr);
      const kernels::AlignedBuffer panels(size.panel_bytes);
      std::vector<float> scales(size.scale_count);
      EXPECT_FALSE(PackPanel(task, format, variant().nr, 0, panels.get(), scales.data()));
    }
  }
}

TEST_P(Kernels, GeluIsAccurateToFloat) {
  std::vector<float> x;
  for (int i = -80000; i < 80000; ++i) x.push_back(static_cast<float>(i) * 1e-4F);
  for (const float value : {1e-40F, -1e-40F, 1e4F, -1e4F, 3e38F, -3e38F, 0.0F, -0.0F}) x.push_back(value);
  x.resize((x.size() + 15) / 16 * 16);
  std::vector<float> y = x;
  variant().gelu(y.data(), y.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = test::ReferenceGelu(static_cast<double>(x[i]));
    ASSERT_NEAR(static_cast<double>(y[i]), exact, 1e-6 * std::max(1.0, std::fabs(exact))) << "at " << x[i];
  }
  std::vector<float> bad(16, kNan);
  variant().gelu(bad.data(), bad.size());
  EXPECT_TRUE(std::all_of(bad.begin(), bad.end(), [](float value) { return std::isnan(value); }));
}

TEST_P(Kernels, LayerNormIsAccurate) {
  std::mt19937 random(5);
  for (const size_t width : {32, 96, 384, 1024}) {
    const test::RandomMatrix weight(width, 0.3, random, 1);
    const test::RandomMatrix bias(width, 0.3, random);
    for (const double offset : {0.0, 30.0}) {
      const test::RandomMatrix row(width, 2, random, offset);
      std::vector<float> got(row.floats(), row.floats() + width);
      variant().layer_norm(got.data(), width, weight.floats(), bias.floats(), 1e-12F);
      test::Doubles exact;
      for (size_t i = 0; i < width; ++i) exact.push_back(row[i]);
      test::ReferenceNorm(exact, width, weight, bias, 1e-12);
      EXPECT_LT(RelativeError(got, exact), 2e-6);
    }
    std::vector<float> constant(width, 0.25F);  // zero variance: only the bias remains
    variant().layer_norm(constant.data(), width, weight.floats(), bias.floats(), 1e-12F);
    for (size_t i = 0; i < width; ++i) {
      ASSERT_NEAR(static_cast<double>(constant[i]), bias[i], 1e-6);
    }
  }
}

struct EncoderCase {
  EncoderShape shape;
  std::vector<size_t> tokens;
};

std::vector<float> HiddenState(const Encoder& encoder, const std::vector<int64_t>& ids, size_t hidden,
                               kernels::Workspace& workspace) {
  const std::atomic<bool> stop{false};
  std::vector<float> state(ids.size() * hidden);
  EXPECT_TRUE(encoder.Run({ids.data(), ids.size()}, workspace, stop, nullptr, state.data()));
  return state;
}

std::vector<int64_t> RandomIds(size_t count, std::mt19937& random) {
  std::vector<int64_t> ids(count);
  std::generate(ids.begin(), ids.end(), [&] { return random() % test::RandomEncoder::kVocabulary; });
  return ids;
}

TEST_P(Kernels, EncodeLikeTheReference) {
  const EncoderCase cases[] = {
      {{2, 2, 64, 96, 1e-12F}, {1, 2, 6, 7, 33, 100, 512}},
      {{1, 1, 32, 32, 1e-5F}, {3, 16, 17}},
      {{2, 12, 384, 1536, 1e-12F}, {1, 13, 97}},
      {{1, 12, 768, 3072, 1e-12F}, {19}},
      {{1, 16, 1024, 4096, 1e-12F}, {9}},
  };
  std::mt19937 random(6);
  kernels::Workspace workspace;
  for (const auto& [shape, lengths] : cases) {
    if (TooLong(variant(), shape.hidden, 1)) continue;
    const test::RandomEncoder reference(shape, 7);
    for (const bool bfloat16 : {false, true}) {
      const Encoder fp32(shape, reference.Stored(bfloat16), Precision::kFp32, variant());
      const Encoder bf16(shape, reference.Stored(bfloat16), Precision::kBf16, variant());
      const Encoder int8(shape, reference.Stored(bfloat16), Precision::kInt8, variant());
      for (const size_t tokens : lengths) {
        if (TooLong(variant(), shape.hidden, tokens)) continue;
        const auto ids = RandomIds(tokens, random);
        const auto expected = reference.Run(ids);
        const std::string where = std::to_string(shape.hidden) + " wide, " + std::to_string(tokens) + " tokens";
        EXPECT_LT(RelativeError(HiddenState(fp32, ids, shape.hidden, workspace), expected), 5e-6) << where;
        EXPECT_LT(RelativeError(HiddenState(bf16, ids, shape.hidden, workspace), expected), 2e-2) << where;
        EXPECT_LT(RelativeError(HiddenState(int8, ids, shape.hidden, workspace), expected), 4e-2) << where;
      }
    }
  }
}

/// Runs items in descending order on several threads: the order must not matter.
void ParallelForDescending(void* context, size_t items, void (*task)(const void*, size_t, size_t), const void* work) {
  const size_t members = *static_cast<const size_t*>(context);
  std::vector<std::thread> threads;
  for (size_t member = 0; member < members; ++member) {
    threads.emplace_back([=] {
      for (size_t item = items; item-- > 0;) {
        if (item % members == member) {
          task(work, item, member);
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_P(Kernels, GiveTheSameBitsOnSeveralThreads) {
  const EncoderShape shape{2, 4, 128, 256, 1e-12F};
  const test::RandomEncoder reference(shape, 17);
  std::mt19937 random(18);
  kernels::Workspace workspace;
  const std::atomic<bool> stop{false};
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    const Encoder encoder(shape, reference.Stored(true), precision, variant());
    for (const size_t tokens : {1U, 2U, 7U, 33U, 64U, 100U, 205U}) {
      const auto ids = RandomIds(tokens, random);
      const std::vector<float> alone = HiddenState(encoder, ids, shape.hidden, workspace);
      for (size_t members : {2U, 3U, 8U}) {
        const kernels::Team team{members, ParallelForDescending, &members};
        std::vector<float> shared(alone.size());
        EXPECT_TRUE(encoder.Run({ids.data(), tokens}, workspace, stop, &team, shared.data()));
        EXPECT_EQ(std::memcmp(shared.data(), alone.data(), alone.size() * sizeof(float)), 0)
            << tokens << " tokens, " << members << " threads";
      }
    }
  }
}

TEST_P(Kernels, ApplyRelativePositionBiasesAndPositionsAfterThePadding) {
  const EncoderShape shape{2, 2, 64, 96, 1e-5F};
  test::RandomEncoder reference(shape, 30);
  const test::RandomEncoder plain(shape, 30);
  reference.BeLikeMpnet();
  std::mt19937 random(31);
  kernels::Workspace workspace;
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    const Encoder encoder(shape, reference.Stored(true), precision, variant());
    const double bound = precision == Precision::kFp32 ? 5e-6 : precision == Precision::kBf16 ? 2e-2 : 4e-2;
    for (const size_t tokens : {1, 2, 17, 33, 100, 510}) {
      if (TooLong(variant(), shape.hidden, tokens)) continue;
      auto ids = RandomIds(tokens, random);
      ids[tokens / 2] = test::RandomEncoder::kPadding;
      const auto expected = reference.Run(ids);
      EXPECT_LT(RelativeError(HiddenState(encoder, ids, shape.hidden, workspace), expected), bound) << tokens;
      EXPECT_GT(RelativeError(HiddenState(encoder, ids, shape.hidden, workspace), plain.Run(ids)), 0.1) << tokens;
    }
  }
}

TEST_P(Kernels, AddTheEmbeddingOfEachTokensType) {
  const EncoderShape shape{2, 2, 64, 96, 1e-12F};
  test::RandomEncoder reference(shape, 32);
  reference.HaveTypes();
  std::mt19937 random(33);
  kernels::Workspace workspace;
  const std::atomic<bool> stop{false};
  const Encoder encoder(shape, reference.Stored(true), Precision::kFp32, variant());
  for (const size_t tokens : {1, 2, 33, 100}) {
    const auto ids = RandomIds(tokens, random);
    std::vector<uint8_t> types(tokens);
    std::fill(types.begin() + static_cast<ptrdiff_t>(tokens / 3), types.end(), uint8_t{1});
    std::vector<float> state(tokens * shape.hidden);
    EXPECT_TRUE(encoder.Run({ids.data(), tokens, types.data()}, workspace, stop, nullptr, state.data()));
    EXPECT_LT(RelativeError(state, reference.Run(ids, types)), 5e-6) << tokens;
    EXPECT_GT(RelativeError(state, reference.Run(ids)), 0.1) << tokens;
    EXPECT_LT(RelativeError(HiddenState(encoder, ids, shape.hidden, workspace), reference.Run(ids)), 5e-6) << tokens;
  }
}

TEST_P(Kernels, RotateQueriesAndKeysByTheirPositions) {
  const test::RotaryTraits traits[] = {
      {0, kernels::FeedForward::kGatedSilu, false},
      {0, kernels::FeedForward::kGelu, false},
      {20, kernels::FeedForward::kGatedGelu, true},
  };
  std::mt19937 random(34);
  kernels::Workspace workspace;
  for (const test::RotaryTraits& trait : traits) {
    for (const EncoderShape& shape : {EncoderShape{3, 2, 64, 96, 1e-5F}, EncoderShape{2, 2, 128, 768, 1e-5F}}) {
      const test::RandomEncoder reference(shape, 35, trait);
      const std::vector<kernels::TokenSample> samples{{RandomIds(40, random), {}}};
      for (const size_t tokens : {2, 33, 130}) {
        if (TooLong(variant(), shape.hidden, tokens)) continue;
        const auto ids = RandomIds(tokens, random);
        const std::string where = std::to_string(shape.hidden) + " wide, " + std::to_string(tokens) + " tokens";
        const auto expected = reference.Run(ids);
        for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
          const Encoder encoder(shape, reference.Stored(precision != Precision::kFp32), precision, variant(), samples);
          const double bound = precision == Precision::kFp32 ? 5e-6 : precision == Precision::kBf16 ? 3e-2 : 8e-2;
          const std::vector<float> state = HiddenState(encoder, ids, shape.hidden, workspace);
          EXPECT_LT(RelativeError(state, expected), bound) << where;
          size_t members = 3;
          const kernels::Team team{members, ParallelForDescending, &members};
          const std::atomic<bool> stop{false};
          std::vector<float> shared(state.size());
          EXPECT_TRUE(encoder.Run({ids.data(), tokens}, workspace, stop, &team, shared.data()));
          EXPECT_EQ(std::memcmp(shared.data(), state.data(), state.size() * sizeof(float)), 0) << where;
        }
      }
    }
  }
}

TEST_P(Kernels, SmoothQuantReducesTheErrorOfIntegers) {
  const EncoderShape shape{2, 12, 384, 1536, 1e-12F};
  test::RandomEncoder reference(shape, 21);
  reference.AmplifyChannels(12);
  std::mt19937 random(22);
  const std::vector<kernels::TokenSample> samples{
      {RandomIds(30, random), {}}, {RandomIds(1, random), {}}, {RandomIds(12, random), {}}};
  const Encoder plain(shape, reference.Stored(true), Precision::kInt8, variant());
  const Encoder smoothed(shape, reference.Stored(true), Precision::kInt8, variant(), samples);
  kernels::Workspace workspace;
  const auto ids = RandomIds(25, random);
  const auto expected = reference.Run(ids);
  const double before = RelativeError(HiddenState(plain, ids, shape.hidden, workspace), expected);
  const double after = RelativeError(HiddenState(smoothed, ids, shape.hidden, workspace), expected);
  // With 16-bit activations the error comes from the weights.
  const bool bytes = FormatFor(variant(), Precision::kInt8, true) != Format::kInt8Wide;
  EXPECT_LT(after, (bytes ? 0.8 : 1.1) * before);
}

TEST_P(Kernels, ATextsBitsDoNotDependOnWhatRanBefore) {
  const EncoderShape shape{2, 2, 64, 96, 1e-12F};
  const test::RandomEncoder reference(shape, 8);
  std::mt19937 random(9);
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    const Encoder encoder(shape, reference.Stored(true), precision, variant());
    const auto ids = RandomIds(21, random);
    kernels::Workspace fresh;
    kernels::Workspace used;
    HiddenState(encoder, RandomIds(300, random), shape.hidden, used);
    HiddenState(encoder, RandomIds(5, random), shape.hidden, used);
    EXPECT_EQ(HiddenState(encoder, ids, shape.hidden, fresh), HiddenState(encoder, ids, shape.hidden, used));
  }
}

TEST_P(Kernels, NanInTheModelIsNeverHidden) {
  const EncoderShape shape{1, 2, 64, 96, 1e-12F};
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kInt8}) {
    test::RandomEncoder reference(shape, 10);
    reference.SomeBias() = kNan;
    const Encoder encoder(shape, reference.Stored(false), precision, variant());
    kernels::Workspace workspace;
    const auto state = HiddenState(encoder, {1, 2, 3}, shape.hidden, workspace);
    EXPECT_TRUE(std::any_of(state.begin(), state.end(), [](float value) { return std::isnan(value); }));

    reference.SomeWeight() = kNan;
    EXPECT_THROW(Encoder(shape, reference.Stored(false), precision, variant()), std::invalid_argument);
  }
}

TEST_P(Kernels, StopBetweenLayers) {
  const EncoderShape shape{2, 2, 64, 96, 1e-12F};
  const test::RandomEncoder reference(shape, 11);
  const Encoder encoder(shape, reference.Stored(true), Precision::kFp32, variant());
  kernels::Workspace workspace;
  const std::atomic<bool> stop{true};
  const std::vector<int64_t> ids{1, 2};
  std::vector<float> state(128);
  EXPECT_FALSE(encoder.Run({ids.data(), ids.size()}, workspace, stop, nullptr, state.data()));
}

TEST_P(Kernels, RefuseSizesTheyCannotPack) {
  const EncoderShape narrow_heads{1, 8, 64, 96, 1e-12F};
  const EncoderShape too_wide{1, 33, 1056, 96, 1e-12F};
  for (const EncoderShape& shape : {narrow_heads, too_wide}) {
    const test::RandomEncoder reference(shape, 12);
    EXPECT_THROW(Encoder(shape, reference.Stored(true), Precision::kFp32, variant()), std::invalid_argument);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, Kernels, testing::ValuesIn(TestedVariants()), [](const auto& each) {
  std::string name = each.param->name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Kernels);

}  // namespace
}  // namespace gabion
