// Selects the variant of the algebra for this processor, and runs work on threads.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "source/variant.hpp"

namespace gabion::algebra {

/// The variants that this processor and system support, widest vectors first.
std::vector<const Variant*> UsableVariants();

/// The first of them.
const Variant& ChosenVariant();

/// Calls `work(i)` for every i below `count`, on up to `threads` threads, this one among them. `work` must not throw.
void ForEach(size_t count, size_t threads, const std::function<void(size_t)>& work);

struct AlignedDeleter {
  void operator()(void* pointer) const noexcept { ::operator delete(pointer, std::align_val_t{64}); }
};

/// An uninitialized buffer of `count` values that starts on a cache line.
template <typename Value>
std::unique_ptr<Value[], AlignedDeleter> AllocateAligned(size_t count) {
  return std::unique_ptr<Value[], AlignedDeleter>(
      static_cast<Value*>(::operator new(count * sizeof(Value), std::align_val_t{64})));
}

}  // namespace gabion::algebra
