#include "environment.hpp"

#include <utility>

#include "conversion.hpp"

namespace gabion::binding {
namespace {

using Shared = std::shared_ptr<Environment>;

constexpr const char* kOwnThread = "an environment is used on another thread than its own";

}  // namespace

void Environment::Create(Napi::Env env) {
  auto environment = std::make_shared<Environment>();
  const Napi::String name = Napi::String::New(env, "gabion");
  napi_threadsafe_function wake = nullptr;
  const napi_threadsafe_function_call_js call = [](napi_env raw, napi_value, void* context, void*) {
    if (raw != nullptr) {
      (*static_cast<Shared*>(context))->Drain(Napi::Env(raw));
    }
  };
  // The function's context keeps the environment alive until Node has finished with the function.
  auto* context = new Shared(environment);
  const napi_finalize finalize = [](napi_env, void*, void* data) { delete static_cast<Shared*>(data); };
  const napi_status status =
      napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, context, finalize, context, call, &wake);
  if (status != napi_ok) {
    delete context;
    throw Napi::Error::New(env, "the threadsafe function could not be created");
  }
  napi_unref_threadsafe_function(env, wake);
  environment->wake_ = wake;

  env.SetInstanceData<Shared>(new Shared(environment));
  env.AddCleanupHook(
      [](Shared* owned) {
        (*owned)->Close();
        delete owned;
      },
      new Shared(environment));
}

Environment& Environment::Of(Napi::Env env) { return **env.GetInstanceData<Shared>(); }

uint32_t Environment::Start(Napi::Env env, std::shared_ptr<Request> request, const Napi::Function& done) {
  owner_.Check(kOwnThread);
  do {
    ++last_id_;
  } while (pending_.contains(last_id_));
  const uint32_t id = last_id_;
  // Listed before it is submitted: it may be settled before Submit returns.
  Pending& pending = pending_.emplace(id, Pending{request, Napi::Persistent(done), std::nullopt}).first->second;
  if (pending_.size() == 1) {
    napi_ref_threadsafe_function(env, wake_);
  }
  try {
    Scheduler::Process().Submit(request, [self = weak_from_this(), id](const std::shared_ptr<Request>& settled) {
      if (const auto environment = self.lock()) {
        environment->Post(id, settled);
      }
    });
  } catch (...) {
    Forget(env, id);
    throw;
  }
  if (!request->has_windows()) {
    // Made only now, while encoder threads work: this thread has nothing else to do for the call. Only this thread
    // removes pending requests, so the reference is still valid.
    try {
      pending.result.emplace(env, *request);
    } catch (...) {
      Scheduler::Process().Cancel(request, Error(Code::kInternal, "there is no room for the result"));
      Forget(env, id);
      throw;
    }
  }
  return id;
}

void Environment::Forget(Napi::Env env, uint32_t id) {
  owner_.Check(kOwnThread);
  pending_.erase(id);
  if (pending_.empty()) {
    napi_unref_threadsafe_function(env, wake_);
  }
}

void Environment::Cancel(uint32_t id) {
  owner_.Check(kOwnThread);
  const auto found = pending_.find(id);
  if (found != pending_.end()) {
    const auto request = found->second.request;
    Scheduler::Process().Cancel(request, Error(Code::kAborted, "the call was aborted"));
  }
}

void Environment::Post(uint32_t id, const std::shared_ptr<Request>& request) {
  const std::lock_guard lock(mutex_);
  if (closed_) {
    return;
  }
  settled_.push_back({id, request});
  if (settled_.size() == 1) {  // else a wake-up is pending
    napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
  }
}

void Environment::Drain(Napi::Env env) {
  owner_.Check(kOwnThread);
  std::vector<Settled> settled;
  {
    const std::lock_guard lock(mutex_);
    settled.swap(settled_);
  }
  for (const Settled& item : settled) {
    const auto found = pending_.find(item.id);
    if (found == pending_.end()) {
      continue;
    }
    const Napi::HandleScope scope(env);
    Pending pending = std::move(found->second);
    Forget(env, item.id);
    try {
      if (const auto& failure = item.request->failure()) {
        pending.done.Call({Napi::String::New(env, CodeName(failure->code())), Napi::String::New(env, failure->what())});
      } else {
        pending.done.Call({env.Null(), env.Null(),
                           pending.result ? pending.result->Take(*item.request) : ToResult(env, *item.request)});
      }
    } catch (const Napi::Error& error) {
      // No JavaScript is below us on the stack: what the callback threw becomes an uncaught exception, as from a timer.
      napi_fatal_exception(env, error.Value());
    }
  }
}

void Environment::Close() {
  owner_.Check(kOwnThread);
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    settled_.clear();
  }
  for (auto& [id, pending] : pending_) {
    Scheduler::Process().Cancel(pending.request, Error(Code::kDisposed, "the environment is closing"));
  }
  pending_.clear();
}

}  // namespace gabion::binding
