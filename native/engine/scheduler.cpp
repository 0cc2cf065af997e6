#include "scheduler.hpp"

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <new>
#include <numeric>
#include <thread>
#include <utility>

#include "intra_op_team.hpp"
#include "pause.hpp"

namespace gabion {
namespace {

using Clock = std::chrono::steady_clock;

// How long process exit waits for running texts. A run stops between two layers, within milliseconds; only tokenizing a
// huge text can take longer, and that uses nothing that exit destroys.
constexpr auto kExitTimeout = std::chrono::seconds(1);

// See the head of scheduler.hpp.
constexpr auto kSpinWait = std::chrono::microseconds(100);

// Signals belong to the host's threads.
class SignalsBlocked {
 public:
#if defined(_WIN32)
  SignalsBlocked() {}  // there are none
  ~SignalsBlocked() {}
#else
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }
#endif
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

#if !defined(_WIN32)
 private:
  sigset_t previous_{};
#endif
};

thread_local bool on_encoder_thread = false;

}  // namespace

Request::Request(std::shared_ptr<const Model> model, std::shared_ptr<const Projection> projection,
                 std::vector<std::string> texts, std::optional<WindowRule> rule, size_t parallel, size_t skipped)
    : model_(std::move(model)),
      projection_(std::move(projection)),
      texts_(std::move(texts)),
      has_windows_(rule.has_value()),
      parallel_(std::max<size_t>(1, parallel)),
      tasks_(texts_.size()) {
  if (model_->takes_segments()) {
    throw Error(Code::kInvalidArgument, "the model is a classifier, which does not embed texts");
  }
  if (projection_ != nullptr) {
    model_->Accepts(*projection_);
  }
  if (rule) {
    model_->Accepts(*rule);
  } else {
    vectors_.resize(texts_.size() * model_->dimensions());
    projected_.resize(projection_ == nullptr ? 0 : texts_.size() * projection_->components());
  }
  for (size_t i = 0; i < texts_.size(); ++i) {
    TextTask& task = tasks_[i];
    task.text = texts_[i];
    task.rule = rule;
    task.skipped_tokens = rule ? 0 : skipped;
    task.projection = projection_.get();
    if (!rule) {
      task.vectors = vectors_.data() + i * model_->dimensions();
      task.projected = projection_ == nullptr ? nullptr : projected_.data() + i * projection_->components();
    }
  }
}

Request::Request(std::shared_ptr<const Model> model, std::vector<SegmentedInput> inputs, size_t parallel)
    : model_(std::move(model)),
      inputs_(std::move(inputs)),
      has_windows_(true),
      parallel_(std::max<size_t>(1, parallel)),
      tasks_(inputs_.size()) {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    model_->Accepts(inputs_[i]);
    tasks_[i].input = &inputs_[i];
  }
}

EncodeTimes Request::times() const noexcept {
  EncodeTimes sum;
  for (const TextTask& task : tasks_) {
    sum.tokenize_ns += task.times.tokenize_ns;
    sum.encode_ns += task.times.encode_ns;
    sum.project_ns += task.times.project_ns;
  }
  return sum;
}

Scheduler& Scheduler::Process() {
  static auto* scheduler = new Scheduler();  // never freed, see the head of scheduler.hpp
  return *scheduler;
}

void Scheduler::Acquire(size_t threads) {
  CheckThread(!on_encoder_thread, "an encoder thread starts or joins encoder threads");
  const std::lock_guard threads_lock(threads_mutex_);
  // Exit handlers run in reverse order: ours must run before those of ONNX Runtime, which may be opened any time later.
  const size_t opened = Runtime::OpenCount();
  if (!registered_ || opened > registered_after_) {
    registered_ = std::atexit([] { Process().StopAtExit(); }) == 0;
    registered_after_ = opened;
  }

  bool restart = false;
  {
    const std::lock_guard lock(mutex_);
    if (exiting_) {
      throw Error(Code::kDisposed, "the process is exiting");
    }
    ++leases_;
    restart = stopping_;
  }
  try {
    if (restart) {
      for (const auto& encoder : threads_) {
        encoder->thread.join();
      }
      threads_.clear();
      const std::lock_guard lock(mutex_);
      stopping_ = false;
    }
    while (threads_.size() < threads) {
      auto encoder = std::make_unique<EncoderThread>();
      const SignalsBlocked blocked;
      encoder->thread = Thread([this, raw = encoder.get()] { Work(*raw); });
      const std::lock_guard lock(mutex_);  // Cancel walks the threads
      threads_.push_back(std::move(encoder));
    }
  } catch (...) {
    Release();
    throw Error(Code::kOutOfMemory, "the encoder threads could not be started: the process may have no more of them");
  }
}

void Scheduler::Release() noexcept {
  const std::lock_guard lock(mutex_);
  if (--leases_ == 0) {
    stopping_ = true;
    wake_.notify_all();
  }
}

void Scheduler::Submit(const std::shared_ptr<Request>& request, Request::Done done) {
  if (request->size() == 0) {
    throw Error(Code::kInvalidArgument, "a request needs at least one text");
  }
  request->order_.resize(request->size());
  std::iota(request->order_.begin(), request->order_.end(), size_t{0});
  std::vector<size_t> bytes;
  for (const TextTask& task : request->tasks_) {
    bytes.push_back(task.input == nullptr ? task.text.size() : task.input->bytes());
  }
  std::stable_sort(request->order_.begin(), request->order_.end(),
                   [&](size_t left, size_t right) { return bytes[left] > bytes[right]; });
  request->done_ = std::move(done);
  bool polled = false;
  {
    const std::lock_guard lock(mutex_);
    if (exiting_) {
      throw Error(Code::kDisposed, "the process is exiting");
    }
    if (queued_texts_ + request->size() > kQueueCapacity) {
      throw Error(Code::kOverloaded, "the encoder's queue is full: " + std::to_string(queued_texts_) + " texts wait, " +
                                         std::to_string(kQueueCapacity) + " may");
    }
    queued_texts_ += request->size();
    ++leases_;
    request->submitted_ = Clock::now();
    queue_.push_back(request);
    ++arrivals_;
    // A spinning thread takes one text; it would see a second one only after it has run the first.
    polled = spinning_ && queue_.size() == 1;
  }
  if (request->size() == 1 && polled) {
    return;
  }
  if (request->size() == 1) {
    wake_.notify_one();
  } else {
    wake_.notify_all();
  }
}

void Scheduler::Cancel(const std::shared_ptr<Request>& request, const Error& reason) {
  {
    const std::lock_guard lock(mutex_);
    if (!StopLocked(*request, reason)) {
      return;
    }
  }
  Settle(request);
}

// Calls `done` of a settled request and releases its lease.
void Scheduler::Settle(const std::shared_ptr<Request>& request) {
  CheckNotHeld(mutex_, "`done` is called with the scheduler's lock held");
  CheckNotHeld(threads_mutex_, "`done` is called while encoder threads are started");
  request->done_(request);
  Release();
}

// Takes the request out of the queue and stops its running texts. True when nothing of it runs: then it is settled and
// the caller must call Settle.
bool Scheduler::StopLocked(Request& request, const Error& reason) {
  CheckHeld(mutex_, "a request is changed without the lock");
  if (request.settled_) {
    return false;
  }
  if (!request.failure_) {
    request.failure_ = reason;
  }
  const auto position =
      std::find_if(queue_.begin(), queue_.end(), [&](const auto& queued) { return queued.get() == &request; });
  if (position != queue_.end()) {
    queued_texts_ -= request.size() - request.started_;
    queue_.erase(position);
  }
  for (const auto& encoder : threads_) {
    // A batch that holds texts of other requests runs to its end.
    const bool only = std::all_of(encoder->running.begin(), encoder->running.end(),
                                  [&](const RunningText& text) { return text.request.get() == &request; });
    if (only && !encoder->running.empty()) {
      encoder->scratch.Stop();
    }
  }
  request.settled_ = request.running_ == 0;
  return request.settled_;
}

// The next text of the first request that may run one more, of this model if one is given; the request then goes to the
// end of the queue, for its other texts.
bool Scheduler::TakeTextLocked(const Model* model, std::vector<RunningText>& texts) {
  const auto position = std::find_if(queue_.begin(), queue_.end(), [&](const auto& queued) {
    return queued->MayRun() && (model == nullptr || queued->model_.get() == model);
  });
  if (position == queue_.end()) {
    return false;
  }
  std::shared_ptr<Request> request = *position;
  queue_.erase(position);
  if (request->started_ == 0) {
    request->queue_ns_ =
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - request->submitted_).count();
  }
  TextTask* task = &request->tasks_[request->order_[request->started_++]];
  ++request->running_;
  --queued_texts_;
  if (request->started_ < request->size()) {
    queue_.push_back(request);
  }
  texts.push_back({std::move(request), task, std::nullopt});
  return true;
}

// One text, and others of its model up to a batch of the session.
bool Scheduler::TakeBatchLocked(std::vector<RunningText>& texts) {
  CheckHeld(mutex_, "texts are taken without the lock");
  if (!TakeTextLocked(nullptr, texts)) {
    return false;
  }
  const Model* model = texts.front().request->model_.get();
  while (texts.size() < model->session().max_batch() && TakeTextLocked(model, texts)) {
  }
  return true;
}

void Scheduler::Embed(std::vector<RunningText>& texts, Scratch& scratch) {
  const auto failure_of = [](const auto& body) -> std::optional<Error> {
    try {
      body();
      return std::nullopt;
    } catch (const Error& error) {
      return error;
    } catch (const std::bad_alloc&) {
      return Error(Code::kOutOfMemory, "there is no memory for the text");
    } catch (const std::exception& error) {
      return Error(Code::kInternal, error.what());
    }
  };
  const Model& model = *texts.front().request->model_;
  if (texts.size() > 1) {
    const auto failure = failure_of([&] {
      std::vector<TextTask*> tasks;
      tasks.reserve(texts.size());
      for (const RunningText& text : texts) {
        tasks.push_back(text.task);
      }
      model.Embed(tasks, scratch);
    });
    if (!failure || scratch.stopped()) {
      for (RunningText& text : texts) {
        text.failure = failure;
      }
      return;
    }
    // Retry one by one to isolate the failing text.
  }
  for (RunningText& text : texts) {
    text.failure = failure_of([&] { model.Embed(*text.task, scratch); });
  }
}

// Records the end of a text. True when its request is settled by it.
bool Scheduler::EndTextLocked(RunningText& text) {
  Request& request = *text.request;
  CheckHeld(mutex_, "a text ends without the lock");
  CheckThread(!request.settled_, "a text ends after its request was settled");
  --request.running_;
  if (text.failure || request.failure_) {
    return StopLocked(request, text.failure ? *text.failure : *request.failure_);
  }
  if (request.started_ == request.size() && request.running_ == 0) {
    request.settled_ = true;
    return true;
  }
  if (request.started_ < request.size()) {
    wake_.notify_one();  // one more of its texts may run now
  }
  return false;
}

// Unlocks while it spins. With one processor it would only keep the caller from submitting anything.
void Scheduler::SpinWait(std::unique_lock<Mutex>& lock) {
  static const bool one_processor = std::thread::hardware_concurrency() < 2;
  if (spinning_ || stopping_ || one_processor) {
    return;
  }
  spinning_ = true;
  const size_t seen = arrivals_;
  lock.unlock();
  const auto end = Clock::now() + kSpinWait;
  while (arrivals_ == seen && Clock::now() < end) {
    Pause();
  }
  lock.lock();
  spinning_ = false;
}

void Scheduler::Work(EncoderThread& self) {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "gabion-encoder");
#endif
  on_encoder_thread = true;
  std::unique_lock lock(mutex_);
  bool ran = false;
  std::vector<RunningText> texts;  // empty at the start of every iteration
  std::vector<std::shared_ptr<Request>> settled;
  for (;;) {
    if (ran && queue_.empty()) {
      SpinWait(lock);
    }
    ran = false;
    IntraOpTeam& team = IntraOpTeam::Process();
    wake_.wait(lock, [&] { return stopping_ || TakeBatchLocked(texts) || team.has_room(); });
    if (texts.empty() && !stopping_) {
      const size_t seen = arrivals_;
      lock.unlock();
      team.Help([&] { return arrivals_ != seen; });
      lock.lock();
      continue;
    }
    if (texts.empty()) {
      break;
    }
    self.running.swap(texts);
    self.scratch.Rearm();
    // While texts wait, every thread has one of its own.
    const size_t parallel = self.running.front().request->parallel_;
    self.scratch.helpers = queue_.empty() ? std::min(parallel, threads_.size()) - 1 : 0;
    lock.unlock();
    Embed(self.running, self.scratch);
    lock.lock();

    ran = true;
    self.running.swap(texts);
    for (RunningText& text : texts) {
      if (EndTextLocked(text)) {
        settled.push_back(std::move(text.request));
      }
    }
    texts.clear();
    if (!settled.empty()) {
      lock.unlock();
      for (std::shared_ptr<Request>& request : settled) {
        Settle(std::exchange(request, nullptr));
      }
      settled.clear();
      lock.lock();
    }
  }
  self.finished = true;
  thread_ended_.notify_all();
}

void Scheduler::WakeHelpers() noexcept {
  // A thread that saw no room in the team, but does not wait yet, holds the lock.
  {
    const std::lock_guard lock(mutex_);
  }
  wake_.notify_all();
}

void Scheduler::StopAtExit() noexcept {
  // Does not take threads_mutex_: at exit nobody starts threads, and waiting for a thread that does could hang the
  // process.
  std::unique_lock lock(mutex_);
  exiting_ = true;
  stopping_ = true;
  ++arrivals_;  // lets helpers leave
  queue_.clear();
  for (const auto& encoder : threads_) {
    if (!encoder->running.empty()) {
      encoder->scratch.Stop();
    }
  }
  wake_.notify_all();
  thread_ended_.wait_for(lock, kExitTimeout, [&] {
    return std::all_of(threads_.begin(), threads_.end(), [](const auto& encoder) { return encoder->finished; });
  });
}

}  // namespace gabion
