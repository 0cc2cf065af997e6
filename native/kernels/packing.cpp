#include "packing.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

namespace gabion::kernels {
namespace {

constexpr size_t kMaxKBlock = 512;
// Groups whose scale is below this quantize to zeros: the inverse scale would not be finite.
constexpr double kMinScale = 1e-35;
constexpr double kMaxSum = 2147483647.0;
// 1.5 · 2^23. Adding and subtracting it rounds a number of fewer than 22 bits to an integer exactly as std::nearbyint
// does, in a form that every compiler vectorizes.
constexpr float kRounding = 12582912.0F;
constexpr size_t kPrefetchDistance = 16;  // rows

/// Whether weights and activations are both 8 bits wide.
bool HasUint8Activations(Format format) { return format == Format::kInt8Dot || format == Format::kInt8Matrix; }

size_t BytesPerWeight(Format format) {
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

// Values of K per scale. 192 keeps the bundled model's int8 vectors as close as 128 does (worst cosine of 2,000 texts:
// .99874 and .99876); with 384 the worst is .9978, below the required .998. Each group costs a tile about fifty
// instructions. Other widths use the largest of these that divides them.
size_t GroupSize(Format format, size_t kc) {
  if (format != Format::kInt8Wide && !HasUint8Activations(format)) {
    return kc;
  }
  for (const size_t group : {size_t{192}, size_t{128}, size_t{96}, size_t{64}}) {
    if (kc % group == 0) {
      return group;
    }
  }
  return 32;
}

float FromBfloat16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16U;
  float value = 0;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

uint16_t ToBfloat16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

/// `count` values of one source row, as floats.
inline void ReadRow(const PackingTask& task, size_t row, size_t column, size_t count, float* to) {
  const size_t at = row * task.n + column;
  if (!task.source.bfloat16) {
    std::memcpy(to, static_cast<const float*>(task.source.values) + at, count * sizeof(float));
  } else {
    const auto* from = static_cast<const uint16_t*>(task.source.values) + at;
    for (size_t i = 0; i < count; ++i) {
      to[i] = FromBfloat16(from[i]);
    }
  }
  if (task.smooth_scales != nullptr) {
    const float inverse = 1.0F / task.smooth_scales[row];
    for (size_t i = 0; i < count; ++i) {
      to[i] *= inverse;
    }
  }
}

/// Prefetches the part of a row that is read soon: rows are too far apart for the hardware prefetcher, and memory
/// latency would be half of the packing time. The address may be beyond the end.
inline void PrefetchRow(const PackingTask& task, size_t row, size_t column) {
  const size_t bytes = (row * task.n + column) * (task.source.bfloat16 ? sizeof(uint16_t) : sizeof(float));
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(task.source.values) + bytes));
}

// The functions below are compiled per panel width, so that compilers vectorize the loops over columns.
template <size_t nr>
using PanelRow = std::array<float, nr>;

template <size_t nr>
bool AreZero(const PanelRow<nr>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return value == 0; });
}

/// Scales per column: quantized weight = weight / scale, such that it fits its type and no dot product can overflow.
template <size_t nr>
void ComputeGroupScales(Format format, const PanelRow<nr>& absmax, const PanelRow<nr>& total, float* scales) {
  for (size_t column = 0; column < nr; ++column) {
    double scale = static_cast<double>(absmax[column]) / (format == Format::kInt16 ? 32767 : 127);
    if (format == Format::kInt16) {
      // Rounding adds at most 1/2 to each of 1024 weights.
      scale = std::max(scale, static_cast<double>(total[column]) / (kMaxSum / kInt16Limit - 512));
    }
    scales[column] = scale < kMinScale ? 0 : static_cast<float>(scale);
  }
}

/// Computes absmax and the sum of magnitudes per column over rows `first…first + count`; false if a weight is not
/// finite. nan_mask accumulates 0 · weight, which is 0 for finite weights and NaN otherwise.
template <size_t nr>
bool MeasureGroup(const PackingTask& task, size_t first, size_t count, size_t column, PanelRow<nr>& absmax,
                  PanelRow<nr>& total) {
  PanelRow<nr> row{};
  PanelRow<nr> nan_mask{};
  for (size_t k = 0; k < count; ++k) {
    PrefetchRow(task, first + k + kPrefetchDistance, column);
    ReadRow(task, first + k, column, nr, row.data());
    for (size_t i = 0; i < nr; ++i) {
      const float size = std::fabs(row[i]);
      absmax[i] = absmax[i] < size ? size : absmax[i];
      total[i] += size;
      nan_mask[i] += row[i] * 0.0F;
    }
  }
  return AreZero<nr>(nan_mask);
}

template <size_t bytes>
struct WordOfBytes;
template <>
struct WordOfBytes<2> {
  using Type = uint16_t;
};
template <>
struct WordOfBytes<4> {
  using Type = uint32_t;
};
template <>
struct WordOfBytes<8> {
  using Type = uint64_t;
};

/// Quantizes a group and writes it at [k / step][column][k % step], the `step` values of a column as one word. `sums`,
/// which may be null, receives scale · sum of the quantized weights per column, the zero-point compensation.
template <size_t nr, typename Integer, size_t step>
void PackGroup(const PackingTask& task, size_t first, size_t count, size_t column, const float* scales, void* to,
               float* sums) {
  using Word = typename WordOfBytes<sizeof(Integer) * step>::Type;
  static_assert(std::endian::native == std::endian::little);
  constexpr uint32_t kMask = (1U << (8 * sizeof(Integer))) - 1;
  std::array<PanelRow<nr>, step> rows{};
  PanelRow<nr> inverse{};
  for (size_t i = 0; i < nr; ++i) {
    inverse[i] = scales[i] > 0 ? 1.0F / scales[i] : 0.0F;
  }
  PanelRow<nr> total{};
  std::array<Word, nr> words{};
  auto* at = static_cast<char*>(to);
  for (size_t k = 0; k < count; k += step, at += sizeof words) {
    words.fill(0);
    for (size_t part = 0; part < step; ++part) {
      ReadRow(task, first + k + part, column, nr, rows[part].data());
      for (size_t i = 0; i < nr; ++i) {
        const float shifted = rows[part][i] * inverse[i] + kRounding;
        total[i] += shifted - kRounding;
        // The low mantissa bits of the shifted number are the integer.
        const Word integer = static_cast<Word>(std::bit_cast<uint32_t>(shifted) & kMask);
        words[i] |= static_cast<Word>(integer << (8 * sizeof(Integer) * part));
      }
    }
    std::memcpy(at, words.data(), sizeof words);
  }
  if (sums != nullptr) {
    for (size_t i = 0; i < nr; ++i) {
      sums[i] = total[i] * scales[i];
    }
  }
}

template <size_t nr>
bool PackIntegers(const PackingTask& task, Format format, size_t first, const PackedSize& size, size_t column, char* to,
                  float* scale) {
  const size_t per_group = HasUint8Activations(format) ? 2 * nr : nr;
  for (size_t done = 0; done < size.kc; done += size.group, scale += per_group) {
    PanelRow<nr> absmax{};
    PanelRow<nr> total{};
    if (!MeasureGroup<nr>(task, first + done, size.group, column, absmax, total)) {
      return false;
    }
    ComputeGroupScales<nr>(format, absmax, total, scale);
    char* at = to + done * nr * BytesPerWeight(format);
    switch (format) {
      case Format::kInt16:
        PackGroup<nr, int16_t, 2>(task, first + done, size.group, column, scale, at, nullptr);
        break;
      case Format::kInt8Wide:
        PackGroup<nr, int8_t, 2>(task, first + done, size.group, column, scale, at, nullptr);
        break;
      case Format::kInt8Matrix:
        PackGroup<nr, int8_t, 8>(task, first + done, size.group, column, scale, at, scale + nr);
        break;
      default:
        PackGroup<nr, int8_t, 4>(task, first + done, size.group, column, scale, at, scale + nr);
        break;
    }
  }
  return true;
}

/// Interleaves rows of `count` values; true if one of them is not finite.
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

/// PackFloats for weights that are bf16 on both sides: a pure permutation, in a quarter of the time that a detour
/// through floats takes.
template <size_t nr, size_t step>
bool InterleaveBfloat16(const PackingTask& task, size_t first, size_t kc, size_t column, uint16_t* to) {
  const auto* from = static_cast<const uint16_t*>(task.source.values) + first * task.n + column;
  bool infinite = false;
  for (size_t k = 0; k < kc; k += step, from += step * task.n, to += step * nr) {
    std::array<const uint16_t*, step> rows{};
    for (size_t part = 0; part < step; ++part) {
      PrefetchRow(task, first + k + part + kPrefetchDistance, column);
      rows[part] = from + part * task.n;
    }
    infinite |= Interleave<nr>(rows, to);
  }
  return !infinite;
}

/// The same for kBfloat16Wide: column i next to column i + NR/2, so that one load yields both vectors of a panel row,
/// one by a shift and one by a mask.
template <size_t nr>
bool InterleaveWideBfloat16(const PackingTask& task, size_t first, size_t kc, size_t column, uint16_t* to) {
  const auto* from = static_cast<const uint16_t*>(task.source.values) + first * task.n + column;
  bool infinite = false;
  for (size_t k = 0; k < kc; ++k, from += task.n, to += nr) {
    PrefetchRow(task, first + k + kPrefetchDistance, column);
    infinite |= Interleave<nr / 2>(std::array<const uint16_t*, 2>{from, from + nr / 2}, to);
  }
  return !infinite;
}

template <size_t nr>
bool PackFloats(const PackingTask& task, Format format, size_t first, size_t kc, size_t column, void* to) {
  auto* bits = static_cast<uint16_t*>(to);
  const size_t step = format == Format::kBfloat16Matrix ? 4 : 2;
  if (task.source.bfloat16 && task.smooth_scales == nullptr && format != Format::kFloat32) {
    return format == Format::kBfloat16Wide ? InterleaveWideBfloat16<nr>(task, first, kc, column, bits)
           : step == 4                     ? InterleaveBfloat16<nr, 4>(task, first, kc, column, bits)
                                           : InterleaveBfloat16<nr, 2>(task, first, kc, column, bits);
  }
  PanelRow<nr> row{};
  PanelRow<nr> nan_mask{};
  constexpr size_t kHalf = nr / 2;
  for (size_t k = 0; k < kc; ++k) {
    PrefetchRow(task, first + k + kPrefetchDistance, column);
    ReadRow(task, first + k, column, nr, row.data());
    for (size_t i = 0; i < nr; ++i) {
      nan_mask[i] += row[i] * 0.0F;
    }
    if (format == Format::kFloat32) {
      std::memcpy(static_cast<float*>(to) + k * nr, row.data(), nr * sizeof(float));
    } else if (format == Format::kBfloat16Wide) {
      uint16_t* at = bits + k * nr;
      for (size_t i = 0; i < kHalf; ++i) {
        at[2 * i] = ToBfloat16(row[i]);
        at[2 * i + 1] = ToBfloat16(row[i + kHalf]);
      }
    } else {
      uint16_t* at = bits + (k / step) * step * nr + k % step;
      for (size_t i = 0; i < nr; ++i) {
        at[step * i] = ToBfloat16(row[i]);
      }
    }
  }
  return AreZero<nr>(nan_mask);
}

/// The matrix that has an output of a weight that is stored with the outputs first, from that output's row on.
const char* RowOfOutput(const PackingTask& task, size_t output) {
  const auto further = std::count_if(task.further.begin(), task.further.end(), [](const void* one) { return one; });
  const size_t outputs = task.n / (1 + static_cast<size_t>(further));
  const void* matrix = output < outputs ? task.source.values : task.further.at(output / outputs - 1);
  const size_t width = task.source.bfloat16 ? sizeof(uint16_t) : sizeof(float);
  return static_cast<const char*>(matrix) + output % outputs * task.k * width;
}

/// Transposes `count` inputs from `first` on of the nr outputs from `column` on, the second half of them `gap` further,
/// to [count, nr].
template <size_t nr, typename Value>
void TransposeBlock(const PackingTask& task, size_t first, size_t count, size_t column, size_t gap, Value* to) {
  constexpr size_t kTile = 16;  // of inputs: one cache line of each output
  const auto* from = reinterpret_cast<const Value*>(RowOfOutput(task, column)) + first;
  for (size_t tile = 0; tile < count; tile += kTile) {
    for (size_t output = 0; output < nr; ++output) {
      const Value* row = from + (output + (output < nr / 2 ? 0 : gap)) * task.k + tile;
      for (size_t k = 0; k < kTile; ++k) {  // count is a multiple of 32
        to[(tile + k) * nr + output] = row[k];
      }
    }
  }
}

template <size_t nr>
bool PackRows(const PackingTask& task, Format format, size_t first, const PackedSize& size, size_t column, char* to,
              float* scales) {
  return IsInteger(format) ? PackIntegers<nr>(task, format, first, size, column, to, scales)
                           : PackFloats<nr>(task, format, first, size.kc, column, to);
}

/// PackRows of a weight that is stored with the outputs first: through a copy of the panel's block of the weight, as a
/// matrix of nr columns.
template <size_t nr>
bool PackTransposed(const PackingTask& task, Format format, size_t first, const PackedSize& size, size_t column,
                    size_t gap, char* to, float* scales) {
  const auto block = std::make_unique_for_overwrite<float[]>(size.kc * nr);
  if (task.source.bfloat16) {
    TransposeBlock<nr>(task, first, size.kc, column, gap, reinterpret_cast<uint16_t*>(block.get()));
  } else {
    TransposeBlock<nr>(task, first, size.kc, column, gap, block.get());
  }
  const float* smooth_scales = task.smooth_scales == nullptr ? nullptr : task.smooth_scales + first;
  const PackingTask copy{{block.get(), task.source.bfloat16}, size.kc, nr, 1, {}, smooth_scales};
  return PackRows<nr>(copy, format, 0, size, 0, to, scales);
}

template <size_t nr>
bool PackPanelOf(const PackingTask& task, Format format, size_t number, char* panels, float* scales) {
  const PackedSize size = SizeOf(task, format, nr);
  const size_t k_block = number / task.panel_columns.size();
  const size_t panel = number % task.panel_columns.size();
  const size_t column = task.panel_columns[panel];
  const size_t gap = task.panel_gaps.empty() ? 0 : task.panel_gaps[panel];
  const size_t first = k_block * size.kc;
  char* to = panels + number * size.kc * nr * BytesPerWeight(format);
  const size_t per_group = HasUint8Activations(format) ? 2 * nr : nr;
  float* scales_to = IsInteger(format) ? scales + number * (size.kc / size.group) * per_group : nullptr;
  return task.outputs_first ? PackTransposed<nr>(task, format, first, size, column, gap, to, scales_to)
                            : PackRows<nr>(task, format, first, size, column, to, scales_to);
}

float AbsMax(const std::vector<float>& values) {
  constexpr size_t kLanes = 16;  // independent maxima, so that compilers vectorize the loop
  std::array<float, kLanes> lane_absmax{};
  const size_t whole = values.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float size = std::fabs(values[i + lane]);
      lane_absmax[lane] = lane_absmax[lane] < size ? size : lane_absmax[lane];
    }
  }
  float absmax = *std::max_element(lane_absmax.begin(), lane_absmax.end());
  for (size_t i = whole; i < values.size(); ++i) {
    absmax = std::max(absmax, std::fabs(values[i]));
  }
  return absmax;
}

/// The absmax over all outputs of each input's weights.
std::vector<float> AbsMaxByInput(const PackingTask& task) {
  std::vector<float> absmax(task.k);
  const size_t rows = task.outputs_first ? task.n : task.k;
  std::vector<float> row(task.outputs_first ? task.k : task.n);
  for (size_t number = 0; number < rows; ++number) {
    if (!task.outputs_first) {
      ReadRow(task, number, 0, task.n, row.data());
      absmax[number] = AbsMax(row);
      continue;
    }
    const PackingTask one{{RowOfOutput(task, number), task.source.bfloat16}, 1, task.k, 1, {}};
    ReadRow(one, 0, 0, task.k, row.data());
    for (size_t input = 0; input < task.k; ++input) {
      const float size = std::fabs(row[input]);
      absmax[input] = absmax[input] < size ? size : absmax[input];
    }
  }
  return absmax;
}

}  // namespace

bool IsInteger(Format format) {
  return format == Format::kInt16 || format == Format::kInt8Wide || HasUint8Activations(format);
}

void ComputeSmoothScales(const PackingTask& task, const float* absmax, float* smooth_scales) {
  // A few texts do not show the full range of an input channel: none counts as less than this fraction of the mean.
  constexpr float kMinAbsMaxFraction = 0.25F;
  double total = 0;
  for (size_t channel = 0; channel < task.k; ++channel) {
    total += static_cast<double>(absmax[channel]);
  }
  const float min_absmax = kMinAbsMaxFraction * static_cast<float>(total / static_cast<double>(task.k));
  const std::vector<float> weight_absmax = AbsMaxByInput(task);
  for (size_t channel = 0; channel < task.k; ++channel) {
    const float scale = std::sqrt(weight_absmax[channel] / std::max(absmax[channel], min_absmax));
    smooth_scales[channel] = std::isfinite(scale) && scale > 1e-3F && scale < 1e3F ? scale : 1.0F;
  }
}

PackedSize SizeOf(const PackingTask& task, Format format, size_t nr) {
  const size_t kc = task.k_blocks == 0 ? 0 : task.k / task.k_blocks;
  if ((nr != 8 && nr != 16 && nr != 32) || kc == 0 || kc * task.k_blocks != task.k || kc % 32 != 0 || kc > 1024 ||
      task.panel_columns.size() * nr != task.n) {
    throw std::invalid_argument("a weight of [" + std::to_string(task.k) + ", " + std::to_string(task.n) +
                                "] cannot be packed into panels of " + std::to_string(nr) + " columns");
  }
  const size_t group = GroupSize(format, kc);
  const size_t groups = IsInteger(format) ? task.k / group : 0;
  const size_t per_group = HasUint8Activations(format) ? 2 : 1;
  return {kc, group, task.k * task.n * BytesPerWeight(format), groups * task.n * per_group};
}

bool PackPanel(const PackingTask& task, Format format, size_t nr, size_t number, void* panels, float* scales) {
  switch (nr) {
    case 8:
      return PackPanelOf<8>(task, format, number, static_cast<char*>(panels), scales);
    case 16:
      return PackPanelOf<16>(task, format, number, static_cast<char*>(panels), scales);
    case 32:
      return PackPanelOf<32>(task, format, number, static_cast<char*>(panels), scales);
    default:
      throw std::invalid_argument("there are no panels of " + std::to_string(nr) + " columns");
  }
}

size_t KBlocksOf(size_t intermediate, size_t nr) {
  for (const size_t width : {size_t{384}, kMaxKBlock}) {
    if (intermediate % width == 0 && width % nr == 0) {
      return intermediate / width;
    }
  }
  for (size_t width = kMaxKBlock; width >= 32; width -= 32) {
    if (intermediate % width == 0 && width % nr == 0) {
      return intermediate / width;
    }
  }
  return 0;
}

}  // namespace gabion::kernels
