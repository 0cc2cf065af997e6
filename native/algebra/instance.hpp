// Chooses the instance of the algebra for this processor, and runs work on threads. Its users choose nothing.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <vector>

#include "source/variant.hpp"

namespace gabion::algebra {

/// The instances that this processor and system can run, that with the widest vectors first.
std::vector<const Variant*> UsableVariants();

/// The first of them.
const Variant& ChosenVariant();

/// Calls `work(i)` for every i below `count`, on up to `threads` threads, this one among them. `work` must not throw.
void ForEach(size_t count, size_t threads, const std::function<void(size_t)>& work);

struct Freed {
  void operator()(void* pointer) const noexcept { ::operator delete(pointer, std::align_val_t{64}); }
};

/// Room for `count` values that begins on a cache line; not set to anything.
template <typename Value>
std::unique_ptr<Value[], Freed> Room(size_t count) {
  return std::unique_ptr<Value[], Freed>(
      static_cast<Value*>(::operator new(count * sizeof(Value), std::align_val_t{64})));
}

}  // namespace gabion::algebra
