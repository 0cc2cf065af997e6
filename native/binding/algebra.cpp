#include "algebra.hpp"

#include "conversion.hpp"
#include "cpu.hpp"
#include "outer_products.hpp"
#include "similarity.hpp"
#include "symmetric_eigen.hpp"

namespace gabion::binding {
namespace {

/// Beyond it, sizes below would overflow long before memory could hold them.
constexpr size_t kMaxDimensions = 1U << 16U;

size_t CheckDimensions(size_t dimensions, const char* name) {
  if (dimensions == 0 || dimensions > kMaxDimensions) {
    throw Error(Code::kInvalidArgument, std::string(name) + " must be from 1 to " + std::to_string(kMaxDimensions) +
                                            ", got " + std::to_string(dimensions));
  }
  return dimensions;
}

size_t ToDimensions(const Napi::Value& value, const char* name) { return CheckDimensions(ToSize(value, name), name); }

size_t LengthOf(const Napi::Value& value) {
  return value.IsTypedArray() ? value.As<Napi::TypedArray>().ElementLength() : 0;
}

}  // namespace

void AddOuterProducts(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    const size_t dimensions = ToDimensions(info[1], "dimensions");
    const size_t length = LengthOf(info[0]);
    if (length == 0 || length % dimensions != 0) {
      throw Error(Code::kInvalidArgument, "rows must be a typed array of whole rows");
    }
    const auto* shift = ToBuffer<double>(info[2], dimensions, "shift");
    auto* products = ToBuffer<double>(info[3], dimensions * dimensions, "products");
    auto* sums = ToBuffer<double>(info[4], dimensions, "sums");
    const auto add = [&](const auto* rows) {
      algebra::AddOuterProducts(rows, length / dimensions, dimensions, shift, products, sums, DefaultThreadCount());
    };
    if (info[0].As<Napi::TypedArray>().TypedArrayType() == napi_float32_array) {
      add(ToBuffer<float>(info[0], length, "rows"));
    } else {
      add(ToBuffer<double>(info[0], length, "rows"));
    }
  });
}

void SymmetricEigen(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    const size_t n = CheckDimensions(LengthOf(info[2]), "length of values");
    const size_t count = ToDimensions(info[1], "count");
    if (count > n) {
      throw Error(Code::kInvalidArgument, "count must be at most the size of the matrix");
    }
    auto* matrix = ToBuffer<double>(info[0], n * n, "matrix");
    auto* values = ToBuffer<double>(info[2], n, "values");
    auto* vectors = ToBuffer<double>(info[3], count * n, "vectors");
    if (!algebra::SymmetricEigen(matrix, n, count, values, vectors, DefaultThreadCount())) {
      throw Error(Code::kInvalidArgument, "the matrix must hold finite numbers: its eigenvalues do not converge");
    }
  });
}

void CompareRows(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    const size_t dimensions = CheckDimensions(LengthOf(info[1]), "length of query");
    const size_t length = LengthOf(info[0]);
    const auto* query = ToBuffer<double>(info[1], dimensions, "query");
    const size_t count = length / dimensions;
    auto* scores = ToBuffer<double>(info[2], count, "scores");
    const bool is_cosine = ToBoolean(info[3], "cosine");
    const auto compare = [&](const auto* rows) {
      algebra::CompareRows(rows, count, dimensions, query, is_cosine, scores, DefaultThreadCount());
    };
    if (count == 0) {
      return;
    }
    if (info[0].As<Napi::TypedArray>().TypedArrayType() == napi_float32_array) {
      compare(ToBuffer<float>(info[0], count * dimensions, "rows"));
    } else {
      compare(ToBuffer<double>(info[0], count * dimensions, "rows"));
    }
  });
}

}  // namespace gabion::binding
