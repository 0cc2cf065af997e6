// Sums of shifted vectors and of their outer products, for means and covariances.
#pragma once

#include <cstddef>

#include "instance.hpp"

namespace gabion::algebra {

/// Adds Σ (x − shift)(x − shift)ᵀ over `count` rows to `products` [dimensions, dimensions], both triangles, and
/// Σ (x − shift) to `sums` [dimensions]. `shift` must be exact in the rows' precision and should be near the mean, so
/// that little cancels later.
///
/// Single-precision rows are multiplied and accumulated in float over 256 rows at a time, then in double.
/// The result depends on the rows and the instruction set, not on `threads`. Throws std::bad_alloc.
void AddOuterProducts(const float* rows, size_t count, size_t dimensions, const double* shift, double* products,
                      double* sums, size_t threads, const Variant& variant = ChosenVariant());
void AddOuterProducts(const double* rows, size_t count, size_t dimensions, const double* shift, double* products,
                      double* sums, size_t threads, const Variant& variant = ChosenVariant());

}  // namespace gabion::algebra
