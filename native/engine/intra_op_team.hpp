// Intra-op parallelism: encoder threads without a text of their own take parts of a running one.
//
// A part is a head of attention or a chunk of rows. Only a text that runs alone in the process has a team: several
// texts keep the cores busy by themselves, with less waiting. Members take items by a ticket counter, the text's own
// thread among them, so a helper that wakes late or not at all costs nothing but its help.
//
// The hazard is a helper that the system preempts in the middle of an item. The text's thread then yields while it
// waits, and no text has a team for a while (kBackOff).
//
// The team is never destroyed: a helper may still look at it while the process exits.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "../kernels/packed.hpp"

namespace gabion {

class IntraOpTeam {
 public:
  /// Threads on one text, its own included. More of them wait for each other longer than they help.
  static constexpr size_t kMaxMembers = 8;

  /// `wake` wakes threads that then call Help.
  explicit IntraOpTeam(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// The process's only one; its helpers are the scheduler's threads.
  static IntraOpTeam& Process();

  /// The team of one text, which runs on this thread, for the length of a scope.
  class Lease {
   public:
    /// Up to `helpers` threads may join, if no other text runs and `work` multiply-adds are worth it.
    Lease(IntraOpTeam& team, size_t helpers, size_t work);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    /// Null when the text's thread is alone.
    const kernels::Team* team() const noexcept { return shared_.members > 1 ? &shared_ : nullptr; }

   private:
    IntraOpTeam& team_;
    kernels::Team shared_{};
  };

  /// Whether one more helper may join the running text.
  bool has_room() const noexcept;
  /// Helps the running text to its end, then spins for the next one for a moment; less once `leave` returns true.
  void Help(const std::function<bool()>& leave) noexcept;

 private:
  struct Part {
    void (*run)(const void* work, size_t item, size_t member);
    const void* work;
  };
  void Share(size_t items, Part part) noexcept;
  bool TakeItem(uint64_t lease, size_t member) noexcept;
  void Wait(size_t items) noexcept;

  const std::function<void()> wake_;
  std::atomic<uint32_t> texts_{0};          ///< running now
  std::atomic<uint32_t> spinners_{0};       ///< helpers that need no waking
  std::atomic<int64_t> back_off_until_{0};  ///< nanoseconds of the steady clock
  /// Epoch of the lease, its members' limit, members that have joined. Limit 0: no lease.
  std::atomic<uint64_t> joined_{0};
  /// Epoch of the part, its items, items that are taken. An epoch does not recur while any thread remembers it.
  std::atomic<uint64_t> tickets_{0};
  std::atomic<size_t> done_{0};  ///< items of the part that have ended
  Part part_{};                  ///< written before tickets_, read by threads that have taken an item
};

}  // namespace gabion
