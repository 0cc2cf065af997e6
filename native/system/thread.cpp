#include "thread.hpp"

#if defined(_WIN32)
#include <process.h>
#include <windows.h>
#else
#include <pthread.h>
#endif

#include <cerrno>
#include <exception>
#include <system_error>
#include <utility>

namespace gabion {
namespace {

using Body = std::function<void()>;

void Run(void* body) noexcept {
  const std::unique_ptr<Body> owned(static_cast<Body*>(body));
  (*owned)();
}

}  // namespace

#if defined(_WIN32)

struct Thread::Handle {
  HANDLE thread;
};

Thread::Thread(std::function<void()> body) : handle_(std::make_unique<Handle>()) {
  auto owned = std::make_unique<Body>(std::move(body));
  const auto run = [](void* argument) -> unsigned {
    Run(argument);
    return 0;
  };
  // Without the flag so much would be committed, not reserved.
  const uintptr_t thread =
      _beginthreadex(nullptr, kStackBytes, run, owned.get(), STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
  if (thread == 0) {
    throw std::system_error(errno, std::generic_category());
  }
  owned.release();  // NOLINT(bugprone-unused-return-value): the thread's own now
  handle_->thread = reinterpret_cast<HANDLE>(thread);
}

void Thread::join() {
  const std::unique_ptr<Handle> handle = std::move(handle_);
  WaitForSingleObject(handle->thread, INFINITE);
  CloseHandle(handle->thread);
}

#else

struct Thread::Handle {
  pthread_t thread{};
};

Thread::Thread(std::function<void()> body) : handle_(std::make_unique<Handle>()) {
  auto owned = std::make_unique<Body>(std::move(body));
  const auto run = [](void* argument) -> void* {
    Run(argument);
    return nullptr;
  };
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  const int failure = pthread_create(&handle_->thread, &attributes, run, owned.get());
  pthread_attr_destroy(&attributes);
  if (failure != 0) {
    throw std::system_error(failure, std::generic_category());
  }
  owned.release();  // NOLINT(bugprone-unused-return-value): the thread's own now
}

void Thread::join() {
  const std::unique_ptr<Handle> handle = std::move(handle_);
  pthread_join(handle->thread, nullptr);
}

#endif

Thread::Thread() noexcept = default;

Thread::Thread(Thread&& other) noexcept = default;

Thread& Thread::operator=(Thread&& other) noexcept {
  if (handle_ != nullptr) {
    std::terminate();
  }
  handle_ = std::move(other.handle_);
  return *this;
}

Thread::~Thread() {
  if (handle_ != nullptr) {
    std::terminate();
  }
}

}  // namespace gabion
