// The intra-op team: every item once, no member twice at a time, and nothing after a lease's end.
#include "intra_op_team.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace gabion {
namespace {

constexpr size_t kWork = 1'000'000'000;

/// A team whose helpers never sleep, so that they join as early as possible.
class Helpers {
 public:
  explicit Helpers(size_t count) : team([] {}) {
    for (size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this] {
        while (!ended_) {
          team.Help([this] { return ended_.load(); });
        }
      });
    }
  }
  ~Helpers() {
    ended_ = true;
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  Helpers(const Helpers&) = delete;
  Helpers& operator=(const Helpers&) = delete;

  IntraOpTeam team;

 private:
  std::atomic<bool> ended_{false};
  std::vector<std::thread> threads_;
};

/// Deliberately non-atomic: ThreadSanitizer reports a thread that does not wait for another.
struct Sheet {
  std::vector<int> runs;
  std::array<int, IntraOpTeam::kMaxMembers> of_member{};
};

void Count(const void* work, size_t item, size_t member) {
  auto& sheet = *static_cast<Sheet*>(const_cast<void*>(work));
  ++sheet.runs[item];
  ++sheet.of_member.at(member);
}

TEST(IntraOpTeam, RunsEveryItemOfEveryPartOnce) {
  Helpers helpers(3);
  int helped = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  // Helpers need a free processor occasionally; on a busy machine that may take long.
  for (int text = 0; text < 300 || (helped == 0 && std::chrono::steady_clock::now() < deadline); ++text) {
    const IntraOpTeam::Lease lease(helpers.team, 3, kWork);
    if (lease.team() == nullptr) {
      continue;  // a helper was late, and the team backs off
    }
    EXPECT_EQ(lease.team()->members, 4U);
    for (const size_t items : {1U, 12U, 2U, 40U}) {
      Sheet sheet{std::vector<int>(items), {}};
      lease.team()->parallel_for(lease.team()->context, items, Count, &sheet);
      EXPECT_EQ(sheet.runs, std::vector<int>(items, 1));
      helped += sheet.of_member[1] + sheet.of_member[2] + sheet.of_member[3];
    }
  }
  EXPECT_GT(helped, 0);
}

TEST(IntraOpTeam, IsForATextThatIsAlone) {
  Helpers helpers(1);
  const IntraOpTeam::Lease first(helpers.team, 1, kWork);
  EXPECT_NE(first.team(), nullptr);
  {
    const IntraOpTeam::Lease second(helpers.team, 1, kWork);
    EXPECT_EQ(second.team(), nullptr);
    EXPECT_FALSE(helpers.team.has_room());
    // The first continues alone.
    Sheet sheet{std::vector<int>(9), {}};
    first.team()->parallel_for(first.team()->context, 9, Count, &sheet);
    EXPECT_EQ(sheet.runs, std::vector<int>(9, 1));
  }
}

TEST(IntraOpTeam, IsNotForShortTextsAndWithoutHelpers) {
  Helpers helpers(1);
  EXPECT_EQ(IntraOpTeam::Lease(helpers.team, 1, 1000).team(), nullptr);
  EXPECT_EQ(IntraOpTeam::Lease(helpers.team, 0, kWork).team(), nullptr);
  EXPECT_FALSE(helpers.team.has_room());
}

TEST(IntraOpTeam, GoesOnWithoutHelpersThatDoNotCome) {
  IntraOpTeam team([] {});
  const IntraOpTeam::Lease lease(team, 2, kWork);
  ASSERT_NE(lease.team(), nullptr);
  EXPECT_TRUE(team.has_room());
  Sheet sheet{std::vector<int>(5), {}};
  lease.team()->parallel_for(lease.team()->context, 5, Count, &sheet);
  EXPECT_EQ(sheet.runs, std::vector<int>(5, 1));
  EXPECT_EQ(sheet.of_member[0], 5);
}

TEST(IntraOpTeam, ServesTextsOfManyThreads) {
  Helpers helpers(2);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int text = 0; text < 200; ++text) {
        const IntraOpTeam::Lease lease(helpers.team, 2, kWork);
        if (lease.team() == nullptr) {
          continue;
        }
        Sheet sheet{std::vector<int>(7), {}};
        lease.team()->parallel_for(lease.team()->context, 7, Count, &sheet);
        wrong += sheet.runs != std::vector<int>(7, 1);
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace gabion
