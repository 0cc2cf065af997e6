#include "intra_op_team.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "pause.hpp"
#include "scheduler.hpp"

namespace gabion {
namespace {

using Clock = std::chrono::steady_clock;

// Multiply-adds for which one more thread is worth waking: about ten microseconds of a core.
constexpr size_t kWorkPerMember = 30'000'000;
// A text's parts follow each other within microseconds, the texts of a caller that awaits each within some tens.
constexpr auto kHelperSpin = std::chrono::microseconds(100);
// Members end a part within one item of each other. One that takes longer was preempted.
constexpr auto kSpinLimit = std::chrono::microseconds(50);
constexpr auto kLate = std::chrono::microseconds(500);
constexpr auto kBackOff = std::chrono::milliseconds(20);

constexpr uint64_t kField = 0xffff;
constexpr uint64_t kEpochMask = 0xffffffff;

// A word of an epoch, a limit and a counter below it.
constexpr uint64_t Word(uint64_t epoch, uint64_t limit, uint64_t taken) { return epoch << 32U | limit << 16U | taken; }
constexpr uint64_t EpochOf(uint64_t word) { return word >> 32U; }
constexpr uint64_t LimitOf(uint64_t word) { return word >> 16U & kField; }
constexpr uint64_t TakenOf(uint64_t word) { return word & kField; }

int64_t Nanoseconds() { return Clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

}  // namespace

IntraOpTeam& IntraOpTeam::Process() {
  static auto* team = new IntraOpTeam([] { Scheduler::Process().WakeHelpers(); });
  return *team;
}

IntraOpTeam::Lease::Lease(IntraOpTeam& team, size_t helpers, size_t work) : team_(team) {
  static const bool one_processor = std::thread::hardware_concurrency() < 2;
  const bool alone = team.texts_.fetch_add(1) == 0 && !one_processor;
  const size_t members = std::min({helpers + 1, kMaxMembers, work / kWorkPerMember});
  if (!alone || members < 2 || Nanoseconds() < team.back_off_until_) {
    return;
  }
  shared_ = {members,
             [](void* context, size_t items, void (*task)(const void*, size_t, size_t), const void* work_of_items) {
               static_cast<IntraOpTeam*>(context)->Share(items, {task, work_of_items});
             },
             &team};
  team.joined_.store(Word((EpochOf(team.joined_) + 1) & kEpochMask, members, 1));
  if (team.spinners_ < members - 1) {
    team.wake_();
  }
}

IntraOpTeam::Lease::~Lease() {
  if (shared_.members > 1) {
    team_.joined_.store(Word(EpochOf(team_.joined_), 0, 0));
  }
  team_.texts_.fetch_sub(1);
}

bool IntraOpTeam::has_room() const noexcept {
  const uint64_t joined = joined_;
  return TakenOf(joined) < LimitOf(joined) && texts_ == 1;
}

void IntraOpTeam::Help(const std::function<bool()>& leave) noexcept {
  ++spinners_;
  for (auto end = Clock::now() + kHelperSpin; Clock::now() < end && !leave();) {
    uint64_t joined = joined_;
    if (TakenOf(joined) >= LimitOf(joined) || texts_ != 1 || !joined_.compare_exchange_strong(joined, joined + 1)) {
      Pause();
      continue;
    }
    const auto member = static_cast<size_t>(TakenOf(joined));
    // Until the lease has ended or another text needs the core.
    while (EpochOf(joined_) == EpochOf(joined) && LimitOf(joined_) != 0 && texts_ == 1 && !leave()) {
      if (!TakeItem(EpochOf(joined), member)) {
        Pause();
      }
    }
    end = Clock::now() + kHelperSpin;
  }
  --spinners_;
}

// The lease's epoch is compared after the tickets were read: then they are of this lease or of an older one, which has
// none left; and a later lease's tickets make the exchange fail.
bool IntraOpTeam::TakeItem(uint64_t lease, size_t member) noexcept {
  uint64_t tickets = tickets_;
  if (TakenOf(tickets) >= LimitOf(tickets) || EpochOf(joined_) != lease ||
      !tickets_.compare_exchange_strong(tickets, tickets + 1)) {
    return false;
  }
  part_.run(part_.work, TakenOf(tickets), member);
  done_.fetch_add(1);
  return true;
}

void IntraOpTeam::Share(size_t items, Part part) noexcept {
  part_ = part;
  done_ = 0;
  tickets_ = Word((EpochOf(tickets_) + 1) & kEpochMask, items, 0);
  const uint64_t lease = EpochOf(joined_);
  while (TakenOf(tickets_) < items) {
    TakeItem(lease, 0);
  }
  Wait(items);
}

void IntraOpTeam::Wait(size_t items) noexcept {
  if (done_ == items) {
    return;
  }
  const auto start = Clock::now();
  auto waited = Clock::duration::zero();
  while (done_ != items) {
    if (waited > kSpinLimit) {
      std::this_thread::yield();
    } else {
      Pause();
    }
    waited = Clock::now() - start;
  }
  if (waited > kLate) {
    back_off_until_ = Nanoseconds() + kBackOff / std::chrono::nanoseconds(1);
  }
}

}  // namespace gabion
