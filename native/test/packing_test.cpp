// The layout of packed weights, against the formulas of packed.hpp, bit by bit.

#include "../kernels/packing.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <utility>

namespace gabion::kernels {
namespace {

constexpr size_t kK = 192;
constexpr size_t kN = 96;
constexpr size_t kKBlocks = 2;
constexpr size_t kPanels[] = {8, 16, 32};

uint16_t ToBfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

float FromBfloat16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16U); }

class PackingTest : public testing::Test {
 protected:
  PackingTest() : floats_(kK * kN), bf16_(kK * kN), smooth_scales_(kK) {
    std::mt19937 random(7);
    std::normal_distribution<float> weights(0, 0.05F);
    std::uniform_real_distribution<float> factors(0.1F, 8);
    for (size_t i = 0; i < floats_.size(); ++i) {
      bf16_[i] = ToBfloat16(weights(random));
      floats_[i] = FromBfloat16(bf16_[i]);
    }
    for (float& factor : smooth_scales_) factor = factors(random);
  }

  PackingTask Task(bool bfloat16, size_t nr, bool smoothed = false) {
    PackingTask task{{bfloat16 ? static_cast<const void*>(bf16_.data()) : floats_.data(), bfloat16},
                     kK,
                     kN,
                     kKBlocks,
                     {},
                     smoothed ? smooth_scales_.data() : nullptr};
    // Not in the order of the source.
    for (size_t at = kN; at > 0; at -= nr) task.panel_columns.push_back(at - nr);
    return task;
  }

  /// Calls `check(row of the source, column of the source, offset of a value's first byte)` for every weight.
  template <typename Check>
  static void ForEachWeight(const PackingTask& task, size_t nr, size_t step, size_t bytes, const Check& check) {
    const size_t kc = kK / kKBlocks;
    for (size_t number = 0; number < PanelCount(task); ++number) {
      const size_t first = number / task.panel_columns.size() * kc;
      const size_t column = task.panel_columns[number % task.panel_columns.size()];
      for (size_t k = 0; k < kc; ++k) {
        for (size_t i = 0; i < nr; ++i) {
          check(first + k, column + i, (number * kc * nr + k / step * nr * step + i * step + k % step) * bytes);
        }
      }
    }
  }

  std::vector<float> floats_;
  std::vector<uint16_t> bf16_;
  std::vector<float> smooth_scales_;
};

std::vector<char> Pack(const PackingTask& task, Format format, size_t nr, std::vector<float>* scales = nullptr) {
  const PackedSize size = SizeOf(task, format, nr);
  std::vector<char> panels(size.panel_bytes);
  std::vector<float> own(size.scale_count);
  for (size_t number = 0; number < PanelCount(task); ++number) {
    EXPECT_TRUE(PackPanel(task, format, nr, number, panels.data(), own.data()));
  }
  if (scales != nullptr) *scales = std::move(own);
  return panels;
}

template <typename T>
T At(const std::vector<char>& bytes, size_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

TEST_F(PackingTest, InterleavesBfloat16ForTheDotInstruction) {
  for (const size_t nr : kPanels) {
    for (const bool bf16 : {true, false}) {
      const PackingTask task = Task(bf16, nr);
      for (const size_t step : {size_t{2}, size_t{4}}) {
        const std::vector<char> packed = Pack(task, step == 2 ? Format::kBfloat16Dot : Format::kBfloat16Matrix, nr);
        ForEachWeight(task, nr, step, 2, [&](size_t row, size_t column, size_t offset) {
          ASSERT_EQ(At<uint16_t>(packed, offset), bf16_[row * kN + column]);
        });
      }
    }
  }
}

TEST_F(PackingTest, InterleavesWideBfloat16HalfAPanelApart) {
  for (const size_t nr : kPanels) {
    for (const bool bf16 : {true, false}) {
      const PackingTask task = Task(bf16, nr);
      const std::vector<char> packed = Pack(task, Format::kBfloat16Wide, nr);
      ForEachWeight(task, nr, 1, 2, [&](size_t row, size_t column, size_t offset) {
        const size_t i = offset / 2 % nr;
        const size_t of_panel = offset - i * 2;
        const size_t half = nr / 2;
        const size_t at = i < half ? 2 * i : 2 * (i - half) + 1;
        ASSERT_EQ(At<uint16_t>(packed, of_panel + at * 2), bf16_[row * kN + column]);
      });
    }
  }
}

TEST_F(PackingTest, RoundsToTheNearestEvenInteger) {
  for (const size_t nr : kPanels) {
    for (const bool smoothed : {false, true}) {
      for (const Format format : {Format::kInt8Dot, Format::kInt8Matrix, Format::kInt8Wide, Format::kInt16}) {
        const PackingTask task = Task(true, nr, smoothed);
        std::vector<float> scales;
        const std::vector<char> packed = Pack(task, format, nr, &scales);
        const PackedSize size = SizeOf(task, format, nr);
        const bool is_bytes = format == Format::kInt8Dot || format == Format::kInt8Matrix;
        const size_t per_group = is_bytes ? 2 * nr : nr;
        const size_t step = format == Format::kInt8Matrix ? 8 : format == Format::kInt8Dot ? 4 : 2;
        const size_t bytes = format == Format::kInt16 ? 2 : 1;
        ForEachWeight(task, nr, step, bytes, [&](size_t row, size_t column, size_t offset) {
          const size_t number = offset / bytes / (size.kc * nr);
          const size_t group = row % size.kc / size.group;
          const size_t i = (column - task.panel_columns[number % task.panel_columns.size()]);
          const float scale = scales[(number * (size.kc / size.group) + group) * per_group + i];
          ASSERT_GT(scale, 0);
          float weight = floats_[row * kN + column];
          if (smoothed) weight *= 1.0F / smooth_scales_[row];
          const auto expected = static_cast<int>(std::nearbyint(weight * (1.0F / scale)));
          ASSERT_EQ(bytes == 2 ? At<int16_t>(packed, offset) : At<int8_t>(packed, offset), expected);
        });
      }
    }
  }
}

TEST_F(PackingTest, PacksWeightsThatAreStoredWithTheOutputsFirstToTheSameBits) {
  std::vector<float> floats(floats_.size());
  std::vector<uint16_t> bf16(bf16_.size());
  for (size_t row = 0; row < kK; ++row) {
    for (size_t column = 0; column < kN; ++column) {
      floats[column * kK + row] = floats_[row * kN + column];
      bf16[column * kK + row] = bf16_[row * kN + column];
    }
  }
  for (const size_t nr : kPanels) {
    for (const bool bfloat16 : {true, false}) {
      for (const Format format :
           {Format::kFloat32, Format::kBfloat16Wide, Format::kBfloat16Dot, Format::kBfloat16Matrix, Format::kInt16,
            Format::kInt8Wide, Format::kInt8Dot, Format::kInt8Matrix}) {
        const PackingTask plain = Task(bfloat16, nr, IsInteger(format));
        PackingTask apart = plain;
        apart.outputs_first = true;
        // In three matrices, as query, key and value are.
        const auto third = [&](size_t number) {
          return bfloat16 ? static_cast<const void*>(bf16.data() + number * kN / 3 * kK)
                          : floats.data() + number * kN / 3 * kK;
        };
        apart.source.values = third(0);
        apart.further = {third(1), third(2)};
        std::vector<float> plain_scales;
        std::vector<float> apart_scales;
        EXPECT_EQ(Pack(plain, format, nr, &plain_scales), Pack(apart, format, nr, &apart_scales));
        EXPECT_EQ(plain_scales, apart_scales);
      }
      const PackingTask plain = Task(bfloat16, nr);
      PackingTask whole = plain;
      whole.outputs_first = true;
      whole.source.values = bfloat16 ? static_cast<const void*>(bf16.data()) : floats.data();
      std::vector<float> plain_scales(kK);
      std::vector<float> whole_scales(kK);
      ComputeSmoothScales(plain, smooth_scales_.data(), plain_scales.data());
      ComputeSmoothScales(whole, smooth_scales_.data(), whole_scales.data());
      EXPECT_EQ(plain_scales, whole_scales);
    }
  }
}

TEST_F(PackingTest, RefusesEveryValueThatIsNotFinite) {
  for (const Format format : {Format::kBfloat16Dot, Format::kBfloat16Wide, Format::kInt8Dot, Format::kFloat32}) {
    for (const float not_finite : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                                   std::numeric_limits<float>::quiet_NaN()}) {
      for (size_t i = 0; i < 32; ++i) {
        const size_t at = i * kN + (i * 11) % 32;
        const uint16_t before = bf16_[at];
        bf16_[at] = static_cast<uint16_t>(std::bit_cast<uint32_t>(not_finite) >> 16U);
        PackingTask task = Task(true, 32);
        std::vector<char> panels(SizeOf(task, format, 32).panel_bytes);
        std::vector<float> scales(SizeOf(task, format, 32).scale_count);
        // The source's first columns are in the last panel of the first K-block.
        ASSERT_FALSE(PackPanel(task, format, 32, kN / 32 - 1, panels.data(), scales.data()));
        bf16_[at] = before;
      }
    }
  }
}

}  // namespace
}  // namespace gabion::kernels
