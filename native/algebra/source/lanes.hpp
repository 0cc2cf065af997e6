// GCC's and Clang's portable vectors of kBytes bytes. The including file sets kBytes.
#pragma once

#include <cstddef>

namespace gabion::algebra {
namespace {

template <typename Value>
struct LanesOf {
  using Type __attribute__((vector_size(kBytes))) = Value;
  using Unaligned __attribute__((vector_size(kBytes), aligned(alignof(Value)))) = Value;
  static constexpr size_t kCount = kBytes / sizeof(Value);
};

template <typename Value>
[[gnu::always_inline]] inline typename LanesOf<Value>::Type Load(const Value* from) {
  return *reinterpret_cast<const typename LanesOf<Value>::Unaligned*>(from);
}

template <typename Value>
[[gnu::always_inline]] inline void Store(Value* to, const typename LanesOf<Value>::Type& lanes) {
  *reinterpret_cast<typename LanesOf<Value>::Unaligned*>(to) = lanes;
}

using Doubles = LanesOf<double>;

[[gnu::always_inline]] inline double SumOf(const Doubles::Type& lanes) {
  double sum = 0;
  for (size_t lane = 0; lane < Doubles::kCount; ++lane) {
    sum += lanes[lane];
  }
  return sum;
}

}  // namespace
}  // namespace gabion::algebra
