#include "packing.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace gabion::kernels {
namespace {

constexpr size_t kWidestPanel = 32;
constexpr size_t kWidestSlice = 512;
// Weights below this are zero in integers: the inverse of their scale would not be finite.
constexpr double kTiny = 1e-35;
constexpr double kLargestSum = 2147483647.0;

/// Values of K that one dot instruction takes from each column.
size_t StepOf(Format format) {
  switch (format) {
    case Format::kFloat32:
    case Format::kBfloat16Wide:
      return 1;
    case Format::kBfloat16Dot:
    case Format::kInt16:
    case Format::kInt8Wide:
      return 2;
    case Format::kInt8Dot:
    case Format::kBfloat16Matrix:
      return 4;
    case Format::kInt8Matrix:
      break;
  }
  return 8;
}

/// Whether weights and activations are bytes.
bool IsBytes(Format format) { return format == Format::kInt8Dot || format == Format::kInt8Matrix; }

size_t WeightBytesOf(Format format) {
  switch (format) {
    case Format::kFloat32:
      return 4;
    case Format::kBfloat16Wide:
    case Format::kBfloat16Dot:
    case Format::kBfloat16Matrix:
    case Format::kInt16:
      return 2;
    case Format::kInt8Wide:
    case Format::kInt8Dot:
    case Format::kInt8Matrix:
      break;
  }
  return 1;
}

// 96 was measured to keep the bundled model's int8 vectors within their bounds; other widths take what divides them.
size_t GroupOf(Format format, size_t depth) {
  if (format != Format::kInt8Wide && !IsBytes(format)) {
    return depth;
  }
  for (const size_t group : {size_t{128}, size_t{96}, size_t{64}}) {
    if (depth % group == 0) {
      return group;
    }
  }
  return 32;
}

float Widened(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16U;
  float value = 0;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

uint16_t Narrowed(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

/// `count` values of one source row, as floats.
void ReadRow(const PackingJob& job, size_t row, size_t column, size_t count, float* to) {
  const size_t at = row * job.outputs + column;
  if (!job.source.bfloat16) {
    std::memcpy(to, static_cast<const float*>(job.source.values) + at, count * sizeof(float));
  } else {
    const auto* from = static_cast<const uint16_t*>(job.source.values) + at;
    for (size_t i = 0; i < count; ++i) {
      to[i] = Widened(from[i]);
    }
  }
  if (job.input_factors != nullptr) {
    const float factor = 1.0F / job.input_factors[row];
    for (size_t i = 0; i < count; ++i) {
      to[i] *= factor;
    }
  }
}

using PanelRow = std::array<float, kWidestPanel>;

/// One column's integers are its weights times 1 / scale; scales so that they fit and their sums cannot overflow.
void ScalesOfGroup(Format format, const PanelRow& greatest, const PanelRow& total, size_t panel, float* scales) {
  for (size_t column = 0; column < panel; ++column) {
    double scale = static_cast<double>(greatest[column]) / (format == Format::kInt16 ? 32767 : 127);
    if (format == Format::kInt16) {
      // Rounding adds at most half a unit to each of 1024 weights.
      scale = std::max(scale, static_cast<double>(total[column]) / (kLargestSum / kInt16Limit - 512));
    }
    scales[column] = scale < kTiny ? 0 : static_cast<float>(scale);
  }
}

/// Gathers what the scales of rows `first…first + count` need; false if a weight is not finite.
bool Measure(const PackingJob& job, size_t first, size_t count, size_t column, size_t panel, PanelRow& greatest,
             PanelRow& total) {
  PanelRow row{};
  PanelRow poison{};
  for (size_t k = 0; k < count; ++k) {
    ReadRow(job, first + k, column, panel, row.data());
    for (size_t i = 0; i < panel; ++i) {
      const float size = std::fabs(row[i]);
      greatest[i] = std::max(greatest[i], size);
      total[i] += size;
      poison[i] += row[i] * 0.0F;
    }
  }
  return std::all_of(poison.begin(), poison.end(), [](float value) { return value == 0; });
}

/// Writes integers at [k / step][column][k % step].
template <typename Integer>
void PackGroup(const PackingJob& job, size_t first, size_t count, size_t column, size_t panel, size_t step,
               const float* scales, Integer* to, float* sums) {
  PanelRow row{};
  PanelRow inverse{};
  for (size_t i = 0; i < panel; ++i) {
    inverse[i] = scales[i] > 0 ? 1.0F / scales[i] : 0.0F;
  }
  PanelRow total{};
  for (size_t k = 0; k < count; ++k) {
    ReadRow(job, first + k, column, panel, row.data());
    Integer* at = to + (k / step) * panel * step + k % step;
    for (size_t i = 0; i < panel; ++i) {
      const float rounded = std::nearbyint(row[i] * inverse[i]);
      total[i] += rounded;
      at[i * step] = static_cast<Integer>(rounded);
    }
  }
  if (sums != nullptr) {
    for (size_t i = 0; i < panel; ++i) {
      sums[i] = total[i] * scales[i];
    }
  }
}

bool PackFloats(const PackingJob& job, Format format, size_t first, size_t depth, size_t column, size_t panel,
                void* to) {
  PanelRow row{};
  PanelRow poison{};
  const size_t lanes = panel / 2;
  const size_t step = StepOf(format);
  for (size_t k = 0; k < depth; ++k) {
    ReadRow(job, first + k, column, panel, row.data());
    for (size_t i = 0; i < panel; ++i) {
      poison[i] += row[i] * 0.0F;
    }
    if (format == Format::kFloat32) {
      std::memcpy(static_cast<float*>(to) + k * panel, row.data(), panel * sizeof(float));
    } else if (format == Format::kBfloat16Wide) {
      // Column i beside column i + lanes: one load gives two vectors, by a shift and by a mask.
      uint16_t* at = static_cast<uint16_t*>(to) + k * panel;
      for (size_t i = 0; i < lanes; ++i) {
        at[2 * i] = Narrowed(row[i]);
        at[2 * i + 1] = Narrowed(row[i + lanes]);
      }
    } else {
      uint16_t* at = static_cast<uint16_t*>(to) + (k / step) * step * panel + k % step;
      for (size_t i = 0; i < panel; ++i) {
        at[step * i] = Narrowed(row[i]);
      }
    }
  }
  return std::all_of(poison.begin(), poison.end(), [](float value) { return value == 0; });
}

}  // namespace

bool IsInteger(Format format) { return format == Format::kInt16 || format == Format::kInt8Wide || IsBytes(format); }

void ShareRange(const StoredMatrix& weight, size_t inputs, size_t outputs, const float* greatest, float* factors) {
  // A few texts do not show all that an input can reach: none counts as smaller than this part of the mean.
  constexpr float kLeastPart = 0.25F;
  double total = 0;
  for (size_t k = 0; k < inputs; ++k) {
    total += static_cast<double>(greatest[k]);
  }
  const float least = kLeastPart * static_cast<float>(total / static_cast<double>(inputs));
  const PackingJob job{weight, inputs, outputs, 1, {}};
  std::vector<float> row(outputs);
  for (size_t k = 0; k < inputs; ++k) {
    ReadRow(job, k, 0, outputs, row.data());
    float widest = 0;
    for (const float value : row) {
      widest = std::max(widest, std::fabs(value));
    }
    const float factor = std::sqrt(widest / std::max(greatest[k], least));
    factors[k] = std::isfinite(factor) && factor > 1e-3F && factor < 1e3F ? factor : 1.0F;
  }
}

PackedSize SizeOf(const PackingJob& job, Format format, size_t panel) {
  const size_t depth = job.slices == 0 ? 0 : job.inputs / job.slices;
  if (panel > kWidestPanel || depth == 0 || depth * job.slices != job.inputs || depth % 32 != 0 || depth > 1024 ||
      job.panel_columns.size() * panel != job.outputs) {
    throw std::invalid_argument("a weight of [" + std::to_string(job.inputs) + ", " + std::to_string(job.outputs) +
                                "] cannot be cut into panels of " + std::to_string(panel) + " columns");
  }
  const size_t group = GroupOf(format, depth);
  const size_t groups = IsInteger(format) ? job.inputs / group : 0;
  const size_t of_group = IsBytes(format) ? 2 : 1;
  return {depth, group, job.inputs * job.outputs * WeightBytesOf(format), groups * job.outputs * of_group};
}

bool PackPanel(const PackingJob& job, Format format, size_t panel, size_t number, void* panels, float* scales) {
  const PackedSize size = SizeOf(job, format, panel);
  const size_t slice = number / job.panel_columns.size();
  const size_t column = job.panel_columns[number % job.panel_columns.size()];
  const size_t first = slice * size.depth;
  char* to = static_cast<char*>(panels) + number * size.depth * panel * WeightBytesOf(format);
  if (!IsInteger(format)) {
    return PackFloats(job, format, first, size.depth, column, panel, to);
  }
  const size_t of_group = IsBytes(format) ? 2 * panel : panel;
  float* scale = scales + number * (size.depth / size.group) * of_group;
  for (size_t done = 0; done < size.depth; done += size.group, scale += of_group) {
    PanelRow greatest{};
    PanelRow total{};
    if (!Measure(job, first + done, size.group, column, panel, greatest, total)) {
      return false;
    }
    ScalesOfGroup(format, greatest, total, panel, scale);
    char* at = to + done * panel * WeightBytesOf(format);
    if (format == Format::kInt16) {
      PackGroup(job, first + done, size.group, column, panel, StepOf(format), scale, reinterpret_cast<int16_t*>(at),
                nullptr);
    } else {
      PackGroup(job, first + done, size.group, column, panel, StepOf(format), scale, reinterpret_cast<int8_t*>(at),
                IsBytes(format) ? scale + panel : nullptr);
    }
  }
  return true;
}

size_t SlicesOf(size_t intermediate, size_t panel) {
  for (const size_t width : {size_t{384}, kWidestSlice}) {
    if (intermediate % width == 0 && width % panel == 0) {
      return intermediate / width;
    }
  }
  for (size_t width = kWidestSlice; width >= 32; width -= 32) {
    if (intermediate % width == 0 && width % panel == 0) {
      return intermediate / width;
    }
  }
  return 0;
}

}  // namespace gabion::kernels
