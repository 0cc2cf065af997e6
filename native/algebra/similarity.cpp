#include "similarity.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace gabion::algebra {
namespace {

/// Rows between two looks at the shared counter of threads; the squares of their lengths stay on the stack.
constexpr size_t kRowsPerPart = 256;
/// Starting a thread takes as long as reading about so many values.
constexpr size_t kValuesPerThread = 1U << 18U;

void Compare(const Variant& variant, const RowComparison<float>& comparison) { variant.compare_floats(comparison); }
void Compare(const Variant& variant, const RowComparison<double>& comparison) { variant.compare_doubles(comparison); }

template <typename Value>
void CompareAll(const Value* rows, size_t count, size_t dimensions, const double* query, bool is_cosine, double* scores,
                size_t threads, const Variant& variant) {
  const double square = std::inner_product(query, query + dimensions, query, 0.0);
  const size_t parts = (count + kRowsPerPart - 1) / kRowsPerPart;
  const size_t useful = 1 + count * dimensions / kValuesPerThread;
  ForEach(parts, std::min(threads, useful), [&](size_t part) {
    const size_t first = part * kRowsPerPart;
    const size_t size = std::min(kRowsPerPart, count - first);
    std::array<double, kRowsPerPart> squares;
    Compare(variant,
            RowComparison<Value>{rows + first * dimensions, size, dimensions, query, scores + first, squares.data()});
    if (is_cosine) {
      for (size_t i = 0; i < size; ++i) {
        scores[first + i] /= std::sqrt(square * squares[i]);
      }
    }
  });
}

}  // namespace

void CompareRows(const float* rows, size_t count, size_t dimensions, const double* query, bool is_cosine,
                 double* scores, size_t threads, const Variant& variant) {
  CompareAll(rows, count, dimensions, query, is_cosine, scores, threads, variant);
}

void CompareRows(const double* rows, size_t count, size_t dimensions, const double* query, bool is_cosine,
                 double* scores, size_t threads, const Variant& variant) {
  CompareAll(rows, count, dimensions, query, is_cosine, scores, threads, variant);
}

}  // namespace gabion::algebra
