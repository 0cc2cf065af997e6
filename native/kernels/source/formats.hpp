// The register tile of every number format: up to kTileRows rows of activations times one panel of kPanel columns.
//
// The loops over rows are unrolled by Repeat and each row's accumulators pass through Hold, an empty assembly
// statement. It keeps compilers from moving the loads of all rows to the top of the loop, where there are not enough
// registers for them.
#pragma once

#include "../packed.hpp"
#include "rows.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Columns of a panel: two vectors.
constexpr size_t kPanel = 2 * kLanes;

/// Rows of activations in a format's own numbers.
struct Operand {
  const void* values;
  size_t stride;        ///< in values
  const float* scales;  ///< kInt16, kInt8Wide: one a row; bytes: pairs of scale and zero, one a group
  size_t scale_stride;
  const float* sums = nullptr;  ///< floats: what SumPairs makes of the rows, where products go Strassen's way
};

/// One tile's work. `result` is [rows, kPanel] with a stride of its own.
struct TileWork {
  Operand rows;
  const void* panel;
  const float* scales;
  size_t depth;
  size_t group;
  size_t ahead;  ///< bytes from here to what is prefetched while the panel is read
  size_t other;  ///< OfTwoBlocks: bytes from the panel to the other block
  float* result;
  size_t result_stride;
};

template <int rows>
GABION_INLINE void StoreTile(const TileWork& work, const Floats (&sum)[rows][2]) {
  Repeat<rows>(GABION_EACH {
    constexpr int kRow = decltype(index)::value;
    Store(work.result + kRow * work.result_stride, sum[kRow][0]);
    Store(work.result + kRow * work.result_stride + kLanes, sum[kRow][1]);
  });
}

/// What one step of a float tile multiplies by: a panel's two vectors or, with a sign, these plus or minus those of
/// another block.
template <typename F, int sign>
struct FloatWeights {
  /// What makes them, in pieces of one instruction or two.
  static constexpr int kParts = sign == 0 ? 2 : 6;

  Floats left;
  Floats right;
  Floats other_left;
  Floats other_right;

  /// Parts `from…to` for the step at `w`.
  template <int from, int to>
  GABION_INLINE void Make(const char* w, size_t other) {
    if constexpr (from < to && from < kParts) {
      if constexpr (from == 0) {
        Set(left, F::LoadLeft(w));
      } else if constexpr (from == 1) {
        Set(right, F::LoadRight(w));
      } else if constexpr (from == 2) {
        Set(other_left, F::LoadLeft(w + other));
      } else if constexpr (from == 3) {
        Set(other_right, F::LoadRight(w + other));
      } else if constexpr (from == 4) {
        Set(left, sign > 0 ? Add(left, other_left) : Subtract(left, other_left));
      } else {
        Set(right, sign > 0 ? Add(right, other_right) : Subtract(right, other_right));
      }
      Make<from + 1, to>(w, other);
    }
  }

 private:
  static GABION_INLINE void Set(Floats& part, Floats value) {
    part = value;
    if constexpr (kAddsBetween || sign != 0) {
      Hold(part);
    }
  }
};

/// A tile of floats, with FloatWeights<F, sign>. Where there are registers enough, a step's weights are made one part
/// at a time between the products of the step before: all at once keep multiplications from their ports, which costs
/// sums of bf16 a tenth.
template <typename F, int rows, int sign>
GABION_INLINE void FloatTile(const TileWork& work) {
  using Weights = FloatWeights<F, sign>;
  constexpr int kParts = Weights::kParts;
  constexpr bool kBetween = kAddsBetween && (sign != 0 || F::kWeightBytes == 2);
  constexpr int kStep = kPanel * F::kWeightBytes;
  Floats sum[rows][2];
  Repeat<rows>(GABION_EACH { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = Splat(0); });
  const auto* x = static_cast<const float*>(work.rows.values);
  const auto* w = static_cast<const char*>(work.panel);
  const size_t stride = work.rows.stride;
  const size_t ahead = work.ahead;
  const size_t other = work.other;
  Weights next;
  if constexpr (kBetween) {
    next.template Make<0, kParts>(w, other);
  }
  for (size_t left = work.depth; left > 0; --left, ++x) {
    if constexpr (!kBetween) {
      next.template Make<0, kParts>(w, other);
    }
    const Floats w0 = next.left;
    const Floats w1 = next.right;
    Prefetch<kStep, false>(w + ahead);
    w += kBetween && left == 1 ? 0 : kStep;  // nothing is read behind the end
    Repeat<rows>(GABION_EACH {
      constexpr int kRow = decltype(index)::value;
      const Floats a = Splat(x[kRow * stride]);
      sum[kRow][0] = MultiplyAdd(a, w0, sum[kRow][0]);
      sum[kRow][1] = MultiplyAdd(a, w1, sum[kRow][1]);
      Hold(sum[kRow][0], sum[kRow][1]);
      if constexpr (kBetween) {
        next.template Make<kRow, kRow + 1 == rows ? kParts : kRow + 1>(w, other);
      }
    });
  }
  StoreTile<rows>(work, sum);
}

struct Float32 {
  using Activation = float;
  static constexpr int kRows = kTileRows;
  static constexpr size_t kWeightBytes = 4;

  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    FloatTile<Float32, rows, 0>(work);
  }

  /// The vectors of one step.
  static GABION_INLINE Floats LoadLeft(const char* from) { return Load(reinterpret_cast<const float*>(from)); }
  static GABION_INLINE Floats LoadRight(const char* from) {
    return Load(reinterpret_cast<const float*>(from) + kLanes);
  }
};

struct Bfloat16Wide {
  using Activation = float;
  static constexpr int kRows = kTileRows;
  static constexpr size_t kWeightBytes = 2;

  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    FloatTile<Bfloat16Wide, rows, 0>(work);
  }

  static GABION_INLINE Floats LoadLeft(const char* from) { return LowBfloat16(LoadInts(from)); }
  static GABION_INLINE Floats LoadRight(const char* from) { return HighBfloat16(LoadInts(from)); }
};

struct Bfloat16Dot {
  using Activation = uint16_t;
  static constexpr int kRows = kTileRows;
  static constexpr size_t kWeightBytes = 2;

  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    Floats sum[rows][2];
    Repeat<rows>(GABION_EACH { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = Splat(0); });
    const auto* x = static_cast<const uint16_t*>(work.rows.values);
    const auto* w = static_cast<const uint16_t*>(work.panel);
    const size_t stride = work.rows.stride;
    const size_t ahead = work.ahead;
    for (size_t left = work.depth / 2; left > 0; --left, x += 2, w += 2 * kPanel) {
      const Ints w0 = LoadInts(w);
      const Ints w1 = LoadInts(w + kPanel);
      Prefetch<2 * kPanel * sizeof(uint16_t), false>(reinterpret_cast<const char*>(w) + ahead);
      Repeat<rows>(GABION_EACH {
        constexpr int kRow = decltype(index)::value;
        const Ints a = SplatWord(x + kRow * stride);
        sum[kRow][0] = DotBfloat16(sum[kRow][0], a, w0);
        sum[kRow][1] = DotBfloat16(sum[kRow][1], a, w1);
        Hold(sum[kRow][0], sum[kRow][1]);
      });
    }
    StoreTile<rows>(work, sum);
  }

  static GABION_INLINE void Narrow(const float* row, const float* /*factors*/, size_t n, size_t /*group*/, uint16_t* to,
                                   float* /*scales*/) {
    for (size_t i = 0; i < n; i += kLanes) {
      StoreBfloat16(to + i, Load(row + i));
    }
  }
};

/// Adds a group's integer sums to the result: (column scale · row scale) · sum. `first` starts the result instead.
template <int rows>
GABION_INLINE void AddGroup(const TileWork& work, const Ints (&sum)[rows][2], const float* scales, bool first) {
  const Floats s0 = Load(scales);
  const Floats s1 = Load(scales + kLanes);
  Repeat<rows>(GABION_EACH {
    constexpr int kRow = decltype(index)::value;
    float* to = work.result + kRow * work.result_stride;
    const Floats row_scale = Splat(work.rows.scales[kRow * work.rows.scale_stride]);
    const Floats before0 = first ? Splat(0) : Load(to);
    const Floats before1 = first ? Splat(0) : Load(to + kLanes);
    Store(to, MultiplyAdd(ToFloats(sum[kRow][0]), Multiply(s0, row_scale), before0));
    Store(to + kLanes, MultiplyAdd(ToFloats(sum[kRow][1]), Multiply(s1, row_scale), before1));
  });
}

/// 16-bit activations on weights of 16 bits, or of 8 bits that are widened as they are loaded.
template <typename Weight, int limit>
struct Integer16 {
  using Activation = int16_t;
  static constexpr int kRows = kTileRows;
  static constexpr size_t kWeightBytes = sizeof(Weight);

  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    const auto* x = static_cast<const int16_t*>(work.rows.values);
    const auto* w = static_cast<const Weight*>(work.panel);
    const float* scales = work.scales;
    const size_t stride = work.rows.stride;
    const size_t ahead = work.ahead;
    for (size_t done = 0; done < work.depth; done += work.group, scales += kPanel) {
      Ints sum[rows][2];
      Repeat<rows>(GABION_EACH { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = NoInts(); });
      for (size_t left = work.group / 2; left > 0; --left, x += 2, w += 2 * kPanel) {
        const Ints w0 = LoadWeights(w);
        const Ints w1 = LoadWeights(w + kPanel);
        Prefetch<2 * kPanel * sizeof(Weight), sizeof(Weight) == 1>(reinterpret_cast<const char*>(w) + ahead);
        Repeat<rows>(GABION_EACH {
          constexpr int kRow = decltype(index)::value;
          const Ints a = SplatWord(x + kRow * stride);
          sum[kRow][0] = DotInt16(sum[kRow][0], a, w0);
          sum[kRow][1] = DotInt16(sum[kRow][1], a, w1);
          Hold(sum[kRow][0], sum[kRow][1]);
        });
      }
      AddGroup<rows>(work, sum, scales, done == 0);
    }
  }

  static GABION_INLINE void Narrow(const float* row, const float* factors, size_t n, size_t /*group*/, int16_t* to,
                                   float* scales) {
    *scales = RowToInt16(row, factors, n, limit, to);
  }

 private:
  static GABION_INLINE Ints LoadWeights(const int16_t* from) { return LoadInts(from); }
  static GABION_INLINE Ints LoadWeights(const int8_t* from) { return LoadBytesWide(from); }
};
using Int16 = Integer16<int16_t, kInt16Limit>;
using Int8Wide = Integer16<int8_t, kInt8WideLimit>;

/// Column scale · sum - zero · scaled sum of the column's weights.
GABION_INLINE Floats WithoutZero(Ints sum, Floats zero, const float* scales) {
  return MultiplySubtractFrom(zero, Load(scales + kPanel), Multiply(ToFloats(sum), Load(scales)));
}

struct Int8Dot {
  using Activation = uint8_t;
  static constexpr size_t kWeightBytes = 1;
#if defined(__AVX512F__)
  /// Half the rows of other formats: then integer sums and float sums are all registers.
  static constexpr int kRows = kTileRows / 2;
  static constexpr bool kSumsInRegisters = true;
#else
  static constexpr int kRows = kTileRows;
  static constexpr bool kSumsInRegisters = false;
#endif

  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    const auto* x = static_cast<const uint8_t*>(work.rows.values);
    const auto* w = static_cast<const int8_t*>(work.panel);
    const float* scales = work.scales;
    const float* row_scales = work.rows.scales;
    const size_t stride = work.rows.stride;
    const size_t ahead = work.ahead;
    Floats total[rows][2];
    Repeat<rows>(GABION_EACH { total[decltype(index)::value][0] = total[decltype(index)::value][1] = Splat(0); });
    for (size_t done = 0; done < work.depth; done += work.group, scales += 2 * kPanel, row_scales += 2) {
      Ints sum[rows][2];
      Repeat<rows>(GABION_EACH { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = NoInts(); });
      for (size_t left = work.group / 4; left > 0; --left, x += 4, w += 4 * kPanel) {
        const Ints w0 = LoadByteWeights(w);
        const Ints w1 = LoadByteWeights(w + 2 * kPanel);
        Prefetch<4 * kPanel, false>(reinterpret_cast<const char*>(w) + ahead);
        Repeat<rows>(GABION_EACH {
          constexpr int kRow = decltype(index)::value;
          const Ints a = SplatBytes(x + kRow * stride);
          sum[kRow][0] = DotBytes(sum[kRow][0], a, w0);
          sum[kRow][1] = DotBytes(sum[kRow][1], a, w1);
          Hold(sum[kRow][0], sum[kRow][1]);
        });
      }
      const bool first = done == 0;
      Repeat<rows>(GABION_EACH {
        constexpr int kRow = decltype(index)::value;
        const float* of_row = row_scales + kRow * work.rows.scale_stride;
        const Floats scale = Splat(of_row[0]);
        const Floats zero = Splat(of_row[1]);
        Repeat<2>([&](auto half) __attribute__((always_inline)) {
          constexpr int kHalf = decltype(half)::value;
          const Floats value = WithoutZero(sum[kRow][kHalf], zero, scales + kHalf * kLanes);
          if constexpr (kSumsInRegisters) {
            total[kRow][kHalf] = MultiplyAdd(scale, value, total[kRow][kHalf]);
          } else {
            float* to = work.result + kRow * work.result_stride + kHalf * kLanes;
            Store(to, MultiplyAdd(scale, value, first ? Splat(0) : Load(to)));
          }
        });
      });
    }
    if constexpr (kSumsInRegisters) {
      StoreTile<rows>(work, total);
    }
  }

  static GABION_INLINE void Narrow(const float* row, const float* factors, size_t n, size_t group, uint8_t* to,
                                   float* scales) {
    Floats poison = Splat(0);
    float* first = scales;
    for (size_t at = 0; at < n; at += group, scales += 2) {
      GroupToUint8(row + at, factors == nullptr ? nullptr : factors + at, group, to + at, scales, scales + 1, poison);
    }
    *first += SumOf(poison);  // NaN if a value is not finite, else 0
  }
};

using TileFunction = void (*)(const TileWork&);

/// The tiles of a format by their number of rows; the first entry is for one row.
template <typename F, int... row>
struct TileTable {
  static constexpr TileFunction kOf[] = {&F::template Tile<row>...};
};
template <typename F, int rows, int... before>
struct TilesUpTo : TilesUpTo<F, rows - 1, rows, before...> {};
template <typename F, int... all>
struct TilesUpTo<F, 0, all...> : TileTable<F, all...> {};
template <typename F>
using Tiles = TilesUpTo<F, F::kRows>;

/// Rows of the next tile of `left` rows, of at most `most` each: tiles are of nearly equal height, and of even height
/// as far as can be, which suits processors with two units that multiply and add.
GABION_INLINE size_t HeightOfTile(size_t left, size_t most) {
  const size_t tiles = (left + most - 1) / most;
  return tiles == 1 ? left : (left + tiles - 1) / tiles / 2 * 2;
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
