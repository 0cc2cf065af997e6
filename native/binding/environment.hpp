// One Node environment (the main thread or a worker): its requests in flight, and how results come back to it.
//
// - Created when the addon is loaded in the environment, closed by its cleanup hook. After that, late results are
//   dropped, queued texts are dropped and running ones are stopped; nothing waits for them, since a request writes to
//   its own memory only.
// - Post may be called on any thread. Everything else belongs to the environment's thread; a build with
//   GABION_CHECK_THREADS asserts it.
// - While requests are in flight the threadsafe function is referenced, so that Node does not exit under a pending
//   promise.
// - Node's own cleanup of the threadsafe function runs after our hook (hooks run in reverse order), so a Post that saw
//   `closed_ == false` under the lock always has a living function to call.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "conversion.hpp"
#include "scheduler.hpp"

namespace gabion::binding {

class Environment : public std::enable_shared_from_this<Environment> {
 public:
  /// Creates the environment's state and hangs it on `env`.
  static void Create(Napi::Env env);
  static Environment& Of(Napi::Env env);

  /// Submits a request; `done` is called once with (code, message) or (null, null, result). Returns the request's id.
  /// Throws what Scheduler::Submit throws.
  uint32_t Start(Napi::Env env, std::shared_ptr<Request> request, const Napi::Function& done);

  /// No effect for an id that is not in flight.
  void Cancel(uint32_t id);

 private:
  struct Pending {
    std::shared_ptr<Request> request;
    Napi::FunctionReference done;
    std::optional<PreparedResult> result;  ///< none with a rule: the number of windows is not known yet
  };
  struct Settled {
    uint32_t id;
    std::shared_ptr<Request> request;
  };

  void Forget(Napi::Env env, uint32_t id);
  void Post(uint32_t id, const std::shared_ptr<Request>& request);
  void Drain(Napi::Env env);
  void Close();

  ThreadOwner owner_;

  Mutex mutex_;
  bool closed_ = false;
  napi_threadsafe_function wake_ = nullptr;
  std::vector<Settled> settled_;

  std::unordered_map<uint32_t, Pending> pending_;
  uint32_t last_id_ = 0;
};

}  // namespace gabion::binding
