// The linear parts in tiles of AMX: up to 32 rows by one panel, which is two tiles wide. Panels are those of the dot
// products: what stands side by side there is what the tiles take. Needs the vectors of lanes_avx512.hpp and a
// TileUnit.
#pragma once

#include "formats.hpp"

/// For variant.hpp: these formats stand in for those of the dot products.
#define GABION_TILES

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr size_t kRowsOfTile = 16;
constexpr size_t kBytesOfTileRow = 64;
/// Bytes between the rows of a panel as the tiles see it.
constexpr size_t kPanelRow = 2 * kBytesOfTileRow;
static_assert(kPanel * 4 == kPanelRow);

// Numbers of the tiles: sums of the upper rows (left, right), of the lower rows, rows of activations, weights.
constexpr int kUpperLeft = 0;
constexpr int kUpperRight = 1;
constexpr int kLowerLeft = 2;
constexpr int kLowerRight = 3;
constexpr int kUpper = 4;
constexpr int kLower = 5;
constexpr int kLeft = 6;
constexpr int kRight = 7;

/// The tiles for one piece of work: `rows` rows, `bytes` of each in a step.
class Tiled {
 public:
  GABION_INLINE Tiled(const TileWork& work, size_t rows, size_t bytes)
      : both_(rows > kRowsOfTile), bytes_(bytes), ahead_(work.ahead) {
    const size_t upper = Smaller(rows, kRowsOfTile);
    TileShapes shapes;
    shapes.Set(kUpperLeft, upper, kBytesOfTileRow);
    shapes.Set(kUpperRight, upper, kBytesOfTileRow);
    shapes.Set(kUpper, upper, bytes);
    shapes.Set(kLeft, bytes / 4, kBytesOfTileRow);
    shapes.Set(kRight, bytes / 4, kBytesOfTileRow);
    if (both_) {
      shapes.Set(kLowerLeft, rows - upper, kBytesOfTileRow);
      shapes.Set(kLowerRight, rows - upper, kBytesOfTileRow);
      shapes.Set(kLower, rows - upper, bytes);
    }
    TileUnit::Configure(shapes);
  }
  GABION_INLINE ~Tiled() { TileUnit::Release(); }
  Tiled(const Tiled&) = delete;
  Tiled& operator=(const Tiled&) = delete;

  GABION_INLINE void Clear() const {
    TileUnit::Clear<kUpperLeft>();
    TileUnit::Clear<kUpperRight>();
    if (both_) {
      TileUnit::Clear<kLowerLeft>();
      TileUnit::Clear<kLowerRight>();
    }
  }

  /// Adds the products of `steps` steps. `x` and its stride are in bytes.
  template <bool whole_bytes>
  GABION_INLINE void Add(const char* x, size_t stride, const char* w, size_t steps) const {
    for (; steps > 0; --steps, x += bytes_, w += bytes_ / 4 * kPanelRow) {
      for (size_t line = 0; line < bytes_ / 4 * kPanelRow; line += kBytesOfTileRow) {
        Prefetch<kBytesOfTileRow, false>(w + ahead_ + line);
      }
      TileUnit::Load<kLeft>(w, kPanelRow);
      TileUnit::Load<kRight>(w + kBytesOfTileRow, kPanelRow);
      TileUnit::Load<kUpper>(x, stride);
      Dot<whole_bytes, kUpperLeft, kUpper, kLeft>();
      Dot<whole_bytes, kUpperRight, kUpper, kRight>();
      if (both_) {
        TileUnit::Load<kLower>(x + kRowsOfTile * stride, stride);
        Dot<whole_bytes, kLowerLeft, kLower, kLeft>();
        Dot<whole_bytes, kLowerRight, kLower, kRight>();
      }
    }
  }

  /// Writes the sums, words of four bytes, [rows, kPanel]; `stride` is in bytes.
  GABION_INLINE void Store(void* to, size_t stride) const {
    auto* at = static_cast<char*>(to);
    TileUnit::Store<kUpperLeft>(at, stride);
    TileUnit::Store<kUpperRight>(at + kBytesOfTileRow, stride);
    if (both_) {
      at += kRowsOfTile * stride;
      TileUnit::Store<kLowerLeft>(at, stride);
      TileUnit::Store<kLowerRight>(at + kBytesOfTileRow, stride);
    }
  }

 private:
  template <bool whole_bytes, int sum, int a, int b>
  static GABION_INLINE void Dot() {
    if constexpr (whole_bytes) {
      TileUnit::DotBytes<sum, a, b>();
    } else {
      TileUnit::DotBfloat16<sum, a, b>();
    }
  }

  bool both_;
  size_t bytes_;
  size_t ahead_;
};

/// As Int8Dot.
struct Int8Tiles : Int8Dot {
  static constexpr int kRows = 2 * static_cast<int>(kRowsOfTile);

  template <int rows>
  static void Tile(const TileWork& work) {
    Run(work, rows);
  }

 private:
  static GABION_NOINLINE void Run(const TileWork& work, size_t rows) {
    alignas(64) int32_t sums[kRows * kPanel];
    const auto* x = static_cast<const char*>(work.rows.values);
    const auto* w = static_cast<const char*>(work.panel);
    const float* scales = work.scales;
    const float* row_scales = work.rows.scales;
    // Groups are multiples of 32.
    const size_t step = work.group % kBytesOfTileRow == 0 ? kBytesOfTileRow : kBytesOfTileRow / 2;
    const Tiled tiles(work, rows, step);
    for (size_t done = 0; done < work.depth; done += work.group, scales += 2 * kPanel, row_scales += 2) {
      tiles.Clear();
      tiles.Add<true>(x + done, work.rows.stride, w + done * kPanel, work.group / step);
      tiles.Store(sums, kPanelRow);
      for (size_t row = 0; row < rows; ++row) {
        const float* of_row = row_scales + row * work.rows.scale_stride;
        const Floats scale = Splat(of_row[0]);
        const Floats zero = Splat(of_row[1]);
        for (size_t at = 0; at < kPanel; at += kLanes) {
          float* to = work.result + row * work.result_stride + at;
          const Floats before = done == 0 ? Splat(0) : Load(to);
          const Ints sum = LoadInts(sums + row * kPanel + at);
          Store(to, MultiplyAdd(scale, WithoutZero(sum, zero, scales + at), before));
        }
      }
    }
  }
};

/// As Bfloat16Dot.
struct Bfloat16Tiles : Bfloat16Dot {
  static constexpr int kRows = 2 * static_cast<int>(kRowsOfTile);

  template <int rows>
  static void Tile(const TileWork& work) {
    Run(work, rows);
  }

 private:
  static GABION_NOINLINE void Run(const TileWork& work, size_t rows) {
    const Tiled tiles(work, rows, kBytesOfTileRow);
    tiles.Clear();
    // Depths are multiples of 32.
    tiles.Add<false>(static_cast<const char*>(work.rows.values), 2 * work.rows.stride,
                     static_cast<const char*>(work.panel), 2 * work.depth / kBytesOfTileRow);
    tiles.Store(work.result, work.result_stride * sizeof(float));
  }
};

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
