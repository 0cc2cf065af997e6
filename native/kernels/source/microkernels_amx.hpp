// Microkernels in AMX tiles: up to 32 rows by one panel, which is two tiles wide. Panels are those of the dot products:
// their interleaving is the one that the tile instructions take. Needs lanes_avx512.hpp and a TileUnit.
#pragma once

#include "microkernels.hpp"

/// For variant.hpp: these formats replace those of the dot products.
#define GABION_TILES

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr size_t kRowsPerTile = 16;
constexpr size_t kTileRowBytes = 64;
/// Bytes between the rows of a panel as loaded into tiles.
constexpr size_t kPanelRowBytes = 2 * kTileRowBytes;
static_assert(kNR * 4 == kPanelRowBytes);

// Tile registers: accumulators of the upper rows (left, right) and of the lower rows, rows of A, panel of B.
constexpr int kUpperLeft = 0;
constexpr int kUpperRight = 1;
constexpr int kLowerLeft = 2;
constexpr int kLowerRight = 3;
constexpr int kUpper = 4;
constexpr int kLower = 5;
constexpr int kLeft = 6;
constexpr int kRight = 7;

/// The tile registers, configured for `mr` rows and `bytes` of each row per step.
class TileGrid {
 public:
  GABION_INLINE TileGrid(const UkernelArgs& args, size_t mr, size_t bytes)
      : has_lower_(mr > kRowsPerTile), bytes_(bytes), prefetch_offset_(args.prefetch_offset) {
    const size_t upper = Min(mr, kRowsPerTile);
    TileShapes shapes;
    shapes.Set(kUpperLeft, upper, kTileRowBytes);
    shapes.Set(kUpperRight, upper, kTileRowBytes);
    shapes.Set(kUpper, upper, bytes);
    shapes.Set(kLeft, bytes / 4, kTileRowBytes);
    shapes.Set(kRight, bytes / 4, kTileRowBytes);
    if (has_lower_) {
      shapes.Set(kLowerLeft, mr - upper, kTileRowBytes);
      shapes.Set(kLowerRight, mr - upper, kTileRowBytes);
      shapes.Set(kLower, mr - upper, bytes);
    }
    TileUnit::Configure(shapes);
  }
  GABION_INLINE ~TileGrid() { TileUnit::Release(); }
  TileGrid(const TileGrid&) = delete;
  TileGrid& operator=(const TileGrid&) = delete;

  GABION_INLINE void Clear() const {
    TileUnit::Clear<kUpperLeft>();
    TileUnit::Clear<kUpperRight>();
    if (has_lower_) {
      TileUnit::Clear<kLowerLeft>();
      TileUnit::Clear<kLowerRight>();
    }
  }

  /// Accumulates `steps` steps of K. `x` and its stride are in bytes.
  template <bool int8>
  GABION_INLINE void Add(const char* x, size_t stride, const char* w, size_t steps) const {
    for (; steps > 0; --steps, x += bytes_, w += bytes_ / 4 * kPanelRowBytes) {
      for (size_t line = 0; line < bytes_ / 4 * kPanelRowBytes; line += kTileRowBytes) {
        Prefetch<kTileRowBytes, false>(w + prefetch_offset_ + line);
      }
      TileUnit::Load<kLeft>(w, kPanelRowBytes);
      TileUnit::Load<kRight>(w + kTileRowBytes, kPanelRowBytes);
      TileUnit::Load<kUpper>(x, stride);
      Dot<int8, kUpperLeft, kUpper, kLeft>();
      Dot<int8, kUpperRight, kUpper, kRight>();
      if (has_lower_) {
        TileUnit::Load<kLower>(x + kRowsPerTile * stride, stride);
        Dot<int8, kLowerLeft, kLower, kLeft>();
        Dot<int8, kLowerRight, kLower, kRight>();
      }
    }
  }

  /// Writes the accumulators, words of four bytes, [mr, kNR]; `stride` is in bytes.
  GABION_INLINE void Store(void* to, size_t stride) const {
    auto* at = static_cast<char*>(to);
    TileUnit::Store<kUpperLeft>(at, stride);
    TileUnit::Store<kUpperRight>(at + kTileRowBytes, stride);
    if (has_lower_) {
      at += kRowsPerTile * stride;
      TileUnit::Store<kLowerLeft>(at, stride);
      TileUnit::Store<kLowerRight>(at + kTileRowBytes, stride);
    }
  }

 private:
  template <bool int8, int sum, int a, int b>
  static GABION_INLINE void Dot() {
    if constexpr (int8) {
      TileUnit::DotBytes<sum, a, b>();
    } else {
      TileUnit::DotBfloat16<sum, a, b>();
    }
  }

  bool has_lower_;
  size_t bytes_;
  size_t prefetch_offset_;
};

/// As Int8Dot.
struct Int8Tiles : Int8Dot {
  static constexpr int kMR = 2 * static_cast<int>(kRowsPerTile);

  template <int mr>
  static void Ukernel(const UkernelArgs& args) {
    Run(args, mr);
  }

 private:
  static GABION_NOINLINE void Run(const UkernelArgs& args, size_t mr) {
    alignas(64) int32_t sums[kMR * kNR];
    const auto* x = static_cast<const char*>(args.a.values);
    const auto* w = static_cast<const char*>(args.b);
    const float* scales = args.b_scales;
    const float* row_scales = args.a.scales;
    // Groups are multiples of 32.
    const size_t step = args.group % kTileRowBytes == 0 ? kTileRowBytes : kTileRowBytes / 2;
    const TileGrid tiles(args, mr, step);
    for (size_t done = 0; done < args.k; done += args.group, scales += 2 * kNR, row_scales += 2) {
      tiles.Clear();
      tiles.Add<true>(x + done, args.a.stride, w + done * kNR, args.group / step);
      tiles.Store(sums, kPanelRowBytes);
      for (size_t row = 0; row < mr; ++row) {
        const float* quantization = row_scales + row * args.a.scale_stride;
        const Vec scale = Set(quantization[0]);
        const Vec zero_point = Set(quantization[1]);
        for (size_t at = 0; at < kNR; at += kLanes) {
          float* to = args.c + row * args.ldc + at;
          const Vec before = done == 0 ? Set(0) : Load(to);
          const VecI32 sum = LoadI32(sums + row * kNR + at);
          Store(to, MulAdd(scale, SubtractZeroPoint(sum, zero_point, scales + at), before));
        }
      }
    }
  }
};

/// As Bfloat16Dot.
struct Bfloat16Tiles : Bfloat16Dot {
  static constexpr int kMR = 2 * static_cast<int>(kRowsPerTile);

  template <int mr>
  static void Ukernel(const UkernelArgs& args) {
    Run(args, mr);
  }

 private:
  static GABION_NOINLINE void Run(const UkernelArgs& args, size_t mr) {
    const TileGrid tiles(args, mr, kTileRowBytes);
    tiles.Clear();
    // K is a multiple of 32.
    tiles.Add<false>(static_cast<const char*>(args.a.values), 2 * args.a.stride, static_cast<const char*>(args.b),
                     2 * args.k / kTileRowBytes);
    tiles.Store(args.c, args.ldc * sizeof(float));
  }
};

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
