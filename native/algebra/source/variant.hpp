// The interface of every variant of the algebra's source. Plain pointers and numbers only: variants are compiled for
// different instruction sets, so they may share no inline function with each other or with the rest.
#pragma once

#include <cstddef>

namespace gabion::algebra {

/// Columns of a packed panel; a multiple of every instruction set's vector length.
constexpr size_t kPanel = 48;
/// Rows accumulated in the input's precision before they are added to doubles.
constexpr size_t kDepth = 256;
/// Columns of the eigenvector matrix to which all rotations are applied together.
constexpr size_t kStrip = 8;

/// A plane rotation of rows `row` and `row + 1`.
struct Rotation {
  double cosine;
  double sine;
  size_t row;
};

/// One part of a sum of outer products.
template <typename Value>
struct ProductSum {
  const Value* rows;
  size_t count;
  size_t dimensions;
  const Value* shift;  ///< dimensions, rounded up to whole panels with zeros
  Value* packed;       ///< room for kDepth rows of whole panels, on a cache line
  double* products;    ///< whole panels squared; upper triangle of panels
  double* sums;        ///< whole panels
};

/// Rows that are compared with one vector.
template <typename Value>
struct RowComparison {
  const Value* rows;
  size_t count;
  size_t dimensions;
  const double* query;  ///< dimensions
  double* dots;         ///< count
  double* squares;      ///< count; squared lengths of the rows
};

struct Variant {
  void (*add_floats)(const ProductSum<float>& sum);
  void (*add_doubles)(const ProductSum<double>& sum);
  /// Householder reduction of a symmetric matrix [n, n] to tridiagonal form; row k of `matrix` keeps reflector k.
  void (*tridiagonalize)(double* matrix, size_t n, double* diagonal, double* below, double* factors, double* scratch);
  /// Applies rotations to one strip, [n, kStrip].
  void (*rotate)(double* strip, const Rotation* rotations, size_t count);
  /// Back-transforms a strip of eigenvectors, [n, kStrip], of the tridiagonal matrix to those of the original matrix.
  void (*back_transform)(const double* matrix, const double* factors, size_t n, double* strip);
  void (*compare_floats)(const RowComparison<float>& comparison);
  void (*compare_doubles)(const RowComparison<double>& comparison);
};

}  // namespace gabion::algebra
