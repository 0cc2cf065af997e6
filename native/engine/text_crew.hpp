// Helpers for the one text that has the machine for itself.
//
// Encoder threads that have no text of their own take parts of a running one: heads of attention, chunks of rows. Only
// the first text of a process gets helpers, and only while no other runs: several texts keep the processors busy by
// themselves, with less waiting. A part is taken by whoever comes first, the text's own thread among them, so a helper
// that wakes late or not at all costs nothing but its help.
//
// What could go wrong is that the system takes a processor away from a helper in the middle of a part. Then the text's
// thread gives way to others while it waits, and for a while no text gets helpers.
//
// The crew is never destroyed: a helper may still look at it while the process exits.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "../kernels/packed.hpp"

namespace gabion {

class TextCrew {
 public:
  /// Threads on one text at most, its own included. Beyond it they wait for each other more than they help.
  static constexpr size_t kMost = 8;

  /// `call` wakes threads that then call Help.
  explicit TextCrew(std::function<void()> call) : call_(std::move(call)) {}

  /// The process's only one; its helpers are the scheduler's threads.
  static TextCrew& Process();

  /// One text's run on this thread.
  class Run {
   public:
    /// `helpers` threads may help, if the text is alone and `work` multiply-adds are worth it.
    Run(TextCrew& crew, size_t helpers, size_t work);
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    /// Null when there are no helpers.
    const kernels::Team* crew() const noexcept { return shared_.members > 1 ? &shared_ : nullptr; }

   private:
    TextCrew& crew_;
    kernels::Team shared_{};
  };

  /// Whether a text has room for one more helper.
  bool wanted() const noexcept;
  /// Helps the running text to its end, and then looks out for the next for a moment; earlier when `leave` says so.
  void Help(const std::function<bool()>& leave) noexcept;

 private:
  struct Part {
    void (*run)(const void* work, size_t item, size_t member);
    const void* work;
  };
  void Share(size_t items, Part part) noexcept;
  bool TakeItem(uint64_t run, size_t member) noexcept;
  void Wait(size_t items) noexcept;

  const std::function<void()> call_;
  std::atomic<uint32_t> texts_{0};       ///< that run now
  std::atomic<uint32_t> lookouts_{0};    ///< helpers that need no waking
  std::atomic<int64_t> quiet_until_{0};  ///< nanoseconds of the steady clock: until then nobody gets helpers
  /// Number of the run, threads that it has room for, threads that have joined. Room 0: no run.
  std::atomic<uint64_t> roll_{0};
  /// Number of the part, its items, items that are taken. A number never comes again while anybody remembers it.
  std::atomic<uint64_t> claim_{0};
  std::atomic<size_t> done_{0};  ///< items of the part that have ended
  Part part_{};                  ///< written before claim_, read by who has taken an item
};

}  // namespace gabion
