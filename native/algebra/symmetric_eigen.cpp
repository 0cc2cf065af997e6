#include "symmetric_eigen.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "instance.hpp"

namespace gabion::algebra {
namespace {

/// Rotations accumulated before they are applied, so that a strip stays in L1 over many of them.
constexpr size_t kMaxPending = size_t{1} << 16U;
constexpr size_t kMaxSweeps = 60;

/// The eigenvectors of the tridiagonal matrix, stored as strips of columns of the matrix that has them as rows.
class Vectors {
 public:
  Vectors(size_t n, size_t threads, const Variant& variant)
      : n_(n),
        threads_(threads),
        variant_(variant),
        strips_((n + kStrip - 1) / kStrip),
        values_(AllocateAligned<double>(strips_ * n * kStrip)) {
    std::fill_n(values_.get(), strips_ * n * kStrip, 0.0);
    for (size_t i = 0; i < n; ++i) {
      Strip(i / kStrip)[i * kStrip + i % kStrip] = 1;
    }
    pending_.reserve(kMaxPending);
  }

  void Add(const Rotation& rotation) {
    pending_.push_back(rotation);
    if (pending_.size() == kMaxPending) {
      Apply();
    }
  }

  void Apply() {
    ForEach(strips_, threads_, [&](size_t strip) { variant_.rotate(Strip(strip), pending_.data(), pending_.size()); });
    pending_.clear();
  }

  double At(size_t vector, size_t i) const { return values_[(i / kStrip * n_ + vector) * kStrip + i % kStrip]; }

 private:
  double* Strip(size_t strip) { return values_.get() + strip * n_ * kStrip; }

  size_t n_;
  size_t threads_;
  const Variant& variant_;
  size_t strips_;
  std::unique_ptr<double[], AlignedDeleter> values_;
  std::vector<Rotation> pending_;
};

/// Diagonalizes a tridiagonal matrix by the implicit QL method; `below` [n] has its last value unused.
bool Diagonalize(size_t n, double* diagonal, double* below, Vectors& vectors) {
  below[n - 1] = 0;
  for (size_t first = 0; first < n; ++first) {
    for (size_t sweep = 0;; ++sweep) {
      size_t last = first;
      for (; last + 1 < n; ++last) {
        const double size = std::abs(diagonal[last]) + std::abs(diagonal[last + 1]);
        if (std::abs(below[last]) <= std::numeric_limits<double>::epsilon() * size ||
            std::abs(below[last]) < std::numeric_limits<double>::min()) {
          break;
        }
      }
      if (last == first) {
        break;
      }
      if (sweep == kMaxSweeps || !std::isfinite(diagonal[first])) {
        return false;
      }
      double g = (diagonal[first + 1] - diagonal[first]) / (2 * below[first]);
      double r = std::hypot(g, 1.0);
      g = diagonal[last] - diagonal[first] + below[first] / (g + std::copysign(r, g));
      double sine = 1;
      double cosine = 1;
      double p = 0;
      bool whole = true;
      for (size_t i = last; i-- > first;) {
        const double f = sine * below[i];
        const double b = cosine * below[i];
        r = std::sqrt(f * f + g * g);
        below[i + 1] = r;
        if (r == 0) {
          diagonal[i + 1] -= p;
          below[last] = 0;
          whole = false;
          break;
        }
        sine = f / r;
        cosine = g / r;
        g = diagonal[i + 1] - p;
        r = (diagonal[i] - g) * sine + 2 * cosine * b;
        p = sine * r;
        diagonal[i + 1] = g + p;
        g = cosine * r - b;
        vectors.Add({cosine, sine, i});
      }
      if (whole) {
        diagonal[first] -= p;
        below[first] = g;
        below[last] = 0;
      }
    }
  }
  vectors.Apply();
  return true;
}

}  // namespace

bool SymmetricEigen(double* matrix, size_t n, size_t count, double* values, double* vectors, size_t threads,
                    const Variant& variant) {
  double absmax = 0;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j) {
      absmax = std::max(absmax, std::abs(matrix[i * n + j]));
    }
  }
  // Scaled to about 1, so that squares neither underflow nor overflow; by a power of two, which is exact.
  const double scale = absmax > 0 ? std::exp2(-std::floor(std::log2(absmax))) : 1;
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = i; j < n; ++j) {
      matrix[i * n + j] *= scale;
      matrix[j * n + i] = matrix[i * n + j];
    }
  }
  std::vector<double> diagonal(n);
  std::vector<double> below(n);
  std::vector<double> factors(n);
  std::vector<double> scratch(2 * n);
  variant.tridiagonalize(matrix, n, diagonal.data(), below.data(), factors.data(), scratch.data());
  Vectors rotated(n, threads, variant);
  if (!Diagonalize(n, diagonal.data(), below.data(), rotated)) {
    return false;
  }
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return diagonal[a] > diagonal[b]; });
  std::transform(order.begin(), order.end(), values, [&](size_t i) { return diagonal[i] / scale; });
  const size_t strips = (count + kStrip - 1) / kStrip;
  const auto room = AllocateAligned<double>(strips * n * kStrip);
  ForEach(strips, threads, [&](size_t strip) {
    double* own = room.get() + strip * n * kStrip;
    const size_t first = strip * kStrip;
    const size_t kept = std::min(kStrip, count - first);
    for (size_t i = 0; i < n; ++i) {
      for (size_t lane = 0; lane < kStrip; ++lane) {
        own[i * kStrip + lane] = lane < kept ? rotated.At(order[first + lane], i) : 0;
      }
    }
    variant.back_transform(matrix, factors.data(), n, own);
    for (size_t lane = 0; lane < kept; ++lane) {
      for (size_t i = 0; i < n; ++i) {
        vectors[(first + lane) * n + i] = own[i * kStrip + lane];
      }
    }
  });
  return true;
}

}  // namespace gabion::algebra
