// For threads that look at memory until another one changes it.
#pragma once

namespace gabion {

/// Tells the processor that this thread only looks.
inline void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

}  // namespace gabion
