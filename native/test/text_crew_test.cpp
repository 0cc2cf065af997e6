// Threads that help with one text: every item once, no member twice at a time, and nothing after a run's end.
#include "text_crew.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace gabion {
namespace {

constexpr size_t kWork = 1'000'000'000;

/// A crew whose helpers never sleep, so that they are there as early as can be.
class Helpers {
 public:
  explicit Helpers(size_t count) : crew([] {}) {
    for (size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this] {
        while (!ended_) {
          crew.Help([this] { return ended_.load(); });
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

  TextCrew crew;

 private:
  std::atomic<bool> ended_{false};
  std::vector<std::thread> threads_;
};

/// Plain memory on purpose: ThreadSanitizer sees who does not wait for whom.
struct Sheet {
  std::vector<int> runs;
  std::array<int, TextCrew::kMost> of_member{};
};

void Count(const void* work, size_t item, size_t member) {
  auto& sheet = *static_cast<Sheet*>(const_cast<void*>(work));
  ++sheet.runs[item];
  ++sheet.of_member.at(member);
}

TEST(TextCrew, RunsEveryItemOfEveryPartOnce) {
  Helpers helpers(3);
  int helped = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  // Helpers need a processor of their own now and then; a busy machine may take its time.
  for (int text = 0; text < 300 || (helped == 0 && std::chrono::steady_clock::now() < deadline); ++text) {
    const TextCrew::Run run(helpers.crew, 3, kWork);
    if (run.crew() == nullptr) {
      continue;  // a helper was late, and the crew has a rest
    }
    EXPECT_EQ(run.crew()->members, 4U);
    for (const size_t items : {1U, 12U, 2U, 40U}) {
      Sheet sheet{std::vector<int>(items), {}};
      run.crew()->share(run.crew()->who, items, Count, &sheet);
      EXPECT_EQ(sheet.runs, std::vector<int>(items, 1));
      helped += sheet.of_member[1] + sheet.of_member[2] + sheet.of_member[3];
    }
  }
  EXPECT_GT(helped, 0);
}

TEST(TextCrew, IsForATextThatIsAlone) {
  Helpers helpers(1);
  const TextCrew::Run first(helpers.crew, 1, kWork);
  EXPECT_NE(first.crew(), nullptr);
  {
    const TextCrew::Run second(helpers.crew, 1, kWork);
    EXPECT_EQ(second.crew(), nullptr);
    EXPECT_FALSE(helpers.crew.wanted());
    // The first goes on by itself.
    Sheet sheet{std::vector<int>(9), {}};
    first.crew()->share(first.crew()->who, 9, Count, &sheet);
    EXPECT_EQ(sheet.runs, std::vector<int>(9, 1));
  }
}

TEST(TextCrew, IsNotForShortTextsAndWithoutHelpers) {
  Helpers helpers(1);
  EXPECT_EQ(TextCrew::Run(helpers.crew, 1, 1000).crew(), nullptr);
  EXPECT_EQ(TextCrew::Run(helpers.crew, 0, kWork).crew(), nullptr);
  EXPECT_FALSE(helpers.crew.wanted());
}

TEST(TextCrew, GoesOnWithoutHelpersThatDoNotCome) {
  TextCrew crew([] {});
  const TextCrew::Run run(crew, 2, kWork);
  ASSERT_NE(run.crew(), nullptr);
  EXPECT_TRUE(crew.wanted());
  Sheet sheet{std::vector<int>(5), {}};
  run.crew()->share(run.crew()->who, 5, Count, &sheet);
  EXPECT_EQ(sheet.runs, std::vector<int>(5, 1));
  EXPECT_EQ(sheet.of_member[0], 5);
}

TEST(TextCrew, ServesTextsOfManyThreads) {
  Helpers helpers(2);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int text = 0; text < 200; ++text) {
        const TextCrew::Run run(helpers.crew, 2, kWork);
        if (run.crew() == nullptr) {
          continue;
        }
        Sheet sheet{std::vector<int>(7), {}};
        run.crew()->share(run.crew()->who, 7, Count, &sheet);
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
