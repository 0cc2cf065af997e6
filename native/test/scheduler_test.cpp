#include "scheduler.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "test_model.hpp"

namespace gabion {
namespace {

// Collects settled requests, whichever thread settles them.
class Inbox {
 public:
  Request::Done Done() {
    return [this](const std::shared_ptr<Request>&) {
      const std::lock_guard lock(mutex_);
      ++settled_;
      changed_.notify_all();
    };
  }
  bool WaitFor(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(120), [&] { return settled_ >= count; });
  }
  size_t settled() {
    const std::lock_guard lock(mutex_);
    return settled_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t settled_ = 0;
};

// A lease for the length of a test.
class Lease {
 public:
  explicit Lease(size_t threads) { Scheduler::Process().Acquire(threads); }
  ~Lease() { Scheduler::Process().Release(); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
};

std::vector<std::string> SomeTexts(size_t count) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < count; ++i) {
    std::string text = "text number " + std::to_string(i);
    for (size_t word = 0; word < (i * 7) % 23; ++word) {
      text += " and some more words";
    }
    texts.push_back(text);
  }
  return texts;
}

std::shared_ptr<Request> MakeRequest(std::vector<std::string> texts, size_t parallel, Inbox& inbox) {
  return std::make_shared<Request>(test::BundledModel(), nullptr, std::move(texts), std::nullopt, parallel,
                                   inbox.Done());
}

TEST(Scheduler, AVectorIsTheSameAtEveryThreadCountAndInEveryBatch) {
  const auto texts = SomeTexts(24);
  const auto& model = test::BundledModel();
  std::vector<float> vectors(texts.size() * model->dimensions());
  std::vector<int32_t> tokens(texts.size() * 2);
  Scratch scratch;
  EncodeTimes times;
  for (size_t i = 0; i < texts.size(); ++i) {
    model->Embed(texts[i], nullptr, scratch, vectors.data() + i * model->dimensions(), nullptr, &tokens[2 * i],
                 &tokens[2 * i + 1], times);
  }
  for (const size_t threads : {1U, 2U, 5U}) {
    const Lease lease(threads);
    Inbox inbox;
    const auto together = MakeRequest(texts, threads, inbox);
    Scheduler::Process().Submit(together);
    ASSERT_TRUE(inbox.WaitFor(1));
    EXPECT_FALSE(together->failure().has_value());
    EXPECT_EQ(together->vectors(), vectors);
    EXPECT_EQ(together->tokens(), tokens);
  }
}

TEST(Scheduler, ASingleTextDoesNotWaitBehindAWholeBatch) {
  const Lease lease(1);
  Inbox batch_inbox;
  Inbox single_inbox;
  const auto batch = MakeRequest(SomeTexts(60), 1, batch_inbox);
  const auto single = MakeRequest({"one text"}, 1, single_inbox);
  Scheduler::Process().Submit(batch);
  Scheduler::Process().Submit(single);
  ASSERT_TRUE(single_inbox.WaitFor(1));
  EXPECT_EQ(batch_inbox.settled(), 0U);
  ASSERT_TRUE(batch_inbox.WaitFor(1));
}

TEST(Scheduler, CancelSettlesOnceAndFreesTheQueue) {
  const Lease lease(2);
  Inbox inbox;
  const auto request = MakeRequest(SomeTexts(200), 2, inbox);
  Scheduler::Process().Submit(request);
  Scheduler::Process().Cancel(request, Error(Code::kAborted, "enough"));
  Scheduler::Process().Cancel(request, Error(Code::kAborted, "really"));
  ASSERT_TRUE(inbox.WaitFor(1));
  ASSERT_TRUE(request->failure().has_value());
  EXPECT_EQ(request->failure()->code(), Code::kAborted);

  const auto next = MakeRequest({"still alive"}, 1, inbox);
  Scheduler::Process().Submit(next);
  ASSERT_TRUE(inbox.WaitFor(2));
  EXPECT_FALSE(next->failure().has_value());
  EXPECT_EQ(inbox.settled(), 2U);
  Scheduler::Process().Cancel(next, Error(Code::kAborted, "too late"));
  EXPECT_FALSE(next->failure().has_value());
  EXPECT_EQ(inbox.settled(), 2U);
}

TEST(Scheduler, RefusesWhatDoesNotFitIntoTheQueue) {
  const Lease lease(1);
  Inbox inbox;
  const auto full = MakeRequest(std::vector<std::string>(Scheduler::kQueueCapacity, "x"), 1, inbox);
  Scheduler::Process().Submit(full);
  const auto more = MakeRequest(SomeTexts(1000), 1, inbox);  // the first request's texts do not all wait
  EXPECT_EQ(test::CodeOf([&] { Scheduler::Process().Submit(more); }), Code::kOverloaded);
  Scheduler::Process().Cancel(full, Error(Code::kAborted, "enough"));
  ASSERT_TRUE(inbox.WaitFor(1));
  const auto later = MakeRequest({"one", "two"}, 1, inbox);
  Scheduler::Process().Submit(later);
  ASSERT_TRUE(inbox.WaitFor(2));
  EXPECT_FALSE(later->failure().has_value());
}

TEST(Scheduler, OneBadTextFailsItsRequestOnly) {
  const Lease lease(2);
  Inbox inbox;
  auto texts = SomeTexts(10);
  texts[4] = "\xFF\xFE";
  const auto bad = MakeRequest(texts, 2, inbox);
  const auto good = MakeRequest(SomeTexts(10), 2, inbox);
  Scheduler::Process().Submit(bad);
  Scheduler::Process().Submit(good);
  ASSERT_TRUE(inbox.WaitFor(2));
  ASSERT_TRUE(bad->failure().has_value());
  EXPECT_EQ(bad->failure()->code(), Code::kTokenizerFailed);
  EXPECT_FALSE(good->failure().has_value());
}

TEST(Scheduler, RefusesARequestWithoutTexts) {
  const Lease lease(1);
  Inbox inbox;
  const auto empty = MakeRequest({}, 1, inbox);
  EXPECT_EQ(test::CodeOf([&] { Scheduler::Process().Submit(empty); }), Code::kInvalidArgument);
}

TEST(Scheduler, StartsAgainAfterTheLastLease) {
  for (int round = 0; round < 20; ++round) {
    const Lease lease(1 + static_cast<size_t>(round % 3));
    Inbox inbox;
    Scheduler::Process().Submit(MakeRequest({"round " + std::to_string(round)}, 1, inbox));
    ASSERT_TRUE(inbox.WaitFor(1));
  }
}

TEST(Scheduler, ARequestOutlivesTheLeaseThatItWasSubmittedUnder) {
  Inbox inbox;
  {
    const Lease lease(1);
    Scheduler::Process().Submit(MakeRequest(SomeTexts(6), 1, inbox));
  }
  EXPECT_TRUE(inbox.WaitFor(1));
}

}  // namespace
}  // namespace gabion
