// For threads that spin on memory until another thread changes it.
#pragma once

namespace gabion {

/// Hints to the processor that this thread spins.
inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace gabion
