// Returns the allocator's unused memory to the system after a model was destroyed.
//
// A model is hundreds of blocks among others': without this, most of its memory stays with the process. The allocator
// takes milliseconds for it, many times as long where there is much to give back, so it has a thread of its own, which
// ends with its work. At most one is alive, and models that go at the same time share it.
#pragma once

namespace gabion {

/// Returns at once; may be called on any thread. Without effect where the C library has no such call.
void TrimHeapSoon() noexcept;

}  // namespace gabion
