// Requests on the encoder threads: order, batches, cancellation and lifetimes, over a session that computes nothing.
#include "scheduler.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "fake_model.hpp"
#include "test_model.hpp"

namespace gabion {
namespace {

// Counts settled requests on any thread.
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

// A lease for the duration of a test.
class Lease {
 public:
  explicit Lease(size_t threads) { Scheduler::Process().Acquire(threads); }
  ~Lease() { Scheduler::Process().Release(); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
};

// Holds encoder threads inside a session's run until it is opened, or until their run is stopped.
class Gate {
 public:
  void Wait(const Scratch& scratch) {
    ++waiting_;
    while (!open_ && !scratch.stopped()) {
      std::this_thread::yield();
    }
  }
  void Open() { open_ = true; }
  void AwaitWaiting(size_t count) const {
    while (waiting_ < count) {
      std::this_thread::yield();
    }
  }

 private:
  std::atomic<bool> open_{false};
  std::atomic<size_t> waiting_{0};
};

std::shared_ptr<const Model> GatedModel(Gate& gate, size_t max_batch = 1) {
  return test::FakeModel(std::make_unique<const test::FakeSession>(
      [&gate](std::span<TextTask* const>, const Scratch& scratch) { gate.Wait(scratch); }, max_batch));
}

std::vector<std::string> SomeTexts(size_t count) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < count; ++i) {
    std::string text = i % 2 == 0 ? "text number one" : "two";
    for (size_t word = 0; word < (i * 7) % 5; ++word) {
      text += word % 2 == 0 ? " and" : " some more";
    }
    texts.push_back(text);
  }
  return texts;
}

std::shared_ptr<Request> MakeRequest(std::vector<std::string> texts, size_t parallel = 1,
                                     const std::shared_ptr<const Model>& model = test::FakeModel(),
                                     std::optional<WindowRule> rule = std::nullopt) {
  return std::make_shared<Request>(model, nullptr, std::move(texts), rule, parallel);
}

void Submit(const std::shared_ptr<Request>& request, Inbox& inbox) {
  Scheduler::Process().Submit(request, inbox.Done());
}

std::vector<float> VectorsOneByOne(const Model& model, const std::vector<std::string>& texts) {
  Scratch scratch;
  std::vector<float> vectors;
  for (const std::string& text : texts) {
    const auto vector = test::Embed(model, text, scratch);
    vectors.insert(vectors.end(), vector.begin(), vector.end());
  }
  return vectors;
}

TEST(Scheduler, AVectorIsTheSameAtEveryThreadCountAndInEveryBatch) {
  const auto texts = SomeTexts(24);
  const auto vectors = VectorsOneByOne(*test::FakeModel(), texts);
  const auto batched = test::FakeModel(
      std::make_unique<const test::FakeSession>(std::function<void(std::span<TextTask* const>, const Scratch&)>(), 8));
  for (const auto& model : {test::FakeModel(), batched}) {
    for (const size_t threads : {1U, 2U, 5U}) {
      const Lease lease(threads);
      Inbox inbox;
      const auto request = MakeRequest(texts, threads, model);
      Submit(request, inbox);
      ASSERT_TRUE(inbox.WaitFor(1));
      EXPECT_FALSE(request->failure().has_value());
      EXPECT_EQ(request->vectors(), vectors);
      EXPECT_GE(request->tasks()[0].token_count, 5);
    }
  }
}

TEST(Scheduler, WindowsAreTextsOfTheirOwn) {
  const Lease lease(2);
  Inbox inbox;
  const auto request =
      MakeRequest({"one two three text more", "", "word"}, 2, test::FakeModel(), WindowRule{.size = 2, .stride = 2});
  Submit(request, inbox);
  ASSERT_TRUE(inbox.WaitFor(1));
  ASSERT_FALSE(request->failure().has_value());
  const auto& tasks = request->tasks();
  EXPECT_EQ(tasks[0].window_results, VectorsOneByOne(*test::FakeModel(), {"one two", "three text", "more"}));
  EXPECT_EQ(tasks[0].windows[1].start, 8);
  EXPECT_EQ(tasks[0].windows[1].end, 18);
  EXPECT_TRUE(tasks[1].windows.empty());
  EXPECT_EQ(tasks[2].window_results, VectorsOneByOne(*test::FakeModel(), {"word"}));
  EXPECT_EQ(test::CodeOf([] { MakeRequest({"one"}, 1, test::FakeModel(), WindowRule{.size = 7, .stride = 1}); }),
            Code::kInvalidArgument);
}

TEST(Scheduler, TakesABatchOfAnyRequests) {
  const Lease lease(1);
  Gate gate;
  std::atomic<size_t> largest{0};
  const auto model = test::FakeModel(std::make_unique<const test::FakeSession>(
      [&](std::span<TextTask* const> tasks, const Scratch& scratch) {
        largest = std::max(largest.load(), tasks.size());
        gate.Wait(scratch);
      },
      4));
  Inbox inbox;
  std::vector<std::shared_ptr<Request>> requests;
  for (int i = 0; i < 6; ++i) {
    requests.push_back(MakeRequest({"one", "two three"}, 1, model));
    Submit(requests.back(), inbox);
    gate.AwaitWaiting(1);
  }
  gate.Open();
  ASSERT_TRUE(inbox.WaitFor(6));
  EXPECT_EQ(largest, 4U);
  for (const auto& request : requests) {
    EXPECT_EQ(request->vectors(), requests.front()->vectors());
  }
}

TEST(Scheduler, ASingleTextDoesNotWaitBehindAWholeBatch) {
  const Lease lease(1);
  Gate gate;
  const auto model = GatedModel(gate);
  Inbox batch_inbox;
  Inbox single_inbox;
  size_t batch_settled_before = 1;
  const auto batch = MakeRequest(SomeTexts(60), 1, model);
  const auto single = MakeRequest({"one text"}, 1, model);
  Submit(batch, batch_inbox);
  gate.AwaitWaiting(1);
  Scheduler::Process().Submit(single, [&](const std::shared_ptr<Request>& request) {
    batch_settled_before = batch_inbox.settled();
    single_inbox.Done()(request);
  });
  gate.Open();
  ASSERT_TRUE(single_inbox.WaitFor(1));
  EXPECT_EQ(batch_settled_before, 0U);
  ASSERT_TRUE(batch_inbox.WaitFor(1));
}

TEST(Scheduler, CancelSettlesOnceAndFreesTheQueue) {
  const Lease lease(2);
  Gate gate;
  Inbox inbox;
  const auto request = MakeRequest(SomeTexts(200), 2, GatedModel(gate));
  Submit(request, inbox);
  gate.AwaitWaiting(2);
  Scheduler::Process().Cancel(request, Error(Code::kAborted, "enough"));
  Scheduler::Process().Cancel(request, Error(Code::kAborted, "really"));
  ASSERT_TRUE(inbox.WaitFor(1));
  ASSERT_TRUE(request->failure().has_value());
  EXPECT_EQ(request->failure()->code(), Code::kAborted);
  EXPECT_STREQ(request->failure()->what(), "enough");

  const auto next = MakeRequest({"more"});
  Submit(next, inbox);
  ASSERT_TRUE(inbox.WaitFor(2));
  EXPECT_FALSE(next->failure().has_value());
  EXPECT_EQ(inbox.settled(), 2U);
  Scheduler::Process().Cancel(next, Error(Code::kAborted, "too late"));
  EXPECT_FALSE(next->failure().has_value());
  EXPECT_EQ(inbox.settled(), 2U);
}

TEST(Scheduler, CancelLeavesTheRestOfABatchRunning) {
  const Lease lease(1);
  Gate gate;
  const auto model = GatedModel(gate, 4);
  Inbox inbox;
  const auto first = MakeRequest({"one"}, 1, model);
  const auto cancelled = MakeRequest({"two"}, 1, model);
  const auto other = MakeRequest({"three"}, 1, model);
  Submit(first, inbox);
  gate.AwaitWaiting(1);
  Submit(cancelled, inbox);
  Submit(other, inbox);
  Scheduler::Process().Cancel(cancelled, Error(Code::kAborted, "enough"));
  gate.Open();
  ASSERT_TRUE(inbox.WaitFor(3));
  EXPECT_FALSE(first->failure().has_value());
  EXPECT_FALSE(other->failure().has_value());
  EXPECT_EQ(cancelled->failure()->code(), Code::kAborted);
}

TEST(Scheduler, RefusesWhatDoesNotFitIntoTheQueue) {
  const Lease lease(1);
  Gate gate;
  Inbox inbox;
  const auto full = MakeRequest(std::vector<std::string>(Scheduler::kQueueCapacity, "one"), 1, GatedModel(gate));
  Submit(full, inbox);
  gate.AwaitWaiting(1);
  const auto more = MakeRequest({"one", "two"});  // one text of the first request runs
  EXPECT_EQ(test::CodeOf([&] { Submit(more, inbox); }), Code::kOverloaded);
  Scheduler::Process().Cancel(full, Error(Code::kAborted, "enough"));
  ASSERT_TRUE(inbox.WaitFor(1));
  Submit(more, inbox);
  ASSERT_TRUE(inbox.WaitFor(2));
  EXPECT_FALSE(more->failure().has_value());
}

TEST(Scheduler, OneBadTextFailsItsRequestOnly) {
  for (const size_t max_batch : {1U, 8U}) {
    const Lease lease(2);
    const auto model = test::FakeModel(std::make_unique<const test::FakeSession>(
        std::function<void(std::span<TextTask* const>, const Scratch&)>(), max_batch));
    Inbox inbox;
    auto texts = SomeTexts(10);
    texts[4] = "\xFF\xFE";
    const auto bad = MakeRequest(texts, 2, model);
    const auto good = MakeRequest(SomeTexts(10), 2, model);
    Submit(bad, inbox);
    Submit(good, inbox);
    ASSERT_TRUE(inbox.WaitFor(2));
    ASSERT_TRUE(bad->failure().has_value());
    EXPECT_EQ(bad->failure()->code(), Code::kTokenizerFailed);
    EXPECT_FALSE(good->failure().has_value());
  }
}

TEST(Scheduler, RefusesARequestWithoutTexts) {
  const Lease lease(1);
  Inbox inbox;
  const auto empty = MakeRequest({});
  EXPECT_EQ(test::CodeOf([&] { Submit(empty, inbox); }), Code::kInvalidArgument);
}

TEST(Scheduler, StartsAgainAfterTheLastLease) {
  for (int round = 0; round < 20; ++round) {
    const Lease lease(1 + static_cast<size_t>(round % 3));
    Inbox inbox;
    Submit(MakeRequest({"number " + std::to_string(round)}), inbox);
    ASSERT_TRUE(inbox.WaitFor(1));
  }
}

TEST(Scheduler, ARequestOutlivesTheLeaseAndTheModelThatItWasSubmittedUnder) {
  Gate gate;
  Inbox inbox;
  std::shared_ptr<Request> request;
  {
    const Lease lease(1);
    request = MakeRequest(SomeTexts(6), 1, GatedModel(gate));
    Submit(request, inbox);
    gate.AwaitWaiting(1);
  }
  gate.Open();
  EXPECT_TRUE(inbox.WaitFor(1));
  EXPECT_FALSE(request->failure().has_value());
}

}  // namespace
}  // namespace gabion
