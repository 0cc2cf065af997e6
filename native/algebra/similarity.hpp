// Similarities of many rows to one vector.
#pragma once

#include <cstddef>

#include "instance.hpp"

namespace gabion::algebra {

/// The dot product of each of `count` rows [count, dimensions] with `query` [dimensions], or with `is_cosine` the
/// cosine of the angle between them, into `scores` [count]. Products and sums are double. The cosine of a zero row or
/// query is NaN. A score depends on its row and the instruction set, not on `threads`.
void CompareRows(const float* rows, size_t count, size_t dimensions, const double* query, bool is_cosine,
                 double* scores, size_t threads, const Variant& variant = ChosenVariant());
void CompareRows(const double* rows, size_t count, size_t dimensions, const double* query, bool is_cosine,
                 double* scores, size_t threads, const Variant& variant = ChosenVariant());

}  // namespace gabion::algebra
