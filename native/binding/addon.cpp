// The addon's whole surface, declared for TypeScript in lib/native.ts. Functions take handles and plain values; there
// are no classes, so there is no `this` that could be of the wrong kind. scripts/lint/native-surface.mjs compares the
// table at the end with the declaration.

#include <napi.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "algebra.hpp"
#include "classifier_options.hpp"
#include "conversion.hpp"
#include "cpu.hpp"
#include "encoder_session.hpp"
#include "environment.hpp"
#include "handle.hpp"
#include "open_model.hpp"
#include "shared_library.hpp"

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

std::optional<WindowRule> ToWindowRule(const Napi::Value& value) {
  if (value.IsNull()) {
    return std::nullopt;
  }
  if (!value.IsObject()) {
    throw Error(Code::kInvalidArgument, "rule must be {size, stride} or null");
  }
  const auto rule = value.As<Napi::Object>();
  return WindowRule{ToSize(rule.Get("size"), "size"), ToSize(rule.Get("stride"), "stride")};
}

/// Leading tokens that are not pooled.
size_t ToSkipped(const Napi::Value& value) { return value.IsUndefined() ? 0 : ToSize(value, "skippedTokens"); }

// createProjection(matrix: Float64Array, offset: Float64Array): handle
Napi::Value CreateProjection(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    return MakeHandle<const Projection>(
        env, std::make_shared<const Projection>(ToDoubles(info[0], "matrix"), ToDoubles(info[1], "offset")));
  });
}

// closeModel(handle): refuses new requests at once; calling it again has no effect
void CloseModel(const Napi::CallbackInfo& info) {
  Guard(info.Env(), [&] { FromHandle<OpenModel>(info[0])->Close(); });
}

// embed(handle, texts, projection | null, rule | null, done, skippedTokens?): id of the request
Napi::Value Embed(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const auto open = FromHandle<OpenModel>(info[0]);
    // Both may run getters of the caller, which may close the model; so it is read after them.
    std::vector<std::string> texts = ToTexts(env, info[1]);
    const std::optional<WindowRule> rule = ToWindowRule(info[3]);
    const size_t skipped = ToSkipped(info[5]);
    auto request = std::make_shared<Request>(open->model(), ToProjection(info[2]), std::move(texts), rule,
                                             open->threads(), skipped);
    const uint32_t id = Environment::Of(env).Start(env, std::move(request), ToFunction(info[4], "done"));
    return Napi::Number::New(env, id);
  });
}

/// Inputs of `segments` segments each, as all their strings in order and the number of strings of each segment.
std::vector<SegmentedInput> ToInputs(Napi::Env env, const Napi::Value& texts, const Napi::Value& counts,
                                     size_t segments) {
  std::vector<std::string> strings = ToTexts(env, texts);
  const std::vector<double> sizes = ToDoubles(counts, "counts");
  std::vector<SegmentedInput> inputs;
  size_t next = 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i % segments == 0) {
      inputs.emplace_back();
    }
    if (!(sizes[i] >= 0 && sizes[i] <= static_cast<double>(strings.size() - next))) {
      throw Error(Code::kInvalidArgument, "counts must add up to the number of texts");
    }
    std::vector<std::string>& segment = inputs.back().segments.emplace_back();
    for (auto left = static_cast<size_t>(sizes[i]); left > 0; --left) {
      segment.push_back(std::move(strings[next++]));
    }
  }
  if (next != strings.size()) {
    throw Error(Code::kInvalidArgument, "counts must add up to the number of texts");
  }
  return inputs;
}

// classify(handle, texts, counts: Float64Array, segments, done): id of the request
Napi::Value Classify(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const auto open = FromHandle<OpenModel>(info[0]);
    const size_t segments = ToSize(info[3], "segments");
    if (segments == 0) {
      throw Error(Code::kInvalidArgument, "an input has at least one segment");
    }
    // Reading them may run getters of the caller, which may close the model; so it is looked up afterwards.
    std::vector<SegmentedInput> inputs = ToInputs(env, info[1], info[2], segments);
    auto request = std::make_shared<Request>(open->model(), std::move(inputs), open->threads());
    return Napi::Number::New(env, Environment::Of(env).Start(env, std::move(request), ToFunction(info[4], "done")));
  });
}

// cancel(id): no effect for a request that was settled
void Cancel(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Guard(env, [&] { Environment::Of(env).Cancel(static_cast<uint32_t>(ToSize(info[0], "id"))); });
}

constexpr size_t kStats = 5;  // tokenize, encode, project in ms; tokenCount, totalTokenCount

// embedSync(handle, text, projection | null, vector: Float32Array, projected: Float32Array | null, stats: Float64Array,
//           skippedTokens?)
// The results go straight into the caller's arrays, the cheapest way to return them.
void EmbedSync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Guard(env, [&] {
    const auto open = FromHandle<OpenModel>(info[0]);
    const std::shared_ptr<const Model> model = open->model();
    const std::string text = ToUtf8(env, info[1], "text");
    const std::shared_ptr<const Projection> projection = ToProjection(info[2]);
    TextTask task;
    task.text = text;
    task.projection = projection.get();
    task.skipped_tokens = ToSkipped(info[6]);
    task.vectors = ToBuffer<float>(info[3], model->dimensions(), "vector");
    if (projection != nullptr) {
      model->Accepts(*projection);
      task.projected = ToBuffer<float>(info[4], projection->components(), "projected");
    }
    auto* stats = ToBuffer<double>(info[5], kStats, "stats");
    // One per thread, so that synchronous calls allocate no buffers after the first.
    thread_local Scratch scratch;
    scratch.helpers = open->threads() - 1;
    model->Embed(task, scratch);
    stats[0] = static_cast<double>(task.times.tokenize_ns) / kNanosecondsPerMillisecond;
    stats[1] = static_cast<double>(task.times.encode_ns) / kNanosecondsPerMillisecond;
    stats[2] = static_cast<double>(task.times.project_ns) / kNanosecondsPerMillisecond;
    stats[3] = task.token_count;
    stats[4] = task.total_token_count;
  });
}

// tokenize(handle, text): {ids: Int32Array, totalTokenCount}
Napi::Value Tokenize(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    const auto open = FromHandle<OpenModel>(info[0]);
    const std::string text = ToUtf8(env, info[1], "text");
    const auto& model = open->model();
    std::vector<int64_t> ids;
    const size_t total = model->tokenizer().Encode(text, model->max_tokens(), ids);
    Napi::Int32Array array = Napi::Int32Array::New(env, ids.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      array[i] = static_cast<int32_t>(ids[i]);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("ids", array);
    result.Set("totalTokenCount", static_cast<double>(total));
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
      // The first use of the runtime meets the same failure and reports it.
    }
  }
};

// prepareRuntime(): starts to open ONNX Runtime on another thread; reports nothing
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

// fitsEncoder({layers, heads, hidden, intermediate}): whether the kernels of this processor compute such an encoder
Napi::Value FitsEncoder(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guard(env, [&]() -> Napi::Value {
    if (!info[0].IsObject()) {
      throw Error(Code::kInvalidArgument, "shape must be an object");
    }
    const kernels::Variant* variant = EncoderVariant();
    const bool fits =
        variant != nullptr && kernels::Encoder::Fits(ToEncoderShape(info[0].As<Napi::Object>()), variant->nr);
    return Napi::Boolean::New(env, fits);
  });
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  KeepThisBinary();
  Environment::Create(env);
  const auto add = [&](const char* name, auto function) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("openModel", OpenModelAsync);
  add("openClassifier", OpenClassifierAsync);
  add("closeModel", CloseModel);
  add("createProjection", CreateProjection);
  add("embed", Embed);
  add("classify", Classify);
  add("cancel", Cancel);
  add("embedSync", EmbedSync);
  add("tokenize", Tokenize);
  add("addOuterProducts", AddOuterProducts);
  add("symmetricEigen", SymmetricEigen);
  add("compareRows", CompareRows);
  add("prepareRuntime", PrepareRuntime);
  add("runtime", DescribeRuntime);
  add("machine", DescribeMachine);
  add("fitsEncoder", FitsEncoder);
  return exports;
}

}  // namespace

NODE_API_MODULE(gabion, Initialize)

}  // namespace gabion::binding
