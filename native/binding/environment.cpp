#include "environment.hpp"

#include <utility>

#include "conversion.hpp"

namespace gabion::binding {
namespace {

using Shared = std::shared_ptr<Environment>;

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

uint32_t Environment::Start(Napi::Env env, std::shared_ptr<const Model> model,
                            std::shared_ptr<const Projection> projection, std::vector<std::string> texts,
                            std::optional<WindowRule> rule, size_t parallel, Napi::Function done) {
  do {
    ++last_id_;
  } while (runs_.contains(last_id_));
  const uint32_t id = last_id_;
  auto request = std::make_shared<Request>(std::move(model), std::move(projection), std::move(texts), rule, parallel,
                                           [self = weak_from_this(), id](const std::shared_ptr<Request>& settled) {
                                             if (const auto environment = self.lock()) {
                                               environment->Post(id, settled);
                                             }
                                           });
  // Listed before it is submitted: it may be settled before Submit returns.
  Run& run = runs_.emplace(id, Run{request, Napi::Persistent(done), std::nullopt}).first->second;
  if (runs_.size() == 1) {
    napi_ref_threadsafe_function(env, wake_);
  }
  try {
    Scheduler::Process().Submit(request);
  } catch (...) {
    Forget(env, id);
    throw;
  }
  if (!request->by_windows()) {
    // Made only now, while encoder threads work: this thread has nothing else to do for the call. Nobody but this
    // thread takes runs off the list, so `run` is still there.
    try {
      run.result.emplace(env, *request);
    } catch (...) {
      Scheduler::Process().Cancel(request, Error(Code::kInternal, "there is no room for the result"));
      Forget(env, id);
      throw;
    }
  }
  return id;
}

void Environment::Forget(Napi::Env env, uint32_t id) {
  runs_.erase(id);
  if (runs_.empty()) {
    napi_unref_threadsafe_function(env, wake_);
  }
}

void Environment::Cancel(uint32_t id) {
  const auto run = runs_.find(id);
  if (run != runs_.end()) {
    const auto request = run->second.request;
    Scheduler::Process().Cancel(request, Error(Code::kAborted, "the call was aborted"));
  }
}

void Environment::Post(uint32_t id, const std::shared_ptr<Request>& request) {
  const std::lock_guard lock(mutex_);
  if (closed_) {
    return;
  }
  settled_.push_back({id, request});
  if (settled_.size() == 1) {  // else a wake-up is already on its way
    napi_call_threadsafe_function(wake_, nullptr, napi_tsfn_nonblocking);
  }
}

void Environment::Drain(Napi::Env env) {
  std::vector<Settled> settled;
  {
    const std::lock_guard lock(mutex_);
    settled.swap(settled_);
  }
  for (const Settled& item : settled) {
    const auto place = runs_.find(item.id);
    if (place == runs_.end()) {
      continue;
    }
    const Napi::HandleScope scope(env);
    Run run = std::move(place->second);
    Forget(env, item.id);
    try {
      if (const auto& failure = item.request->failure()) {
        run.done.Call({Napi::String::New(env, CodeName(failure->code())), Napi::String::New(env, failure->what())});
      } else {
        run.done.Call(
            {env.Null(), env.Null(), run.result ? run.result->Take(*item.request) : ToResult(env, *item.request)});
      }
    } catch (const Napi::Error& error) {
      // No JavaScript is below us on the stack: what the callback threw becomes an uncaught exception, as from a timer.
      napi_fatal_exception(env, error.Value());
    }
  }
}

void Environment::Close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    settled_.clear();
  }
  for (auto& [id, run] : runs_) {
    Scheduler::Process().Cancel(run.request, Error(Code::kDisposed, "the environment is closing"));
  }
  runs_.clear();
}

}  // namespace gabion::binding
