// What every instance of the algebra's source offers. Plain pointers and numbers only: the instances are compiled for
// different instruction sets, so they may share no inline function with each other or with the rest.
#pragma once

#include <cstddef>

namespace gabion::algebra {

/// Columns of a packed panel; a whole number of vectors of every instruction set.
constexpr size_t kPanel = 48;
/// Rows summed up in the input's own precision before they are added to doubles.
constexpr size_t kDepth = 256;
/// Columns of the matrix of eigenvectors that go through all rotations together.
constexpr size_t kStrip = 8;

/// A plane rotation of rows `row` and `row + 1`.
struct Rotation {
  double cosine;
  double sine;
  size_t row;
};

/// A part of a sum of outer products.
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

struct Variant {
  void (*add_floats)(const ProductSum<float>& sum);
  void (*add_doubles)(const ProductSum<double>& sum);
  /// Householder reduction of a symmetric matrix [n, n] to tridiagonal form; row k of `matrix` keeps reflector k.
  void (*tridiagonalize)(double* matrix, size_t n, double* diagonal, double* below, double* factors, double* scratch);
  /// Applies rotations to one strip, [n, kStrip].
  void (*rotate)(double* strip, const Rotation* rotations, size_t count);
  /// Takes a strip of eigenvectors, [n, kStrip], from the tridiagonal matrix back to the one it was made of.
  void (*back_transform)(const double* matrix, const double* factors, size_t n, double* strip);
};

}  // namespace gabion::algebra
