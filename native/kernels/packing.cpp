#include "packing.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace gabion::kernels {
namespace {

constexpr size_t kWidestSlice = 512;
// Weights below this are zero in integers: the inverse of their scale would not be finite.
constexpr double kTiny = 1e-35;
constexpr double kLargestSum = 2147483647.0;
// Added and taken away again, it leaves a number of less than 22 bits rounded to an integer as std::nearbyint does, but
// in any compiler's vectors: 1.5 · 2^23.
constexpr float kRounding = 12582912.0F;
constexpr size_t kRowsAhead = 16;

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

// 192 keeps the bundled model's int8 vectors as close as 128 does (worst cosine .99874 and .99876 of 2,000 texts); with
// 384 the worst is .9978, and .998 is wanted. Each group costs a tile some fifty instructions. Other widths take what
// divides them.
size_t GroupOf(Format format, size_t depth) {
  if (format != Format::kInt8Wide && !IsBytes(format)) {
    return depth;
  }
  for (const size_t group : {size_t{192}, size_t{128}, size_t{96}, size_t{64}}) {
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
inline void ReadRow(const PackingJob& job, size_t row, size_t column, size_t count, float* to) {
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

/// Asks for a piece of a row that is read soon: rows lie too far apart for the processor to guess it, and waiting for
/// memory would take half of the time. May be beyond the end.
inline void AskFor(const PackingJob& job, size_t row, size_t column) {
  const size_t bytes = (row * job.outputs + column) * (job.source.bfloat16 ? sizeof(uint16_t) : sizeof(float));
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(job.source.values) + bytes));
}

// What follows is compiled for each width of panels, so that compilers make vector instructions of the loops over
// columns.
template <size_t panel>
using PanelRow = std::array<float, panel>;

template <size_t panel>
bool AreZero(const PanelRow<panel>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

/// One column's integers are its weights times 1 / scale; scales so that they fit and their sums cannot overflow.
template <size_t panel>
void ScalesOfGroup(Format format, const PanelRow<panel>& greatest, const PanelRow<panel>& total, float* scales) {
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
template <size_t panel>
bool Measure(const PackingJob& job, size_t first, size_t count, size_t column, PanelRow<panel>& greatest,
             PanelRow<panel>& total) {
  PanelRow<panel> row{};
  PanelRow<panel> poison{};
  for (size_t k = 0; k < count; ++k) {
    AskFor(job, first + k + kRowsAhead, column);
    ReadRow(job, first + k, column, panel, row.data());
    for (size_t i = 0; i < panel; ++i) {
      const float size = std::fabs(row[i]);
      greatest[i] = greatest[i] < size ? size : greatest[i];
      total[i] += size;
      poison[i] += row[i] * 0.0F;
    }
  }
  return AreZero<panel>(poison);
}

template <size_t bytes>
struct WordOf;
template <>
struct WordOf<2> {
  using Type = uint16_t;
};
template <>
struct WordOf<4> {
  using Type = uint32_t;
};
template <>
struct WordOf<8> {
  using Type = uint64_t;
};

/// Writes integers at [k / step][column][k % step], a column's `step` ones as one word.
template <size_t panel, typename Integer, size_t step>
void PackGroup(const PackingJob& job, size_t first, size_t count, size_t column, const float* scales, void* to,
               float* sums) {
  using Word = typename WordOf<sizeof(Integer) * step>::Type;
  static_assert(std::endian::native == std::endian::little);
  constexpr uint32_t kMask = (1U << (8 * sizeof(Integer))) - 1;
  std::array<PanelRow<panel>, step> rows{};
  PanelRow<panel> inverse{};
  for (size_t i = 0; i < panel; ++i) {
    inverse[i] = scales[i] > 0 ? 1.0F / scales[i] : 0.0F;
  }
  PanelRow<panel> total{};
  std::array<Word, panel> words{};
  auto* at = static_cast<char*>(to);
  for (size_t k = 0; k < count; k += step, at += sizeof words) {
    words.fill(0);
    for (size_t part = 0; part < step; ++part) {
      ReadRow(job, first + k + part, column, panel, rows[part].data());
      for (size_t i = 0; i < panel; ++i) {
        const float shifted = rows[part][i] * inverse[i] + kRounding;
        total[i] += shifted - kRounding;
        // The lowest bits of such a number are the integer's.
        const Word integer = static_cast<Word>(std::bit_cast<uint32_t>(shifted) & kMask);
        words[i] |= static_cast<Word>(integer << (8 * sizeof(Integer) * part));
      }
    }
    std::memcpy(at, words.data(), sizeof words);
  }
  if (sums != nullptr) {
    for (size_t i = 0; i < panel; ++i) {
      sums[i] = total[i] * scales[i];
    }
  }
}

template <size_t panel>
bool PackIntegers(const PackingJob& job, Format format, size_t first, const PackedSize& size, size_t column, char* to,
                  float* scale) {
  const size_t of_group = IsBytes(format) ? 2 * panel : panel;
  for (size_t done = 0; done < size.depth; done += size.group, scale += of_group) {
    PanelRow<panel> greatest{};
    PanelRow<panel> total{};
    if (!Measure<panel>(job, first + done, size.group, column, greatest, total)) {
      return false;
    }
    ScalesOfGroup<panel>(format, greatest, total, scale);
    char* at = to + done * panel * WeightBytesOf(format);
    switch (format) {
      case Format::kInt16:
        PackGroup<panel, int16_t, 2>(job, first + done, size.group, column, scale, at, nullptr);
        break;
      case Format::kInt8Wide:
        PackGroup<panel, int8_t, 2>(job, first + done, size.group, column, scale, at, nullptr);
        break;
      case Format::kInt8Matrix:
        PackGroup<panel, int8_t, 8>(job, first + done, size.group, column, scale, at, scale + panel);
        break;
      default:
        PackGroup<panel, int8_t, 4>(job, first + done, size.group, column, scale, at, scale + panel);
        break;
    }
  }
  return true;
}

/// Rows of `count` values, one value of each in turn; true if one of them is not finite.
template <size_t count, size_t rows>
bool Interleave(const std::array<const uint16_t*, rows>& from, uint16_t* to) {
  constexpr uint16_t kExponent = 0x7f80;
  uint16_t infinite = 0;
  for (size_t i = 0; i < count; ++i) {
    for (size_t row = 0; row < rows; ++row) {
      const uint16_t value = from[row][i];
      infinite |= static_cast<uint16_t>((value & kExponent) == kExponent);
      to[rows * i + row] = value;
    }
  }
  return infinite != 0;
}

/// What PackFloats does, for weights that are bf16 before and after: they only change places, which takes a quarter of
/// the time of the way through floats.
template <size_t panel, size_t step>
bool MoveBfloat16(const PackingJob& job, size_t first, size_t depth, size_t column, uint16_t* to) {
  const auto* from = static_cast<const uint16_t*>(job.source.values) + first * job.outputs + column;
  bool infinite = false;
  for (size_t k = 0; k < depth; k += step, from += step * job.outputs, to += step * panel) {
    std::array<const uint16_t*, step> rows{};
    for (size_t part = 0; part < step; ++part) {
      AskFor(job, first + k + part + kRowsAhead, column);
      rows[part] = from + part * job.outputs;
    }
    infinite |= Interleave<panel>(rows, to);
  }
  return !infinite;
}

/// The same for kBfloat16Wide: column i beside column i + lanes, so that one load gives two vectors, by a shift and by
/// a mask.
template <size_t panel>
bool MoveWideBfloat16(const PackingJob& job, size_t first, size_t depth, size_t column, uint16_t* to) {
  const auto* from = static_cast<const uint16_t*>(job.source.values) + first * job.outputs + column;
  bool infinite = false;
  for (size_t k = 0; k < depth; ++k, from += job.outputs, to += panel) {
    AskFor(job, first + k + kRowsAhead, column);
    infinite |= Interleave<panel / 2>(std::array<const uint16_t*, 2>{from, from + panel / 2}, to);
  }
  return !infinite;
}

template <size_t panel>
bool PackFloats(const PackingJob& job, Format format, size_t first, size_t depth, size_t column, void* to) {
  auto* narrow = static_cast<uint16_t*>(to);
  const size_t step = format == Format::kBfloat16Matrix ? 4 : 2;
  if (job.source.bfloat16 && job.input_factors == nullptr && format != Format::kFloat32) {
    return format == Format::kBfloat16Wide ? MoveWideBfloat16<panel>(job, first, depth, column, narrow)
           : step == 4                     ? MoveBfloat16<panel, 4>(job, first, depth, column, narrow)
                                           : MoveBfloat16<panel, 2>(job, first, depth, column, narrow);
  }
  PanelRow<panel> row{};
  PanelRow<panel> poison{};
  constexpr size_t kHalf = panel / 2;
  for (size_t k = 0; k < depth; ++k) {
    AskFor(job, first + k + kRowsAhead, column);
    ReadRow(job, first + k, column, panel, row.data());
    for (size_t i = 0; i < panel; ++i) {
      poison[i] += row[i] * 0.0F;
    }
    if (format == Format::kFloat32) {
      std::memcpy(static_cast<float*>(to) + k * panel, row.data(), panel * sizeof(float));
    } else if (format == Format::kBfloat16Wide) {
      uint16_t* at = narrow + k * panel;
      for (size_t i = 0; i < kHalf; ++i) {
        at[2 * i] = Narrowed(row[i]);
        at[2 * i + 1] = Narrowed(row[i + kHalf]);
      }
    } else {
      uint16_t* at = narrow + (k / step) * step * panel + k % step;
      for (size_t i = 0; i < panel; ++i) {
        at[step * i] = Narrowed(row[i]);
      }
    }
  }
  return AreZero<panel>(poison);
}

template <size_t panel>
bool PackPanelOf(const PackingJob& job, Format format, size_t number, char* panels, float* scales) {
  const PackedSize size = SizeOf(job, format, panel);
  const size_t slice = number / job.panel_columns.size();
  const size_t column = job.panel_columns[number % job.panel_columns.size()];
  const size_t first = slice * size.depth;
  char* to = panels + number * size.depth * panel * WeightBytesOf(format);
  if (!IsInteger(format)) {
    return PackFloats<panel>(job, format, first, size.depth, column, to);
  }
  const size_t of_group = IsBytes(format) ? 2 * panel : panel;
  return PackIntegers<panel>(job, format, first, size, column, to,
                             scales + number * (size.depth / size.group) * of_group);
}

}  // namespace

bool IsInteger(Format format) { return format == Format::kInt16 || format == Format::kInt8Wide || IsBytes(format); }

void ShareRange(const StoredMatrix& weight, size_t inputs, size_t outputs, const float* greatest, float* factors) {
  // A few texts do not show all that an input can reach: none counts as smaller than this part of the mean.
  constexpr float kLeastPart = 0.25F;
  constexpr size_t kAtOnce = 16;  // for compilers to make vectors of
  double total = 0;
  for (size_t k = 0; k < inputs; ++k) {
    total += static_cast<double>(greatest[k]);
  }
  const float least = kLeastPart * static_cast<float>(total / static_cast<double>(inputs));
  const PackingJob job{weight, inputs, outputs, 1, {}};
  std::vector<float> row(outputs);
  for (size_t k = 0; k < inputs; ++k) {
    ReadRow(job, k, 0, outputs, row.data());
    std::array<float, kAtOnce> greatest_of{};
    for (size_t i = 0; i + kAtOnce <= outputs; i += kAtOnce) {
      for (size_t lane = 0; lane < kAtOnce; ++lane) {
        const float size = std::fabs(row[i + lane]);
        greatest_of[lane] = greatest_of[lane] < size ? size : greatest_of[lane];
      }
    }
    float widest = *std::max_element(greatest_of.begin(), greatest_of.end());
    for (size_t i = outputs / kAtOnce * kAtOnce; i < outputs; ++i) {
      widest = std::max(widest, std::fabs(row[i]));
    }
    const float factor = std::sqrt(widest / std::max(greatest[k], least));
    factors[k] = std::isfinite(factor) && factor > 1e-3F && factor < 1e3F ? factor : 1.0F;
  }
}

PackedSize SizeOf(const PackingJob& job, Format format, size_t panel) {
  const size_t depth = job.slices == 0 ? 0 : job.inputs / job.slices;
  if ((panel != 8 && panel != 16 && panel != 32) || depth == 0 || depth * job.slices != job.inputs || depth % 32 != 0 ||
      depth > 1024 || job.panel_columns.size() * panel != job.outputs) {
    throw std::invalid_argument("a weight of [" + std::to_string(job.inputs) + ", " + std::to_string(job.outputs) +
                                "] cannot be cut into panels of " + std::to_string(panel) + " columns");
  }
  const size_t group = GroupOf(format, depth);
  const size_t groups = IsInteger(format) ? job.inputs / group : 0;
  const size_t of_group = IsBytes(format) ? 2 : 1;
  return {depth, group, job.inputs * job.outputs * WeightBytesOf(format), groups * job.outputs * of_group};
}

bool PackPanel(const PackingJob& job, Format format, size_t panel, size_t number, void* panels, float* scales) {
  switch (panel) {
    case 8:
      return PackPanelOf<8>(job, format, number, static_cast<char*>(panels), scales);
    case 16:
      return PackPanelOf<16>(job, format, number, static_cast<char*>(panels), scales);
    case 32:
      return PackPanelOf<32>(job, format, number, static_cast<char*>(panels), scales);
    default:
      throw std::invalid_argument("there are no panels of " + std::to_string(panel) + " columns");
  }
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
