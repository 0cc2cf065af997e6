#include "algebra.hpp"

#include "conversion.hpp"
#include "cpu.hpp"
#include "outer_products.hpp"
#include "symmetric_eigen.hpp"

namespace gabion::binding {
namespace {

/// Beyond it, sizes below would overflow long before memory could hold them.
constexpr size_t kMaxDimensions = 1U << 16U;

size_t ToDimensions(const Napi::Value& value, const char* name) {
  const size_t dimensions = ToSize(value, name);
  if (dimensions == 0 || dimensions > kMaxDimensions) {
    throw Error(Code::kInvalidArgument, std::string(name) + " must be from 1 to " + std::to_string(kMaxDimensions) +
                                            ", got " + std::to_string(dimensions));
  }
  return dimensions;
}

}  // namespace

void AddOuterProducts(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    const size_t dimensions = ToDimensions(info[1], "dimensions");
    const size_t length = info[0].IsTypedArray() ? info[0].As<Napi::TypedArray>().ElementLength() : 0;
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
    const size_t length = info[2].IsTypedArray() ? info[2].As<Napi::TypedArray>().ElementLength() : 0;
    const size_t n = ToDimensions(Napi::Number::New(info.Env(), static_cast<double>(length)), "length of values");
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

}  // namespace gabion::binding
