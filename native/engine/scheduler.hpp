// Requests (texts to embed) and the process's one pool of encoder threads.
//
// - A text runs on one thread, with an intra-op team while it is the only one (intra_op_team.hpp). Texts of one request
//   run side by side, longest first; requests are interleaved text by text, so that a single text never waits behind a
//   whole batch.
// - Where a session runs several texts together (padded batches on a graphics card), a thread takes as many as wait,
//   of any requests.
// - The queue is bounded: a request that does not fit is refused at once (kOverloaded).
// - A request owns its texts and its results. An encoder thread writes to no other memory, so a caller may go away at
//   any time; its running texts then finish without an effect.
// - A request is settled exactly once: `done` is called when its last text has ended, or when it was cancelled and none
//   of its texts runs any more. It is called on an encoder thread or on the thread that cancelled, with no lock held.
// - Threads live while there is a lease (an open model, a request in flight). After the last lease they end; they are
//   joined when the next lease starts new ones, or at process exit, never by a thread that might be one of them.
// - A thread that runs out of texts spin-waits for the next one (kSpinWait) before it sleeps, one thread at a time: a
//   caller that awaits each text submits the next one within that time, and waking a sleeping core costs more than a
//   short text's whole run on some machines.
// - The scheduler itself is never destroyed: an encoder thread may still use it while the process exits.
//
// A build with GABION_CHECK_THREADS asserts these rules (thread_checks.hpp).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "../system/thread.hpp"
#include "model.hpp"
#include "thread_checks.hpp"

namespace gabion {

/// One call's texts, as tasks, with the memory of their results.
class Request {
 public:
  using Done = std::function<void(const std::shared_ptr<Request>&)>;

  /// Throws kProjectionMismatch, kInvalidArgument. `parallel` is the number of texts that may run at once, `skipped`
  /// that of leading tokens of each text, a prompt's, that are not pooled.
  Request(std::shared_ptr<const Model> model, std::shared_ptr<const Projection> projection,
          std::vector<std::string> texts, std::optional<WindowRule> rule, size_t parallel, size_t skipped = 0);

  /// Segmented inputs, for a model that takes them. Throws kInvalidArgument.
  Request(std::shared_ptr<const Model> model, std::vector<SegmentedInput> inputs, size_t parallel);

  size_t size() const noexcept { return tasks_.size(); }
  /// Whether an input may have any number of windows: with a rule, and of segmented inputs.
  bool has_windows() const noexcept { return has_windows_; }

  // Results; to be read after `done`.
  const std::optional<Error>& failure() const noexcept { return failure_; }
  const std::vector<TextTask>& tasks() const noexcept { return tasks_; }
  /// Without a rule: the vectors of all tasks, [texts, dimensions], and [texts, components]. Their sizes are fixed.
  const std::vector<float>& vectors() const noexcept { return vectors_; }
  const std::vector<float>& projected() const noexcept { return projected_; }
  /// Summed over the texts.
  EncodeTimes times() const noexcept;
  int64_t queue_ns() const noexcept { return queue_ns_; }  ///< from submission to the first text's start

 private:
  friend class Scheduler;
  /// Whether one more of its texts may run now.
  bool MayRun() const noexcept { return running_ < parallel_ * model_->session().max_batch(); }

  const std::shared_ptr<const Model> model_;
  const std::shared_ptr<const Projection> projection_;
  const std::vector<std::string> texts_;
  const std::vector<SegmentedInput> inputs_;
  const bool has_windows_;
  const size_t parallel_;
  Done done_;

  std::vector<float> vectors_;
  std::vector<float> projected_;
  std::vector<TextTask> tasks_;  ///< each is one encoder thread's while it runs

  // Guarded by the scheduler's mutex until settled.
  std::vector<size_t> order_;
  size_t started_ = 0;
  size_t running_ = 0;
  bool settled_ = false;
  std::optional<Error> failure_;
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

  /// `done` is called once, on any thread. Throws kOverloaded, kInvalidArgument (no text). The caller must hold a
  /// lease.
  void Submit(const std::shared_ptr<Request>& request, Request::Done done);

  /// Drops what has not started, stops what runs; the request then fails with the given error. No effect once settled.
  void Cancel(const std::shared_ptr<Request>& request, const Error& reason);

  /// Wakes idle threads, so that they join the running text's team.
  void WakeHelpers() noexcept;

 private:
  /// A text of a request, on an encoder thread.
  struct RunningText {
    std::shared_ptr<Request> request;
    TextTask* task = nullptr;
    std::optional<Error> failure;
  };
  struct EncoderThread {
    Scratch scratch;
    std::vector<RunningText> running;
    bool finished = false;
    Thread thread;
  };

  Scheduler() = default;
  void Work(EncoderThread& self);
  bool TakeBatchLocked(std::vector<RunningText>& texts);
  bool TakeTextLocked(const Model* model, std::vector<RunningText>& texts);
  static void Embed(std::vector<RunningText>& texts, Scratch& scratch);
  bool EndTextLocked(RunningText& text);
  void SpinWait(std::unique_lock<Mutex>& lock);
  bool StopLocked(Request& request, const Error& reason);
  void Settle(const std::shared_ptr<Request>& request);
  void StopAtExit() noexcept;

  // Held while threads are started or joined. Never taken by an encoder thread.
  Mutex threads_mutex_;
  std::vector<std::unique_ptr<EncoderThread>> threads_;
  bool registered_ = false;
  size_t registered_after_ = 0;  ///< number of runtimes that were open then

  Mutex mutex_;
  ConditionVariable wake_;
  ConditionVariable thread_ended_;
  std::deque<std::shared_ptr<Request>> queue_;
  size_t queued_texts_ = 0;
  bool spinning_ = false;  ///< a thread polls arrivals_ and needs no waking
  std::atomic<size_t> arrivals_{0};
  size_t leases_ = 0;
  bool stopping_ = false;
  bool exiting_ = false;
};

}  // namespace gabion
