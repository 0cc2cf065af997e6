// Whether the process may have so much more memory.
//
// Rust's standard library ends the process where an allocation fails, and Linux does where a control group is full.
// Large allocations are checked here first, so that they become an error instead. Nothing is reserved: concurrent
// callers may be promised the same memory.
#pragma once

#include <cstddef>

namespace gabion {

/// False where neither the process's address space nor its control groups have room for `bytes` more.
bool HasRoomFor(size_t bytes);

}  // namespace gabion
