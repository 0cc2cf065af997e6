// Threads with the same stack on every system. The default is 128 KB with musl and 512 KB on macOS, and with glibc
// whatever `ulimit -s` says; a tokenizer's definition is nested as deep as its author likes.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace gabion {

/// What std::thread does, and no more of it than is used here.
class Thread {
 public:
  /// Pages that are never touched cost address space only.
  static constexpr size_t kStackBytes = size_t{8} << 20U;

  Thread() noexcept;
  /// Throws std::system_error if the process may have no more threads. An exception of `body` ends the process.
  explicit Thread(std::function<void()> body);
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;
  /// Ends the process if the thread was not joined.
  ~Thread();

  void join();

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

}  // namespace gabion
