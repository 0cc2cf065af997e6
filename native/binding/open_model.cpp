#include "open_model.hpp"

#include <functional>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "classifier_options.hpp"
#include "conversion.hpp"
#include "cpu.hpp"
#include "heap_trim.hpp"

namespace gabion::binding {
namespace {

Pooling ToPooling(const std::string& name) {
  if (const auto pooling = PoolingNamed(name)) {
    return *pooling;
  }
  throw Error(Code::kModelUnsupported, "there is no pooling mode '" + name + "'");
}

ModelOptions ToModelOptions(Napi::Env env, const Napi::Value& value) {
  if (!value.IsObject()) {
    throw Error(Code::kInvalidArgument, "options must be an object");
  }
  const auto object = value.As<Napi::Object>();
  const auto text = [&](const char* name) { return ToUtf8(env, object.Get(name), name); };
  ModelOptions options;
  if (object.Get("checkpoint").IsUndefined()) {
    options.session.graph_file = text("graphFile");
  } else {
    options.checkpoint = ToCheckpoint(env, object.Get("checkpoint"));
  }
  options.tokenizer_file = text("tokenizerFile");
  if (!object.Get("weightsFile").IsUndefined()) {
    options.weights_file = text("weightsFile");
  }
  if (!object.Get("graphOutput").IsUndefined()) {
    options.session.graph_output = text("graphOutput");
  }
  if (!object.Get("keepsEnd").IsUndefined()) {
    options.truncation =
        ToBoolean(object.Get("keepsEnd"), "keepsEnd") ? Truncation::kKeepEnd : Truncation::kKeepBeginning;
  }
  options.session.pooling.mode = ToPooling(text("pooling"));
  options.session.precision = ToPrecision(text("encoderPrecision"));
  options.session.pooling.normalize = ToBoolean(object.Get("normalize"), "normalize");
  options.session.max_tokens = ToSize(object.Get("maxTokens"), "maxTokens");
  options.vocabulary_size = ToSize(object.Get("vocabularySize"), "vocabularySize");
  options.dimensions = ToSize(object.Get("dimensions"), "dimensions");
  if (!object.Get("keptDimensions").IsUndefined()) {
    options.session.pooling.kept = ToSize(object.Get("keptDimensions"), "keptDimensions");
  }
  options.session.providers = ToTexts(env, object.Get("providers"));
  constexpr size_t kMaxTokens = 1U << 16U;
  if (options.session.max_tokens < 3 || options.session.max_tokens > kMaxTokens) {
    throw Error(Code::kInvalidArgument, "maxTokens must be from 3 to 65536");
  }
  return options;
}

class Loader : public Napi::AsyncWorker {
 public:
  Loader(const Napi::Function& done, std::function<Model()> load, size_t threads)
      : Napi::AsyncWorker(done, "gabion.openModel"), load_(std::move(load)), threads_(threads) {}

  void Execute() override {
    try {
      const std::shared_ptr<const Model> model(new Model(load_()), [](const Model* gone) {
        delete gone;
        TrimHeapSoon();
      });
      open_ = std::make_shared<OpenModel>(model, threads_);
    } catch (const Error& error) {
      failure_ = error;
    } catch (const std::bad_alloc&) {
      failure_ = Error(Code::kOutOfMemory, "there is no memory for the model");
    } catch (const std::exception& error) {
      failure_ = Error(Code::kInternal, error.what());
    }
  }

  void OnOK() override {
    const Napi::Env env = Env();
    if (failure_) {
      Callback().Call({Napi::String::New(env, CodeName(failure_->code())), Napi::String::New(env, failure_->what())});
      return;
    }
    const SessionInfo& session = open_->model()->session().info();
    Napi::Object description = Napi::Object::New(env);
    description.Set("provider", session.provider);
    Napi::Array skipped_providers = Napi::Array::New(env);
    for (const SkippedProvider& skipped : session.skipped_providers) {
      Napi::Object item = Napi::Object::New(env);
      item.Set("provider", skipped.name);
      item.Set("reason", skipped.reason);
      skipped_providers.Set(skipped_providers.Length(), item);
    }
    description.Set("skippedProviders", skipped_providers);
    description.Set("encoderInstructionSet", session.instruction_set);
    description.Set("runtimeVersion", session.runtime == nullptr ? "" : session.runtime->version());
    description.Set("threads", static_cast<double>(threads_));
    description.Set("width", static_cast<double>(session.width));
    if (session.smooth_scales.empty()) {
      description.Set("smoothScales", env.Null());
    } else {
      description.Set("smoothScales", FromFloats(env, session.smooth_scales));
    }
    Callback().Call({env.Null(), env.Null(), MakeHandle(env, std::move(open_)), description});
  }

 private:
  std::function<Model()> load_;
  size_t threads_;
  std::shared_ptr<OpenModel> open_;
  std::optional<Error> failure_;
};

/// Loads on a pool thread. `options` is an object.
void LoadAsync(const Napi::Value& options, const Napi::Value& done, std::function<Model()> load) {
  constexpr size_t kMaxThreads = 1024;
  const Napi::Value requested = options.As<Napi::Object>().Get("threads");
  const size_t threads = requested.IsUndefined() ? DefaultThreadCount() : ToSize(requested, "threads");
  if (threads < 1 || threads > kMaxThreads) {
    throw Error(Code::kInvalidArgument, "threads must be from 1 to 1024");
  }
  (new Loader(ToFunction(done, "done"), std::move(load), threads))->Queue();  // deletes itself
}

}  // namespace

OpenModel::OpenModel(std::shared_ptr<const Model> model, size_t threads) : model_(std::move(model)), threads_(threads) {
  Scheduler::Process().Acquire(threads_);
}

const std::shared_ptr<const Model>& OpenModel::model() const {
  if (model_ == nullptr) {
    throw Error(Code::kDisposed, "the model was disposed");
  }
  return model_;
}

void OpenModel::Close() noexcept {
  if (model_ != nullptr) {
    model_.reset();
    Scheduler::Process().Release();
  }
}

void OpenModelAsync(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    ModelOptions options = ToModelOptions(info.Env(), info[0]);
    LoadAsync(info[0], info[1], [options = std::move(options)] { return LoadModel(options); });
  });
}

void OpenClassifierAsync(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] {
    ClassifierOptions options = ToClassifierOptions(info.Env(), info[0]);
    LoadAsync(info[0], info[1], [options = std::move(options)] { return LoadClassifier(options); });
  });
}

}  // namespace gabion::binding
