// Assertions of thread rules that the types cannot express. They cost nothing and check nothing unless the build has
// GABION_CHECK_THREADS (the builds of scripts/sanitize.mjs have it); then a broken rule ends the process with its name.
#pragma once

#include <condition_variable>
#include <mutex>

#if defined(GABION_CHECK_THREADS)
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#endif

namespace gabion {

#if defined(GABION_CHECK_THREADS)

inline void CheckThread(bool holds, const char* broken_rule) noexcept {
  if (!holds) {
    std::fprintf(stderr, "gabion: thread rule broken: %s\n", broken_rule);
    std::abort();
  }
}

/// A mutex that knows which thread holds it.
class Mutex {
 public:
  void lock() {
    CheckThread(!held(), "a thread locks a mutex that it holds");
    mutex_.lock();
    owner_ = std::this_thread::get_id();
  }
  void unlock() {
    CheckThread(held(), "a thread unlocks a mutex that it does not hold");
    owner_ = std::thread::id();
    mutex_.unlock();
  }
  bool held() const noexcept { return owner_ == std::this_thread::get_id(); }

 private:
  std::mutex mutex_;
  std::atomic<std::thread::id> owner_{};
};
using ConditionVariable = std::condition_variable_any;

/// The one thread that may use an object: the one that made it.
class ThreadOwner {
 public:
  void Check(const char* broken_rule) const noexcept { CheckThread(owner_ == std::this_thread::get_id(), broken_rule); }

 private:
  std::thread::id owner_ = std::this_thread::get_id();
};

#else

inline void CheckThread(bool, const char*) noexcept {}

using Mutex = std::mutex;
using ConditionVariable = std::condition_variable;

class ThreadOwner {
 public:
  void Check(const char*) const noexcept {}
};

#endif

/// The calling thread holds the mutex.
template <typename M>
void CheckHeld([[maybe_unused]] const M& mutex, [[maybe_unused]] const char* broken_rule) noexcept {
#if defined(GABION_CHECK_THREADS)
  CheckThread(mutex.held(), broken_rule);
#endif
}

/// The calling thread does not hold the mutex.
template <typename M>
void CheckNotHeld([[maybe_unused]] const M& mutex, [[maybe_unused]] const char* broken_rule) noexcept {
#if defined(GABION_CHECK_THREADS)
  CheckThread(!mutex.held(), broken_rule);
#endif
}

}  // namespace gabion
