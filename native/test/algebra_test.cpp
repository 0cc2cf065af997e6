#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "outer_products.hpp"
#include "similarity.hpp"
#include "symmetric_eigen.hpp"

namespace gabion::algebra {
namespace {

template <typename Value>
std::vector<Value> RandomValues(size_t count, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  std::vector<Value> values(count);
  for (Value& value : values) {
    value = static_cast<Value>(normal(generator));
  }
  return values;
}

template <typename Value>
void CompareWithPlainSums(size_t count, size_t dimensions, double tolerance) {
  const std::vector<Value> rows = RandomValues<Value>(count * dimensions, 1);
  const std::vector<double> shift(dimensions, 0.25);
  std::vector<double> expected(dimensions * dimensions, 3);
  std::vector<double> expected_sums(dimensions, -1);
  for (size_t row = 0; row < count; ++row) {
    for (size_t i = 0; i < dimensions; ++i) {
      const double a = static_cast<double>(rows[row * dimensions + i]) - shift[i];
      expected_sums[i] += a;
      for (size_t j = 0; j < dimensions; ++j) {
        expected[i * dimensions + j] += a * (static_cast<double>(rows[row * dimensions + j]) - shift[j]);
      }
    }
  }
  for (const Variant* variant : UsableVariants()) {
    std::vector<double> products(dimensions * dimensions, 3);
    std::vector<double> sums(dimensions, -1);
    AddOuterProducts(rows.data(), count, dimensions, shift.data(), products.data(), sums.data(), 2, *variant);
    const double size = tolerance * static_cast<double>(count);
    for (size_t i = 0; i < dimensions; ++i) {
      ASSERT_NEAR(sums[i], expected_sums[i], size) << count << " × " << dimensions;
      for (size_t j = 0; j < dimensions; ++j) {
        ASSERT_NEAR(products[i * dimensions + j], expected[i * dimensions + j], size) << count << " × " << dimensions;
      }
    }
  }
}

TEST(OuterProducts, AreThePlainSumsInEveryInstance) {
  for (const size_t dimensions : {1U, 5U, 47U, 48U, 49U, 100U}) {
    for (const size_t count : {1U, 3U, 255U, 256U, 1500U}) {
      CompareWithPlainSums<float>(count, dimensions, 1e-6);
      CompareWithPlainSums<double>(count, dimensions, 1e-13);
    }
  }
}

TEST(OuterProducts, DoNotDependOnThreads) {
  const size_t dimensions = 60;
  const std::vector<float> rows = RandomValues<float>(3000 * dimensions, 2);
  const std::vector<double> shift(dimensions, 0);
  std::vector<double> one(dimensions * dimensions);
  std::vector<double> many(dimensions * dimensions);
  std::vector<double> sums(dimensions);
  AddOuterProducts(rows.data(), 3000, dimensions, shift.data(), one.data(), sums.data(), 1);
  AddOuterProducts(rows.data(), 3000, dimensions, shift.data(), many.data(), sums.data(), 5);
  EXPECT_EQ(one, many);
}

template <typename Value>
void CompareWithPlainProducts(size_t count, size_t dimensions) {
  const std::vector<Value> rows = RandomValues<Value>(count * dimensions, 3);
  const std::vector<double> query = RandomValues<double>(dimensions, 4);
  const double square = std::inner_product(query.begin(), query.end(), query.begin(), 0.0);
  for (const Variant* variant : UsableVariants()) {
    for (const bool is_cosine : {false, true}) {
      std::vector<double> scores(count, -3);
      CompareRows(rows.data(), count, dimensions, query.data(), is_cosine, scores.data(), 3, *variant);
      for (size_t row = 0; row < count; ++row) {
        const Value* values = rows.data() + row * dimensions;
        const double dot = std::inner_product(values, values + dimensions, query.begin(), 0.0);
        const double own = std::inner_product(
            values, values + dimensions, values, 0.0, [](double sum, double term) { return sum + term; },
            [](double a, double b) { return a * b; });
        ASSERT_NEAR(scores[row], is_cosine ? dot / std::sqrt(square * own) : dot,
                    1e-14 * static_cast<double>(dimensions + 10))
            << count << " × " << dimensions << ", row " << row;
      }
    }
  }
}

TEST(CompareRows, GivesThePlainProductsInEveryInstance) {
  for (const size_t dimensions : {1U, 5U, 8U, 31U, 32U, 33U, 384U}) {
    for (const size_t count : {1U, 255U, 256U, 600U}) {
      CompareWithPlainProducts<float>(count, dimensions);
      CompareWithPlainProducts<double>(count, dimensions);
    }
  }
}

TEST(CompareRows, GivesNoCosineOfAZeroRow) {
  const std::vector<float> rows(2 * 40, 0);
  const std::vector<double> query(40, 1);
  std::vector<double> scores(2);
  CompareRows(rows.data(), 2, 40, query.data(), true, scores.data(), 1);
  EXPECT_TRUE(std::isnan(scores[0]) && std::isnan(scores[1]));
  CompareRows(rows.data(), 2, 40, query.data(), false, scores.data(), 1);
  EXPECT_EQ(scores, std::vector<double>({0, 0}));
}

/// Checks A·v = λ·v, that the vectors are orthonormal and the values fall, in every instance.
void CheckEigen(const std::vector<double>& matrix, size_t n, size_t count) {
  double size = 0;
  for (const double value : matrix) {
    size = std::max(size, std::abs(value));
  }
  const double tolerance = 1e-14 * static_cast<double>(n + 10) * (size == 0 ? 1 : size);
  for (const Variant* variant : UsableVariants()) {
    std::vector<double> work = matrix;
    std::vector<double> values(n);
    std::vector<double> vectors(count * n);
    ASSERT_TRUE(SymmetricEigen(work.data(), n, count, values.data(), vectors.data(), 2, *variant));
    ASSERT_TRUE(std::is_sorted(values.rbegin(), values.rend()));
    double trace = 0;
    for (size_t i = 0; i < n; ++i) {
      trace += matrix[i * n + i];
    }
    ASSERT_NEAR(std::accumulate(values.begin(), values.end(), 0.0), trace, tolerance * static_cast<double>(n));
    for (size_t k = 0; k < count; ++k) {
      const double* vector = vectors.data() + k * n;
      for (size_t i = 0; i < n; ++i) {
        const double image = std::inner_product(vector, vector + n, matrix.data() + i * n, 0.0);
        ASSERT_NEAR(image, values[k] * vector[i], tolerance) << "n " << n << ", vector " << k;
      }
      for (size_t other = 0; other <= k; ++other) {
        const double dot = std::inner_product(vector, vector + n, vectors.data() + other * n, 0.0);
        ASSERT_NEAR(dot, k == other ? 1 : 0, 1e-13 * static_cast<double>(n + 10)) << "n " << n;
      }
    }
  }
}

std::vector<double> Symmetric(const std::vector<double>& values, size_t n) {
  std::vector<double> matrix(n * n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      matrix[i * n + j] = values[i * n + j] + values[j * n + i];
    }
  }
  return matrix;
}

TEST(SymmetricEigen, SolvesRandomMatrices) {
  for (const size_t n : {1U, 2U, 3U, 7U, 8U, 9U, 33U, 130U}) {
    CheckEigen(Symmetric(RandomValues<double>(n * n, static_cast<unsigned>(n)), n), n, n);
    CheckEigen(Symmetric(RandomValues<double>(n * n, static_cast<unsigned>(n + 1)), n), n, 1);
  }
}

TEST(SymmetricEigen, SolvesMatricesWithManyEqualValues) {
  const size_t n = 40;
  CheckEigen(std::vector<double>(n * n, 0), n, n);
  CheckEigen(std::vector<double>(n * n, 1), n, n);  // rank 1
  std::vector<double> identity(n * n);
  std::vector<double> graded(n * n);
  std::vector<double> wilkinson(n * n);
  for (size_t i = 0; i < n; ++i) {
    identity[i * n + i] = 2;
    graded[i * n + i] = std::pow(10.0, -static_cast<double>(i));
    wilkinson[i * n + i] = std::abs(static_cast<double>(n) / 2 - static_cast<double>(i));
    if (i + 1 < n) {
      wilkinson[i * n + i + 1] = wilkinson[(i + 1) * n + i] = 1;
    }
  }
  CheckEigen(identity, n, n);
  CheckEigen(graded, n, n);
  CheckEigen(wilkinson, n, n);
}

TEST(SymmetricEigen, SolvesMatricesOfAnySize) {
  const size_t n = 12;
  for (const double scale : {1e-200, 1e-20, 1e20, 1e200}) {
    std::vector<double> matrix = Symmetric(RandomValues<double>(n * n, 5), n);
    for (double& value : matrix) {
      value *= scale;
    }
    CheckEigen(matrix, n, n);
  }
}

TEST(SymmetricEigen, NoticesValuesThatAreNotFinite) {
  std::vector<double> matrix{1, std::numeric_limits<double>::quiet_NaN(), 0, 1};
  std::vector<double> values(2);
  std::vector<double> vectors(4);
  EXPECT_FALSE(SymmetricEigen(matrix.data(), 2, 2, values.data(), vectors.data(), 1));
}

}  // namespace
}  // namespace gabion::algebra
