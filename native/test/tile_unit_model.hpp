// AMX's tile instructions in plain C++, with the manual's rounding (Intel 64 and IA-32 Architectures Software
// Developer's Manual, TDPBUSD and TDPBF16PS): for tests of tile kernels on processors without them. Any use that
// would fault on the processor ends the test.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "../kernels/source/unroll.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

struct TileShapes {
  size_t rows[8] = {};
  size_t row_bytes[8] = {};

  void Set(int tile, size_t count, size_t bytes) {
    rows[tile] = count;
    row_bytes[tile] = bytes;
  }
};

class TileUnit {
 public:
  static void Configure(const TileShapes& shapes) {
    State& state = Here();
    state = State{};
    state.shapes = shapes;
    state.on = true;
    for (int tile = 0; tile < 8; ++tile) {
      Demand(shapes.rows[tile] <= 16 && shapes.row_bytes[tile] <= 64);
      Demand((shapes.rows[tile] == 0) == (shapes.row_bytes[tile] == 0));
    }
  }
  static void Release() { Here() = State{}; }

  template <int tile>
  static void Clear() {
    std::memset(Used(tile), 0, sizeof(Tile));
  }
  template <int tile>
  static void Load(const void* from, size_t stride) {
    Tile& to = *Used(tile);
    std::memset(&to, 0, sizeof to);
    for (size_t row = 0; row < Here().shapes.rows[tile]; ++row) {
      std::memcpy(to.bytes[row], static_cast<const char*>(from) + row * stride, Here().shapes.row_bytes[tile]);
    }
  }
  template <int tile>
  static void Store(void* to, size_t stride) {
    const Tile& from = *Used(tile);
    for (size_t row = 0; row < Here().shapes.rows[tile]; ++row) {
      std::memcpy(static_cast<char*>(to) + row * stride, from.bytes[row], Here().shapes.row_bytes[tile]);
    }
  }

  template <int sum, int a, int b>
  static void DotBytes() {
    ForEach(sum, a, b, [](size_t row, size_t column, size_t steps, Tile& to, const Tile& left, const Tile& right) {
      uint32_t total = Word<uint32_t>(to, row, column);
      for (size_t k = 0; k < steps; ++k) {
        for (size_t i = 0; i < 4; ++i) {
          const int product = left.bytes[row][4 * k + i] * static_cast<int8_t>(right.bytes[k][4 * column + i]);
          total += static_cast<uint32_t>(product);  // does not saturate
        }
      }
      SetWord(to, row, column, total);
    });
  }
  /// Even and odd products in separate sums, each rounded once per product; then both, then the tile. Denormals are
  /// flushed to zero before and after every operation.
  template <int sum, int a, int b>
  static void DotBfloat16() {
    ForEach(sum, a, b, [](size_t row, size_t column, size_t steps, Tile& to, const Tile& left, const Tile& right) {
      float even = 0;
      float odd = 0;
      for (size_t k = 0; k < steps; ++k) {
        even = Flushed(std::fma(Promoted(left, row, 2 * k), Promoted(right, k, 2 * column), even));
        odd = Flushed(std::fma(Promoted(left, row, 2 * k + 1), Promoted(right, k, 2 * column + 1), odd));
      }
      const float before = Flushed(Word<float>(to, row, column));
      SetWord(to, row, column, Flushed(before + Flushed(even + odd)));
    });
  }

 private:
  struct Tile {
    uint8_t bytes[16][64];
  };
  struct State {
    bool on = false;
    TileShapes shapes;
    Tile tiles[8] = {};
  };

  static State& Here() {
    static thread_local State state;
    return state;
  }
  static void Demand(bool condition) {
    if (!condition) std::abort();
  }
  static Tile* Used(int tile) {
    Demand(Here().on && Here().shapes.rows[tile] > 0);
    return &Here().tiles[tile];
  }

  template <typename Body>
  static void ForEach(int sum, int a, int b, const Body& body) {
    Tile& to = *Used(sum);
    const Tile& left = *Used(a);
    const Tile& right = *Used(b);
    const TileShapes& shapes = Here().shapes;
    Demand(sum != a && sum != b && a != b);
    Demand(shapes.rows[sum] == shapes.rows[a] && shapes.row_bytes[sum] == shapes.row_bytes[b] &&
           shapes.row_bytes[a] == 4 * shapes.rows[b]);
    for (size_t row = 0; row < shapes.rows[sum]; ++row) {
      for (size_t column = 0; column < shapes.row_bytes[sum] / 4; ++column) {
        body(row, column, shapes.rows[b], to, left, right);
      }
    }
  }

  template <typename T>
  static T Word(const Tile& tile, size_t row, size_t column) {
    T value;
    std::memcpy(&value, &tile.bytes[row][4 * column], sizeof value);
    return value;
  }
  template <typename T>
  static void SetWord(Tile& tile, size_t row, size_t column, T value) {
    std::memcpy(&tile.bytes[row][4 * column], &value, sizeof value);
  }
  static float Promoted(const Tile& tile, size_t row, size_t at) {
    uint16_t bits = 0;
    std::memcpy(&bits, &tile.bytes[row][2 * at], sizeof bits);
    const uint32_t promoted = static_cast<uint32_t>(bits) << 16U;
    float value = 0;
    std::memcpy(&value, &promoted, sizeof value);
    return Flushed(value);
  }
  static float Flushed(float value) {
    return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0F, value) : value;
  }
};

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
