// Dot products of rows with one vector, and the rows' squared lengths in the same pass: each value is read once, and
// the pass is bound by memory. Products and sums are double.
#pragma once

#include "lanes.hpp"
#include "variant.hpp"

namespace gabion::algebra {
namespace {

/// As many values as a vector has doubles.
template <typename Value>
[[gnu::always_inline]] inline Doubles::Type LoadWidened(const Value* from) {
  constexpr size_t kCount = Doubles::kCount;
  using Narrow __attribute__((vector_size(kCount * sizeof(Value)), aligned(alignof(Value)))) = Value;
  return __builtin_convertvector(*reinterpret_cast<const Narrow*>(from), Doubles::Type);
}

template <typename Value>
void CompareRows(const RowComparison<Value>& comparison) {
  // Enough independent sums to hide the latency of an addition.
  constexpr size_t kSums = 4;
  constexpr size_t kStep = kSums * Doubles::kCount;
  const size_t dimensions = comparison.dimensions;
  const double* query = comparison.query;
  for (size_t row = 0; row < comparison.count; ++row) {
    const Value* values = comparison.rows + row * dimensions;
    Doubles::Type dots[kSums] = {};
    Doubles::Type squares[kSums] = {};
    size_t i = 0;
    for (; i + kStep <= dimensions; i += kStep) {
#pragma GCC unroll 4
      for (size_t sum = 0; sum < kSums; ++sum) {
        const Doubles::Type loaded = LoadWidened(values + i + sum * Doubles::kCount);
        dots[sum] += loaded * Load(query + i + sum * Doubles::kCount);
        squares[sum] += loaded * loaded;
      }
    }
    double dot = SumOf((dots[0] + dots[1]) + (dots[2] + dots[3]));
    double square = SumOf((squares[0] + squares[1]) + (squares[2] + squares[3]));
    for (; i < dimensions; ++i) {
      const auto value = static_cast<double>(values[i]);
      dot += value * query[i];
      square += value * value;
    }
    comparison.dots[row] = dot;
    comparison.squares[row] = square;
  }
}

}  // namespace
}  // namespace gabion::algebra
