// The parts of the symmetric eigenvalue problem that cost time: reduction to tridiagonal form by Householder reflectors
// (Golub and Van Loan, Matrix Computations, 8.3.1), plane rotations of the eigenvectors, and back-transformation.
#pragma once

#include "lanes.hpp"
#include "variant.hpp"

namespace gabion::algebra {
namespace {

[[gnu::always_inline]] inline double Dot(const double* a, const double* b, size_t count) {
  Doubles::Type first{};
  Doubles::Type second{};
  size_t i = 0;
  for (; i + 2 * Doubles::kCount <= count; i += 2 * Doubles::kCount) {
    first += Load(a + i) * Load(b + i);
    second += Load(a + i + Doubles::kCount) * Load(b + i + Doubles::kCount);
  }
  double sum = SumOf(first + second);
  for (; i < count; ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

/// row −= x·w + y·v; returns its dot product with `next`.
[[gnu::always_inline]] inline double UpdateAndDot(double* row, const double* v, const double* w, double x, double y,
                                                  const double* next, size_t count) {
  Doubles::Type sums{};
  size_t i = 0;
  for (; i + Doubles::kCount <= count; i += Doubles::kCount) {
    const Doubles::Type updated = Load(row + i) - x * Load(w + i) - y * Load(v + i);
    Store(row + i, updated);
    sums += updated * Load(next + i);
  }
  double sum = SumOf(sums);
  for (; i < count; ++i) {
    row[i] = row[i] - x * w[i] - y * v[i];
    sum += row[i] * next[i];
  }
  return sum;
}

/// Computes in place the reflector that zeroes x after its first value; returns its factor 2/(vᵀv), and sets `left` to
/// the remaining first value.
[[gnu::always_inline]] inline double Reflector(double* x, size_t count, double* left) {
  const double tail = count > 1 ? Dot(x + 1, x + 1, count - 1) : 0;
  if (tail == 0) {
    *left = x[0];
    return 0;
  }
  const double norm = __builtin_sqrt(x[0] * x[0] + tail);
  *left = x[0] > 0 ? -norm : norm;
  x[0] -= *left;
  return 2 / (x[0] * x[0] + tail);
}

/// Step k computes reflector k from row k (updated by step k − 1), and in one pass over the rest applies the update of
/// step k − 1 and multiplies with the new reflector: the matrix passes through the cache once per step.
void Tridiagonalize(double* matrix, size_t n, double* diagonal, double* below, double* factors, double* scratch) {
  double* w = scratch;  // of the previous step
  double* product = scratch + n;
  bool pending = false;
  for (size_t k = 0; k < n; ++k) {
    double* row = matrix + k * n;
    const double* v = row - n;  // reflector k − 1, valid from column k on
    if (pending) {
      UpdateAndDot(row + k, v + k, w + k, v[k], w[k], v + k, n - k);
    }
    diagonal[k] = row[k];
    factors[k] = 0;
    if (k + 1 == n) {
      break;
    }
    const size_t from = k + 1;
    factors[k] = Reflector(row + from, n - from, below + k);
    const double factor = factors[k];
    for (size_t i = from; i < n; ++i) {
      double* other = matrix + i * n + from;
      product[i] = pending ? UpdateAndDot(other, v + from, w + from, v[i], w[i], row + from, n - from)
                           : Dot(other, row + from, n - from);
      product[i] *= factor;
    }
    pending = factor != 0;
    if (pending) {
      const double half = factor / 2 * Dot(row + from, product + from, n - from);
      for (size_t i = from; i < n; ++i) {
        w[i] = product[i] - half * row[i];
      }
    }
  }
}

/// Rotations come in upward sweeps; each ends in the row that the next one starts with, which stays in registers.
void Rotate(double* strip, const Rotation* rotations, size_t count) {
  constexpr size_t kVectors = kStrip / Doubles::kCount;
  Doubles::Type carried[kVectors] = {};
  double* carried_from = nullptr;
  for (size_t r = 0; r < count; ++r) {
    const auto [cosine, sine, row] = rotations[r];
    double* upper = strip + row * kStrip;
    double* lower = upper + kStrip;
    if (lower != carried_from) {
      for (size_t v = 0; v < kVectors; ++v) {
        if (carried_from != nullptr) {
          Store(carried_from + v * Doubles::kCount, carried[v]);
        }
        carried[v] = Load(lower + v * Doubles::kCount);
      }
    }
#pragma GCC unroll 8
    for (size_t v = 0; v < kVectors; ++v) {
      const Doubles::Type a = Load(upper + v * Doubles::kCount);
      Store(lower + v * Doubles::kCount, sine * a + cosine * carried[v]);
      carried[v] = cosine * a - sine * carried[v];
    }
    carried_from = upper;
  }
  for (size_t v = 0; carried_from != nullptr && v < kVectors; ++v) {
    Store(carried_from + v * Doubles::kCount, carried[v]);
  }
}

void BackTransform(const double* matrix, const double* factors, size_t n, double* strip) {
  constexpr size_t kVectors = kStrip / Doubles::kCount;
  for (size_t k = n - 1; k-- > 0;) {
    if (factors[k] == 0) {
      continue;
    }
    const double* v = matrix + k * n;
    Doubles::Type sums[kVectors] = {};
    for (size_t i = k + 1; i < n; ++i) {
#pragma GCC unroll 8
      for (size_t part = 0; part < kVectors; ++part) {
        sums[part] += v[i] * Load(strip + i * kStrip + part * Doubles::kCount);
      }
    }
#pragma GCC unroll 8
    for (size_t part = 0; part < kVectors; ++part) {
      sums[part] *= factors[k];
    }
    for (size_t i = k + 1; i < n; ++i) {
#pragma GCC unroll 8
      for (size_t part = 0; part < kVectors; ++part) {
        double* to = strip + i * kStrip + part * Doubles::kCount;
        Store(to, Load(to) - v[i] * sums[part]);
      }
    }
  }
}

}  // namespace
}  // namespace gabion::algebra
