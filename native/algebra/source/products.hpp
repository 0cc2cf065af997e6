// Sums of outer products of shifted rows: a symmetric matrix product in tiles that stay in registers. A block of rows
// is shifted and packed into panels once; each tile accumulates over the block in the input's precision and is then
// added to doubles.
#pragma once

#include "lanes.hpp"
#include "variant.hpp"

namespace gabion::algebra {
namespace {

template <typename Value>
constexpr size_t kTileColumns = kTileVectors * LanesOf<Value>::kCount;

/// Adds a vector of the input's precision to doubles.
[[gnu::always_inline]] inline void AddWidened(double* to, const LanesOf<double>::Type& values) {
  Store(to, Load(to) + values);
}

[[gnu::always_inline]] inline void AddWidened(double* to, const LanesOf<float>::Type& values) {
  using Half __attribute__((vector_size(kBytes / 2))) = float;
  Half halves[2];
  __builtin_memcpy(halves, &values, kBytes);
  for (size_t half = 0; half < 2; ++half) {
    AddWidened(to + half * LanesOf<double>::kCount, __builtin_convertvector(halves[half], LanesOf<double>::Type));
  }
}

/// Adds a tile of kTileRows × `Vectors` vectors: products of the columns at `a` with those at `b`, both in packed
/// panels.
template <typename Value, size_t Vectors>
[[gnu::always_inline]] inline void AddTile(const Value* a, const Value* b, size_t depth, double* products,
                                           size_t width) {
  using Lanes = LanesOf<Value>;
  typename Lanes::Type tile[kTileRows][Vectors];
#pragma GCC unroll 8
  for (size_t i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 8
    for (size_t v = 0; v < Vectors; ++v) {
      tile[i][v] = typename Lanes::Type{};
    }
  }
  for (size_t row = 0; row < depth; ++row) {
    typename Lanes::Type right[Vectors];
#pragma GCC unroll 8
    for (size_t v = 0; v < Vectors; ++v) {
      right[v] = Load(b + v * Lanes::kCount);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < kTileRows; ++i) {
#pragma GCC unroll 8
      for (size_t v = 0; v < Vectors; ++v) {
        tile[i][v] += a[i] * right[v];
      }
    }
    a += kPanel;
    b += kPanel;
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < kTileRows; ++i) {
    double* to = products + i * width;
#pragma GCC unroll 8
    for (size_t v = 0; v < Vectors; ++v) {
      AddWidened(to + v * Lanes::kCount, tile[i][v]);
    }
  }
}

/// Shifts `depth` rows, writes them as panels, and adds them to the sums.
template <typename Value>
[[gnu::always_inline]] inline void Pack(const ProductSum<Value>& sum, size_t first, size_t depth) {
  const size_t panels = (sum.dimensions + kPanel - 1) / kPanel;
  for (size_t panel = 0; panel < panels; ++panel) {
    const size_t from = panel * kPanel;
    const size_t columns = sum.dimensions - from < kPanel ? sum.dimensions - from : kPanel;
    Value totals[kPanel] = {};
    for (size_t row = 0; row < depth; ++row) {
      const Value* values = sum.rows + (first + row) * sum.dimensions + from;
      Value* to = sum.packed + (panel * kDepth + row) * kPanel;
      if (columns == kPanel) {
        for (size_t column = 0; column < kPanel; ++column) {
          const Value value = values[column] - sum.shift[from + column];
          to[column] = value;
          totals[column] += value;
        }
      } else {
        for (size_t column = 0; column < columns; ++column) {
          const Value value = values[column] - sum.shift[from + column];
          to[column] = value;
          totals[column] += value;
        }
        for (size_t column = columns; column < kPanel; ++column) {
          to[column] = 0;
        }
      }
    }
    for (size_t column = 0; column < kPanel; ++column) {
      sum.sums[from + column] += static_cast<double>(totals[column]);
    }
  }
}

template <typename Value>
void AddProducts(const ProductSum<Value>& sum) {
  using Lanes = LanesOf<Value>;
  const size_t panels = (sum.dimensions + kPanel - 1) / kPanel;
  const size_t width = panels * kPanel;
  for (size_t first = 0; first < sum.count; first += kDepth) {
    const size_t depth = sum.count - first < kDepth ? sum.count - first : kDepth;
    Pack(sum, first, depth);
    for (size_t right = 0; right < width; right += kTileColumns<Value>) {
      const Value* b = sum.packed + (right / kPanel) * kDepth * kPanel + right % kPanel;
      // Above the diagonal the whole tile is computed; on it, the vectors left of the diagonal are skipped.
      for (size_t row = 0; row < right + kTileColumns<Value>; row += kTileRows) {
        const Value* a = sum.packed + (row / kPanel) * kDepth * kPanel + row % kPanel;
        const size_t skipped = row <= right ? 0 : (row - right) / Lanes::kCount;
        const size_t at = skipped * Lanes::kCount;
        double* to = sum.products + row * width + right + at;
        switch (kTileVectors - skipped) {
          case 1:
            AddTile<Value, 1>(a, b + at, depth, to, width);
            break;
          case 2:
            AddTile<Value, 2>(a, b + at, depth, to, width);
            break;
          default:
            AddTile<Value, 3>(a, b + at, depth, to, width);
        }
      }
    }
  }
}

}  // namespace
}  // namespace gabion::algebra
