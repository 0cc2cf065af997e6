// Where packed weights lie, against the formulas of packed.hpp, bit by bit.

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

constexpr size_t kInputs = 192;
constexpr size_t kOutputs = 96;
constexpr size_t kSlices = 2;
constexpr size_t kPanels[] = {8, 16, 32};

uint16_t Narrowed(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

float Widened(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16U); }

class PackingTest : public testing::Test {
 protected:
  PackingTest() : floats_(kInputs * kOutputs), narrow_(kInputs * kOutputs), factors_(kInputs) {
    std::mt19937 random(7);
    std::normal_distribution<float> weights(0, 0.05F);
    std::uniform_real_distribution<float> factors(0.1F, 8);
    for (size_t i = 0; i < floats_.size(); ++i) {
      narrow_[i] = Narrowed(weights(random));
      floats_[i] = Widened(narrow_[i]);
    }
    for (float& factor : factors_) factor = factors(random);
  }

  PackingJob Job(bool bfloat16, size_t panel, bool with_factors = false) {
    PackingJob job{{bfloat16 ? static_cast<const void*>(narrow_.data()) : floats_.data(), bfloat16},
                   kInputs,
                   kOutputs,
                   kSlices,
                   {},
                   with_factors ? factors_.data() : nullptr};
    // Not in the order of the source.
    for (size_t at = kOutputs; at > 0; at -= panel) job.panel_columns.push_back(at - panel);
    return job;
  }

  /// Calls `check(row of the source, column of the source, place of a value's first byte)` for every weight.
  template <typename Check>
  static void Places(const PackingJob& job, size_t panel, size_t step, size_t bytes, const Check& check) {
    const size_t depth = kInputs / kSlices;
    for (size_t number = 0; number < PanelsOf(job); ++number) {
      const size_t first = number / job.panel_columns.size() * depth;
      const size_t column = job.panel_columns[number % job.panel_columns.size()];
      for (size_t k = 0; k < depth; ++k) {
        for (size_t i = 0; i < panel; ++i) {
          check(first + k, column + i,
                (number * depth * panel + k / step * panel * step + i * step + k % step) * bytes);
        }
      }
    }
  }

  std::vector<float> floats_;
  std::vector<uint16_t> narrow_;
  std::vector<float> factors_;
};

std::vector<char> Pack(const PackingJob& job, Format format, size_t panel, std::vector<float>* scales = nullptr) {
  const PackedSize size = SizeOf(job, format, panel);
  std::vector<char> panels(size.panel_bytes);
  std::vector<float> own(size.scale_count);
  for (size_t number = 0; number < PanelsOf(job); ++number) {
    EXPECT_TRUE(PackPanel(job, format, panel, number, panels.data(), own.data()));
  }
  if (scales != nullptr) *scales = std::move(own);
  return panels;
}

template <typename T>
T At(const std::vector<char>& bytes, size_t place) {
  T value{};
  std::memcpy(&value, bytes.data() + place, sizeof value);
  return value;
}

TEST_F(PackingTest, PutsBfloat16WhereTheDotInstructionReadsIt) {
  for (const size_t panel : kPanels) {
    for (const bool narrow : {true, false}) {
      const PackingJob job = Job(narrow, panel);
      for (const size_t step : {size_t{2}, size_t{4}}) {
        const std::vector<char> packed = Pack(job, step == 2 ? Format::kBfloat16Dot : Format::kBfloat16Matrix, panel);
        Places(job, panel, step, 2, [&](size_t row, size_t column, size_t place) {
          ASSERT_EQ(At<uint16_t>(packed, place), narrow_[row * kOutputs + column]);
        });
      }
    }
  }
}

TEST_F(PackingTest, PutsWideBfloat16HalfAPanelApart) {
  for (const size_t panel : kPanels) {
    for (const bool narrow : {true, false}) {
      const PackingJob job = Job(narrow, panel);
      const std::vector<char> packed = Pack(job, Format::kBfloat16Wide, panel);
      Places(job, panel, 1, 2, [&](size_t row, size_t column, size_t place) {
        const size_t i = place / 2 % panel;
        const size_t of_panel = place - i * 2;
        const size_t half = panel / 2;
        const size_t at = i < half ? 2 * i : 2 * (i - half) + 1;
        ASSERT_EQ(At<uint16_t>(packed, of_panel + at * 2), narrow_[row * kOutputs + column]);
      });
    }
  }
}

TEST_F(PackingTest, RoundsToTheNearestEvenInteger) {
  for (const size_t panel : kPanels) {
    for (const bool with_factors : {false, true}) {
      for (const Format format : {Format::kInt8Dot, Format::kInt8Matrix, Format::kInt8Wide, Format::kInt16}) {
        const PackingJob job = Job(true, panel, with_factors);
        std::vector<float> scales;
        const std::vector<char> packed = Pack(job, format, panel, &scales);
        const PackedSize size = SizeOf(job, format, panel);
        const bool is_bytes = format == Format::kInt8Dot || format == Format::kInt8Matrix;
        const size_t of_group = is_bytes ? 2 * panel : panel;
        const size_t step = format == Format::kInt8Matrix ? 8 : format == Format::kInt8Dot ? 4 : 2;
        const size_t bytes = format == Format::kInt16 ? 2 : 1;
        Places(job, panel, step, bytes, [&](size_t row, size_t column, size_t place) {
          const size_t number = place / bytes / (size.depth * panel);
          const size_t group = row % size.depth / size.group;
          const size_t i = (column - job.panel_columns[number % job.panel_columns.size()]);
          const float scale = scales[(number * (size.depth / size.group) + group) * of_group + i];
          ASSERT_GT(scale, 0);
          float weight = floats_[row * kOutputs + column];
          if (with_factors) weight *= 1.0F / factors_[row];
          const auto expected = static_cast<int>(std::nearbyint(weight * (1.0F / scale)));
          ASSERT_EQ(bytes == 2 ? At<int16_t>(packed, place) : At<int8_t>(packed, place), expected);
        });
      }
    }
  }
}

TEST_F(PackingTest, RefusesEveryValueThatIsNotFinite) {
  for (const Format format : {Format::kBfloat16Dot, Format::kBfloat16Wide, Format::kInt8Dot, Format::kFloat32}) {
    for (const float poison : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                               std::numeric_limits<float>::quiet_NaN()}) {
      for (size_t i = 0; i < 32; ++i) {
        const size_t at = i * kOutputs + (i * 11) % 32;
        const uint16_t before = narrow_[at];
        narrow_[at] = static_cast<uint16_t>(std::bit_cast<uint32_t>(poison) >> 16U);
        PackingJob job = Job(true, 32);
        std::vector<char> panels(SizeOf(job, format, 32).panel_bytes);
        std::vector<float> scales(SizeOf(job, format, 32).scale_count);
        // The source's first columns are in the last panel of the first slice.
        ASSERT_FALSE(PackPanel(job, format, 32, kOutputs / 32 - 1, panels.data(), scales.data()));
        narrow_[at] = before;
      }
    }
  }
}

}  // namespace
}  // namespace gabion::kernels
