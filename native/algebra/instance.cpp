#include "instance.hpp"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <vector>

#include "../system/thread.hpp"
#include "../system/x64_features.hpp"

namespace gabion::algebra {

extern const Variant kPortable;
#if defined(__x86_64__)
extern const Variant kAvx2;
extern const Variant kAvx512;
#endif

std::vector<const Variant*> UsableVariants() {
  std::vector<const Variant*> usable;
#if defined(__x86_64__)
  const X64Features has = FindX64Features();
  if (has.avx512) usable.push_back(&kAvx512);
  if (has.avx2) usable.push_back(&kAvx2);
#endif
  usable.push_back(&kPortable);
  return usable;
}

const Variant& ChosenVariant() {
  static const Variant& chosen = *UsableVariants().front();
  return chosen;
}

void ForEach(size_t count, size_t threads, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next{0};
  const auto run = [&] {
    for (size_t i = next++; i < count; i = next++) {
      work(i);
    }
  };
  std::vector<Thread> others;
  for (size_t i = 1; i < std::min(threads, count); ++i) {
    try {
      others.emplace_back(run);
    } catch (const std::system_error&) {
      break;  // fewer threads only take longer
    }
  }
  run();
  for (Thread& thread : others) {
    thread.join();
  }
}

}  // namespace gabion::algebra
