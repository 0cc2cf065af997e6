#include "text_crew.hpp"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "pause.hpp"
#include "scheduler.hpp"

namespace gabion {
namespace {

using Clock = std::chrono::steady_clock;

// Multiply-adds for which one more thread is worth its waking: some ten microseconds of a core.
constexpr size_t kWorthOfMember = 30'000'000;
// A text's parts follow each other within microseconds, texts of a caller who waits for each within some tens.
constexpr auto kLookout = std::chrono::microseconds(100);
// Parts end together but for one item's length. Whoever takes longer has lost its processor.
constexpr auto kPatience = std::chrono::microseconds(50);
constexpr auto kLate = std::chrono::microseconds(500);
constexpr auto kQuiet = std::chrono::milliseconds(20);

constexpr uint64_t kField = 0xffff;

constexpr uint64_t Word(uint64_t number, uint64_t count, uint64_t taken) {
  return number << 32U | count << 16U | taken;
}
constexpr uint64_t NumberOf(uint64_t word) { return word >> 32U; }
constexpr uint64_t CountOf(uint64_t word) { return word >> 16U & kField; }
constexpr uint64_t TakenOf(uint64_t word) { return word & kField; }

int64_t Nanoseconds() { return Clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

}  // namespace

TextCrew& TextCrew::Process() {
  static auto* crew = new TextCrew([] { Scheduler::Process().CallHelpers(); });
  return *crew;
}

TextCrew::Run::Run(TextCrew& crew, size_t helpers, size_t work) : crew_(crew) {
  static const bool one_processor = std::thread::hardware_concurrency() < 2;
  const bool alone = crew.texts_.fetch_add(1) == 0 && !one_processor;
  const size_t members = std::min({helpers + 1, kMost, work / kWorthOfMember});
  if (!alone || members < 2 || Nanoseconds() < crew.quiet_until_) {
    return;
  }
  shared_ = {members,
             [](void* context, size_t items, void (*task)(const void*, size_t, size_t), const void* parts) {
               static_cast<TextCrew*>(context)->Share(items, {task, parts});
             },
             &crew};
  crew.roll_.store(Word((NumberOf(crew.roll_) + 1) & 0xffffffffU, members, 1));
  if (crew.lookouts_ < members - 1) {
    crew.call_();
  }
}

TextCrew::Run::~Run() {
  if (shared_.members > 1) {
    crew_.roll_.store(Word(NumberOf(crew_.roll_), 0, 0));
  }
  crew_.texts_.fetch_sub(1);
}

bool TextCrew::wanted() const noexcept {
  const uint64_t roll = roll_;
  return TakenOf(roll) < CountOf(roll) && texts_ == 1;
}

void TextCrew::Help(const std::function<bool()>& leave) noexcept {
  ++lookouts_;
  for (auto end = Clock::now() + kLookout; Clock::now() < end && !leave();) {
    uint64_t roll = roll_;
    if (TakenOf(roll) >= CountOf(roll) || texts_ != 1 || !roll_.compare_exchange_strong(roll, roll + 1)) {
      Pause();
      continue;
    }
    const auto member = static_cast<size_t>(TakenOf(roll));
    // Until the run has ended or another text needs the processor.
    while (NumberOf(roll_) == NumberOf(roll) && CountOf(roll_) != 0 && texts_ == 1 && !leave()) {
      if (!TakeItem(NumberOf(roll), member)) {
        Pause();
      }
    }
    end = Clock::now() + kLookout;
  }
  --lookouts_;
}

// The run's number is compared after the claim was read: then the claim is this run's or an old one, in which nothing
// is left; and a claim of another run, which somebody makes later, lets the exchange fail.
bool TextCrew::TakeItem(uint64_t run, size_t member) noexcept {
  uint64_t claim = claim_;
  if (TakenOf(claim) >= CountOf(claim) || NumberOf(roll_) != run || !claim_.compare_exchange_strong(claim, claim + 1)) {
    return false;
  }
  part_.run(part_.work, TakenOf(claim), member);
  done_.fetch_add(1);
  return true;
}

void TextCrew::Share(size_t items, Part part) noexcept {
  part_ = part;
  done_ = 0;
  claim_ = Word((NumberOf(claim_) + 1) & 0xffffffffU, items, 0);
  const uint64_t run = NumberOf(roll_);
  while (TakenOf(claim_) < items) {
    TakeItem(run, 0);
  }
  Wait(items);
}

void TextCrew::Wait(size_t items) noexcept {
  if (done_ == items) {
    return;
  }
  const auto start = Clock::now();
  auto waited = Clock::duration::zero();
  while (done_ != items) {
    if (waited > kPatience) {
      sched_yield();
    } else {
      Pause();
    }
    waited = Clock::now() - start;
  }
  if (waited > kLate) {
    quiet_until_ = Nanoseconds() + kQuiet / std::chrono::nanoseconds(1);
  }
}

}  // namespace gabion
