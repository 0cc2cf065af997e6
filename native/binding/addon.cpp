// The addon's whole surface, declared for TypeScript in lib/native.ts. Functions take handles and plain values; there
// are no classes, so there is no `this` that could be of the wrong kind.

#include <napi.h>

#include <memory>
#include <utility>

#include "algebra.hpp"
#include "conversion.hpp"
#include "cpu.hpp"
#include "encoder_session.hpp"
#include "environment.hpp"
#include "handle.hpp"
#include "open_model.hpp"

namespace gabion::binding {

template <>
struct HandleKind<const Projection> {
  static constexpr napi_type_tag kTag{0x27b95ad4c06e4f13ULL, 0x9d80f17a3e5c2b64ULL};
  static constexpr const char* kName = "projection";
};

namespace {

std::shared_ptr<const Projection> ToProjection(const Napi::Value& value) {
  if (value.IsNull()) {
    return nullptr;
  }
  return FromHandle<const Projection>(value);
}

// createProjection(matrix: Float64Array, offset: Float64Array): handle
Napi::Value CreateProjection(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    return MakeHandle<const Projection>(
        env, std::make_shared<const Projection>(ToDoubles(info[0], "matrix"), ToDoubles(info[1], "offset")));
  });
}

// closeModel(handle): refuses new runs at once; calling it again has no effect
void CloseModel(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] { FromHandle<OpenModel>(info[0])->Close(); });
}

// embed(handle, texts, projection | null, done): id of the run
Napi::Value Embed(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const auto open = FromHandle<OpenModel>(info[0]);
    std::vector<std::string> texts =
        ToTexts(env, info[1]);  // may run the caller's getters, so the model is asked after
    std::shared_ptr<const Projection> projection = ToProjection(info[2]);
    const Napi::Function done = ToFunction(info[3], "done");
    const uint32_t id = Environment::Of(env).Start(env, open->model(), std::move(projection), std::move(texts),
                                                   std::nullopt, open->threads(), done);
    return Napi::Number::New(env, id);
  });
}

// embedWindows(handle, texts, projection | null, size, stride, done): id of the run
Napi::Value EmbedWindows(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const auto open = FromHandle<OpenModel>(info[0]);
    std::vector<std::string> texts = ToTexts(env, info[1]);
    std::shared_ptr<const Projection> projection = ToProjection(info[2]);
    const WindowRule rule{ToSize(info[3], "size"), ToSize(info[4], "stride")};
    const Napi::Function done = ToFunction(info[5], "done");
    const uint32_t id = Environment::Of(env).Start(env, open->model(), std::move(projection), std::move(texts), rule,
                                                   open->threads(), done);
    return Napi::Number::New(env, id);
  });
}

// cancel(id): no effect for a run that has ended
void Cancel(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Guard(env, [&] { Environment::Of(env).Cancel(static_cast<uint32_t>(ToSize(info[0], "id"))); });
}

constexpr size_t kNotes = 5;  // tokenize, encode, project in ms; tokens kept, tokens of the whole text

// embedSync(handle, text, projection | null, vector: Float32Array, point: Float32Array | null, notes: Float64Array)
// The results go straight into the caller's arrays: of all ways to hand them over, it is the one that costs least.
void EmbedSync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Guard(env, [&] {
    const auto open = FromHandle<OpenModel>(info[0]);
    const std::shared_ptr<const Model> model = open->model();
    const std::string text = ToUtf8(env, info[1], "text");
    const std::shared_ptr<const Projection> projection = ToProjection(info[2]);
    auto* vector = ToRoom<float>(info[3], model->dimensions(), "vector");
    float* point = nullptr;
    if (projection != nullptr) {
      model->Accepts(*projection);
      point = ToRoom<float>(info[4], projection->components(), "point");
    }
    auto* notes = ToRoom<double>(info[5], kNotes, "notes");
    // One a thread, so that synchronous calls allocate nothing after the first.
    thread_local Scratch scratch;
    scratch.helpers = open->threads() - 1;
    EncodeTimes times;
    int32_t kept = 0;
    int32_t total = 0;
    model->Embed(text, projection.get(), scratch, vector, point, &kept, &total, times);
    notes[0] = static_cast<double>(times.tokenize_ns) / kNanosecondsPerMillisecond;
    notes[1] = static_cast<double>(times.encode_ns) / kNanosecondsPerMillisecond;
    notes[2] = static_cast<double>(times.project_ns) / kNanosecondsPerMillisecond;
    notes[3] = kept;
    notes[4] = total;
  });
}

// tokenize(handle, text): {ids: Int32Array, total}
Napi::Value Tokenize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const auto open = FromHandle<OpenModel>(info[0]);
    const std::string text = ToUtf8(env, info[1], "text");
    const auto& model = open->model();
    std::vector<int64_t> ids;
    const Tokenizer::Encoded encoded = model->tokenizer().Encode(text, model->maximum_tokens(), ids);
    Napi::Int32Array array = Napi::Int32Array::New(env, encoded.written);
    for (size_t i = 0; i < encoded.written; ++i) {
      array[i] = static_cast<int32_t>(ids[i]);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("ids", array);
    result.Set("total", static_cast<double>(encoded.total));
    return result;
  });
}

class RuntimeOpener : public Napi::AsyncWorker {
 public:
  explicit RuntimeOpener(Napi::Env env) : Napi::AsyncWorker(env, "gabion.prepareRuntime") {}

  void Execute() override {
    try {
      Runtime::Get();
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
      // What needs the runtime meets the same failure and tells it.
    }
  }
};

// prepareRuntime(): begins to open ONNX Runtime on another thread, and tells nothing
void PrepareRuntime(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] { (new RuntimeOpener(info.Env()))->Queue(); });  // deletes itself
}

// runtime(): {version, library}; opens ONNX Runtime
Napi::Value DescribeRuntime(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const Runtime& runtime = Runtime::Get();
    Napi::Object result = Napi::Object::New(env);
    result.Set("version", runtime.version());
    result.Set("library", runtime.library_path());
    return result;
  });
}

// machine(): {instructionSet, encoderInstructionSet, defaultThreads}
Napi::Value DescribeMachine(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    Napi::Object result = Napi::Object::New(env);
    result.Set("instructionSet", InstructionSet());
    const kernels::Variant* variant = EncoderVariant();
    result.Set("encoderInstructionSet", variant == nullptr ? "" : variant->name);
    result.Set("defaultThreads", static_cast<double>(DefaultThreadCount()));
    return result;
  });
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  Environment::Create(env);
  const auto add = [&](const char* name, auto function) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("openModel", OpenModelAsync);
  add("closeModel", CloseModel);
  add("createProjection", CreateProjection);
  add("embed", Embed);
  add("embedWindows", EmbedWindows);
  add("cancel", Cancel);
  add("embedSync", EmbedSync);
  add("tokenize", Tokenize);
  add("addOuterProducts", AddOuterProducts);
  add("symmetricEigen", SymmetricEigen);
  add("prepareRuntime", PrepareRuntime);
  add("runtime", DescribeRuntime);
  add("machine", DescribeMachine);
  return exports;
}

}  // namespace

NODE_API_MODULE(gabion, Initialize)

}  // namespace gabion::binding
