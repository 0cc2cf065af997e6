// Requests (texts to embed) and the one set of encoder threads that works them off.
//
// - A text has one thread, and helpers while it is the only one (text_crew.hpp). Texts of one request run side by side,
//   longest first; requests take turns text by text,
//   so that a single text never waits behind a whole batch.
// - Where a model runs several texts together (on a graphics card), a thread takes as many as wait, of any requests.
// - The queue is bounded: a request that does not fit is refused at once (kOverloaded).
// - A request owns its texts and its results. Nobody else's memory is touched by an encoder thread, so a caller may
//   vanish at any time; its running texts then finish into nothing.
// - A request is settled exactly once: `done` is called when its last text has ended, or when it was cancelled and none
//   of its texts runs any more. It is called on an encoder thread or on the thread that cancelled, with no lock held.
// - Threads live while anybody holds a lease (an open model, a request under way). The last lease lets them end; they
//   are joined when the next one starts new ones, or at process exit, never by a thread that might be one of them.
// - A thread that has run out of texts looks out for the next one for kWatch before it sleeps, and no more than one
// thread
//   does: a caller who waits for each text sends the next one within that time, and waking a sleeping processor costs
//   more than a short text's whole run on some machines.
// - The scheduler itself is never destroyed: an encoder thread may still look at it while the process exits.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "model.hpp"

namespace gabion {

/// One call's texts on their way through the encoder, and its results.
class Request {
 public:
  using Done = std::function<void(const std::shared_ptr<Request>&)>;

  /// Throws kProjectionMismatch, kInvalidArgument. `parallel` is the number of texts that may run at once. With a rule,
  /// texts are embedded window by window and the results are in `windowed`, else in `vectors`, `projected`, `tokens`.
  Request(std::shared_ptr<const Model> model, std::shared_ptr<const Projection> projection,
          std::vector<std::string> texts, std::optional<WindowRule> rule, size_t parallel, Done done);

  size_t size() const noexcept { return texts_.size(); }

  // Results; to be read after `done`.
  const std::optional<Error>& failure() const noexcept { return failure_; }
  const std::vector<float>& vectors() const noexcept { return vectors_; }
  const std::vector<float>& projected() const noexcept { return projected_; }
  const std::vector<int32_t>& tokens() const noexcept { return tokens_; }  ///< pairs: kept, total
  bool by_windows() const noexcept { return rule_.has_value(); }
  const std::vector<WindowedText>& windowed() const noexcept { return windowed_; }
  const EncodeTimes& times() const noexcept { return times_; }
  int64_t queue_ns() const noexcept { return queue_ns_; }  ///< from submission to the first text's start

 private:
  friend class Scheduler;
  void EmbedText(size_t index, Scratch& scratch, EncodeTimes& times);
  TextInOut PlaceOf(size_t index);
  /// Whether one more of its texts may run now.
  bool MayRun() const noexcept { return running_ < parallel_ * model_->texts_at_once(); }

  const std::shared_ptr<const Model> model_;
  const std::shared_ptr<const Projection> projection_;
  const std::vector<std::string> texts_;
  const std::optional<WindowRule> rule_;
  const size_t parallel_;
  const Done done_;

  std::vector<float> vectors_;
  std::vector<float> projected_;
  std::vector<int32_t> tokens_;
  std::vector<WindowedText> windowed_;

  // Guarded by the scheduler's mutex until settled.
  std::vector<size_t> order_;
  size_t started_ = 0;
  size_t running_ = 0;
  bool settled_ = false;
  std::optional<Error> failure_;
  EncodeTimes times_;
  std::chrono::steady_clock::time_point submitted_;
  int64_t queue_ns_ = 0;
};

class Scheduler {
 public:
  /// Texts that may wait at once, over all requests.
  static constexpr size_t kQueueCapacity = 16384;

  /// The process's only one.
  static Scheduler& Process();

  /// Keeps at least `threads` encoder threads alive until the matching Release.
  void Acquire(size_t threads);
  void Release() noexcept;

  /// Throws kOverloaded, kInvalidArgument (no text). The caller must hold a lease.
  void Submit(const std::shared_ptr<Request>& request);

  /// Drops what has not started, stops what runs; the request then fails with the given error. No effect once settled.
  void Cancel(const std::shared_ptr<Request>& request, const Error& reason);

  /// Wakes threads that have no text, so that they help the running one.
  void CallHelpers() noexcept;

 private:
  /// A text of a request, on an encoder thread.
  struct Job {
    std::shared_ptr<Request> request;
    size_t index = 0;
    std::optional<Error> failure;
    EncodeTimes times;
  };
  struct Slot {
    Scratch scratch;
    std::vector<Job> running;
    bool finished = false;
    std::thread thread;
  };

  Scheduler() = default;
  void Work(Slot& slot);
  bool TakeTexts(std::vector<Job>& jobs);
  bool TakeText(const Model* model, std::vector<Job>& jobs);
  static void Embed(std::vector<Job>& jobs, Scratch& scratch);
  bool EndLocked(Job& job);
  void Watch(std::unique_lock<std::mutex>& lock);
  bool StopLocked(Request& request, const Error& reason);
  void StopAtExit() noexcept;

  // Held while threads are started or joined. Never taken by an encoder thread.
  std::mutex threads_mutex_;
  std::vector<std::unique_ptr<Slot>> slots_;
  bool registered_ = false;
  size_t registered_after_ = 0;  ///< so many runtimes were open then

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable thread_ended_;
  std::deque<std::shared_ptr<Request>> queue_;
  size_t waiting_texts_ = 0;
  bool watching_ = false;  ///< a thread looks at arrivals_ and needs no waking
  std::atomic<size_t> arrivals_{0};
  size_t leases_ = 0;
  bool stopping_ = false;
  bool exiting_ = false;
};

}  // namespace gabion
