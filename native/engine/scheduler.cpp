#include "scheduler.hpp"

#if !defined(_WIN32)
#include <pthread.h>
#include <signal.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <new>
#include <numeric>
#include <utility>

#include "pause.hpp"
#include "text_crew.hpp"

namespace gabion {
namespace {

using Clock = std::chrono::steady_clock;

// How long process exit waits for running texts. A run stops between two graph nodes, within milliseconds; only the
// tokenizing of a huge text can take longer, and that touches nothing which exit takes down.
constexpr auto kExitPatience = std::chrono::seconds(1);

constexpr auto kWatch = std::chrono::microseconds(100);

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

}  // namespace

Request::Request(std::shared_ptr<const Model> model, std::shared_ptr<const Projection> projection,
                 std::vector<std::string> texts, std::optional<WindowRule> rule, size_t parallel, Done done)
    : model_(std::move(model)),
      projection_(std::move(projection)),
      texts_(std::move(texts)),
      rule_(rule),
      parallel_(std::max<size_t>(1, parallel)),
      done_(std::move(done)) {
  if (projection_ != nullptr) {
    model_->Accepts(*projection_);
  }
  if (rule_) {
    model_->Accepts(*rule_);
    windowed_.resize(texts_.size());
    return;
  }
  vectors_.resize(texts_.size() * model_->dimensions());
  tokens_.resize(texts_.size() * 2);
  if (projection_ != nullptr) {
    projected_.resize(texts_.size() * projection_->components());
  }
}

void Request::EmbedText(size_t index, Scratch& scratch, EncodeTimes& times) {
  if (rule_) {
    windowed_[index] = model_->EmbedWindows(texts_[index], *rule_, projection_.get(), scratch, times);
    return;
  }
  const TextInOut place = PlaceOf(index);
  model_->Embed(place.text, place.projection, scratch, place.vector, place.projected, place.kept, place.total, times);
}

TextInOut Request::PlaceOf(size_t index) {
  float* projected = projection_ == nullptr ? nullptr : projected_.data() + index * projection_->components();
  return {texts_[index], projection_.get(),   vectors_.data() + index * model_->dimensions(),
          projected,     &tokens_[2 * index], &tokens_[2 * index + 1]};
}

Scheduler& Scheduler::Process() {
  static auto* scheduler = new Scheduler();  // never freed, see the head of scheduler.hpp
  return *scheduler;
}

void Scheduler::Acquire(size_t threads) {
  const std::lock_guard threads_lock(threads_mutex_);
  // Exit handlers run last registered first: ours must run before those of ONNX Runtime, which may come any time later.
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
      for (const auto& slot : slots_) {
        slot->thread.join();
      }
      slots_.clear();
      const std::lock_guard lock(mutex_);
      stopping_ = false;
    }
    while (slots_.size() < threads) {
      auto slot = std::make_unique<Slot>();
      const SignalsBlocked blocked;
      slot->thread = std::thread([this, raw = slot.get()] { Work(*raw); });
      const std::lock_guard lock(mutex_);  // Cancel walks the slots
      slots_.push_back(std::move(slot));
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

void Scheduler::Submit(const std::shared_ptr<Request>& request) {
  if (request->size() == 0) {
    throw Error(Code::kInvalidArgument, "a request needs at least one text");
  }
  request->order_.resize(request->size());
  std::iota(request->order_.begin(), request->order_.end(), size_t{0});
  std::stable_sort(request->order_.begin(), request->order_.end(), [&](size_t left, size_t right) {
    return request->texts_[left].size() > request->texts_[right].size();
  });
  bool watched = false;
  {
    const std::lock_guard lock(mutex_);
    if (exiting_) {
      throw Error(Code::kDisposed, "the process is exiting");
    }
    if (waiting_texts_ + request->size() > kQueueCapacity) {
      throw Error(Code::kOverloaded, "the encoder's queue is full: " + std::to_string(waiting_texts_) +
                                         " texts wait, " + std::to_string(kQueueCapacity) + " may");
    }
    waiting_texts_ += request->size();
    ++leases_;
    request->submitted_ = Clock::now();
    queue_.push_back(request);
    ++arrivals_;
    // A watching thread takes one text; of a second one it would learn only when it has run the first.
    watched = watching_ && queue_.size() == 1;
  }
  if (request->size() == 1 && watched) {
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
  request->done_(request);
  Release();
}

// Takes the request out of the queue and stops its running texts. True when nothing of it runs: then it is settled and
// the caller must call `done` and release the request's lease.
bool Scheduler::StopLocked(Request& request, const Error& reason) {
  if (request.settled_) {
    return false;
  }
  if (!request.failure_) {
    request.failure_ = reason;
  }
  const auto place =
      std::find_if(queue_.begin(), queue_.end(), [&](const auto& queued) { return queued.get() == &request; });
  if (place != queue_.end()) {
    waiting_texts_ -= request.size() - request.started_;
    queue_.erase(place);
  }
  for (const auto& slot : slots_) {
    // Texts of others that run together with this one's go on, and this one's with them.
    const bool only = std::all_of(slot->running.begin(), slot->running.end(),
                                  [&](const Job& job) { return job.request.get() == &request; });
    if (only && !slot->running.empty()) {
      slot->scratch.Stop();
    }
  }
  request.settled_ = request.running_ == 0;
  return request.settled_;
}

// The next text of the first request that may run one more, of this model if there is one; the request goes to the end
// of the line for its others.
bool Scheduler::TakeText(const Model* model, std::vector<Job>& jobs) {
  const auto place = std::find_if(queue_.begin(), queue_.end(), [&](const auto& queued) {
    return queued->MayRun() && (model == nullptr || (queued->model_.get() == model && !queued->rule_));
  });
  if (place == queue_.end()) {
    return false;
  }
  std::shared_ptr<Request> request = *place;
  queue_.erase(place);
  if (request->started_ == 0) {
    request->queue_ns_ =
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - request->submitted_).count();
  }
  const size_t index = request->order_[request->started_++];
  ++request->running_;
  --waiting_texts_;
  if (request->started_ < request->size()) {
    queue_.push_back(request);
  }
  jobs.push_back({std::move(request), index, std::nullopt, {}});
  return true;
}

// One text, and others of its model as far as they are better run together.
bool Scheduler::TakeTexts(std::vector<Job>& jobs) {
  if (!TakeText(nullptr, jobs)) {
    return false;
  }
  const Request& first = *jobs.front().request;
  const size_t most = first.rule_ ? 1 : first.model_->texts_at_once();
  while (jobs.size() < most && TakeText(first.model_.get(), jobs)) {
  }
  return true;
}

void Scheduler::Embed(std::vector<Job>& jobs, Scratch& scratch) {
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
  if (jobs.size() > 1) {
    EncodeTimes times;
    const auto failure = failure_of([&] {
      std::vector<TextInOut> texts;
      for (const Job& job : jobs) {
        texts.push_back(job.request->PlaceOf(job.index));
      }
      jobs.front().request->model_->EmbedTogether(texts, scratch, times);
    });
    if (!failure || scratch.stopped()) {
      const auto count = static_cast<int64_t>(jobs.size());
      for (Job& job : jobs) {
        job.failure = failure;
        job.times = {times.tokenize_ns / count, times.encode_ns / count, times.project_ns / count};
      }
      return;
    }
    // Whose fault it was shows when each runs by itself.
  }
  for (Job& job : jobs) {
    job.failure = failure_of([&] { job.request->EmbedText(job.index, scratch, job.times); });
  }
}

// Notes what became of a text. True when it was its request's last one.
bool Scheduler::EndLocked(Job& job) {
  Request& request = *job.request;
  --request.running_;
  request.times_.tokenize_ns += job.times.tokenize_ns;
  request.times_.encode_ns += job.times.encode_ns;
  request.times_.project_ns += job.times.project_ns;
  if (job.failure || request.failure_) {
    return StopLocked(request, job.failure ? *job.failure : *request.failure_);
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

// Gives the lock back while it looks. With one processor it would only keep the caller from sending anything.
void Scheduler::Watch(std::unique_lock<std::mutex>& lock) {
  static const bool alone = std::thread::hardware_concurrency() < 2;
  if (watching_ || stopping_ || alone) {
    return;
  }
  watching_ = true;
  const size_t seen = arrivals_;
  lock.unlock();
  const auto end = Clock::now() + kWatch;
  while (arrivals_ == seen && Clock::now() < end) {
    Pause();
  }
  lock.lock();
  watching_ = false;
}

void Scheduler::Work(Slot& slot) {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "gabion-encoder");
#endif
  std::unique_lock lock(mutex_);
  bool ran = false;
  std::vector<Job> jobs;  // empty at the start of every turn
  std::vector<std::shared_ptr<Request>> settled;
  for (;;) {
    if (ran && queue_.empty()) {
      Watch(lock);
    }
    ran = false;
    TextCrew& crew = TextCrew::Process();
    wake_.wait(lock, [&] { return stopping_ || TakeTexts(jobs) || crew.wanted(); });
    if (jobs.empty() && !stopping_) {
      const size_t seen = arrivals_;
      lock.unlock();
      crew.Help([&] { return arrivals_ != seen; });
      lock.lock();
      continue;
    }
    if (jobs.empty()) {
      break;
    }
    slot.running.swap(jobs);
    slot.scratch.Rearm();
    // While texts wait, every thread gets one of its own.
    const size_t parallel = slot.running.front().request->parallel_;
    slot.scratch.helpers = queue_.empty() ? std::min(parallel, slots_.size()) - 1 : 0;
    lock.unlock();
    Embed(slot.running, slot.scratch);
    lock.lock();

    ran = true;
    slot.running.swap(jobs);
    for (Job& job : jobs) {
      if (EndLocked(job)) {
        settled.push_back(std::move(job.request));
      }
    }
    jobs.clear();
    if (!settled.empty()) {
      lock.unlock();
      for (std::shared_ptr<Request>& request : settled) {
        request->done_(request);
        request.reset();
        Release();
      }
      settled.clear();
      lock.lock();
    }
  }
  slot.finished = true;
  thread_ended_.notify_all();
}

void Scheduler::CallHelpers() noexcept {
  // Whoever has seen that nobody wants help, but does not wait yet, holds the lock.
  {
    const std::lock_guard lock(mutex_);
  }
  wake_.notify_all();
}

void Scheduler::StopAtExit() noexcept {
  // No lock on the threads: at exit nobody starts any, and waiting for one that does could hang the process.
  std::unique_lock lock(mutex_);
  exiting_ = true;
  stopping_ = true;
  ++arrivals_;  // lets helpers leave
  queue_.clear();
  for (const auto& slot : slots_) {
    if (!slot->running.empty()) {
      slot->scratch.Stop();
    }
  }
  wake_.notify_all();
  thread_ended_.wait_for(lock, kExitPatience, [&] {
    return std::all_of(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->finished; });
  });
}

}  // namespace gabion
