#include "heap_trim.hpp"

#include <cstdlib>  // says which C library this is
#ifdef __GLIBC__

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>

namespace gabion {
namespace {

// By then the model's texts in flight have ended, and models that were closed at the same time are gone too.
constexpr useconds_t kDelay = 100'000;

enum class State { kIdle, kWaiting, kTrimming, kAgain };
std::atomic<State> state{State::kIdle};

// Allocates nothing, so that it gets no heap of its own, and touches nothing that an ending process takes down.
void* Trim(void* /*unused*/) {
  for (;;) {
    usleep(kDelay);
    state = State::kTrimming;
    malloc_trim(0);
    State expected = State::kTrimming;
    if (state.compare_exchange_strong(expected, State::kIdle)) {
      return nullptr;
    }
  }
}

}  // namespace

void TrimHeapSoon() noexcept {
  State expected = State::kIdle;
  if (!state.compare_exchange_strong(expected, State::kWaiting)) {
    expected = State::kTrimming;
    state.compare_exchange_strong(expected, State::kAgain);
    return;
  }
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);  // signals belong to the host's threads
  pthread_t thread{};
  if (pthread_create(&thread, &attributes, Trim, nullptr) != 0) {
    state = State::kIdle;  // then the memory stays until the next model goes
  }
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  pthread_attr_destroy(&attributes);
}

}  // namespace gabion

#else

namespace gabion {
void TrimHeapSoon() noexcept {}
}  // namespace gabion

#endif
