#include "classifier_options.hpp"

#include <string>
#include <utility>
#include <vector>

#include "conversion.hpp"

namespace gabion::binding {
namespace {

constexpr size_t kMaxTokens = 1U << 16U;

Napi::Object ToObject(const Napi::Value& value, const char* name) {
  if (!value.IsObject()) {
    throw Error(Code::kInvalidArgument, std::string(name) + " must be an object");
  }
  return value.As<Napi::Object>();
}

/// Calls `read(object)` for each object of an array.
template <typename Read>
void ForEach(const Napi::Value& value, const char* name, const Read& read) {
  if (!value.IsArray()) {
    throw Error(Code::kInvalidArgument, std::string(name) + " must be an array of objects");
  }
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::HandleScope scope(value.Env());
    read(ToObject(array.Get(i), name));
  }
}

TensorType ToTensorType(const std::string& name) {
  if (name == "F32") return TensorType::kFloat;
  if (name == "BF16") return TensorType::kBfloat16;
  if (name == "F16") return TensorType::kFloat16;
  if (name == "F64") return TensorType::kDouble;
  throw Error(Code::kModelUnsupported, "a tensor of type " + name + " cannot be read");
}

Activation ToActivation(const std::string& name) {
  if (name == "none") return Activation::kNone;
  if (name == "tanh") return Activation::kTanh;
  if (name == "relu") return Activation::kRelu;
  if (name == "gelu") return Activation::kGelu;
  throw Error(Code::kInvalidArgument, "there is no activation '" + name + "'");
}

Feature ToFeature(Napi::Env env, const Napi::Object& object) {
  const std::string kind = ToUtf8(env, object.Get("kind"), "kind");
  if (kind == "first") return {Feature::Kind::kFirstToken};
  if (kind == "mean") return {Feature::Kind::kMean};
  if (kind == "segment") return {Feature::Kind::kSegmentMean, ToSize(object.Get("segment"), "segment")};
  throw Error(Code::kInvalidArgument, "there is no feature '" + kind + "'");
}

ClassifierHead ToHead(Napi::Env env, const Napi::Object& object) {
  ClassifierHead head;
  head.scale = object.Get("scale").ToNumber().FloatValue();
  ForEach(object.Get("features"), "features",
          [&](const Napi::Object& feature) { head.features.push_back(ToFeature(env, feature)); });
  ForEach(object.Get("layers"), "layers", [&](const Napi::Object& layer) {
    DenseLayer dense;
    dense.weight = ToFloats(layer.Get("weight"), "weight");
    dense.bias = ToFloats(layer.Get("bias"), "bias");
    dense.outputs = dense.bias.size();
    dense.activation = ToActivation(ToUtf8(env, layer.Get("activation"), "activation"));
    head.layers.push_back(std::move(dense));
  });
  return head;
}

GraphClassifier ToGraph(Napi::Env env, const Napi::Object& object) {
  GraphClassifier graph;
  graph.session.graph_file = ToUtf8(env, object.Get("file"), "file");
  graph.session.providers = ToTexts(env, object.Get("providers"));
  graph.session.pooling = {Pooling::kCls, false};  // the graph's output is taken as it is
  if (!object.Get("weightsFile").IsNull()) {
    graph.weights_file = ToUtf8(env, object.Get("weightsFile"), "weightsFile");
  }
  graph.vocabulary = ToSize(object.Get("vocabulary"), "vocabulary");
  graph.outputs = ToSize(object.Get("outputs"), "outputs");
  return graph;
}

SegmentLayout::Options ToSegmentLayout(const Napi::Object& object) {
  SegmentLayout::Options layout;
  ForEach(object.Get("segments"), "segments", [&](const Napi::Object& segment) {
    const size_t type = ToSize(segment.Get("tokenType"), "tokenType");
    const size_t max_tokens = ToSize(segment.Get("maxTokens"), "maxTokens");
    if (type > 1 || max_tokens < 1 || max_tokens > kMaxTokens) {
      throw Error(Code::kInvalidArgument, "a segment takes 1 to 65536 tokens of type 0 or 1");
    }
    layout.segments.push_back({max_tokens, ToBoolean(segment.Get("keepTail"), "keepTail"),
                               ToBoolean(segment.Get("optional"), "optional"),
                               ToBoolean(segment.Get("cached"), "cached"), static_cast<uint8_t>(type)});
  });
  layout.stride = ToSize(object.Get("stride"), "stride");
  return layout;
}

PairLayout::Options ToPairLayout(Napi::Env env, const Napi::Object& object) {
  const size_t max_tokens = ToSize(object.Get("maxTokens"), "maxTokens");
  if (max_tokens < 1 || max_tokens > kMaxTokens) {
    throw Error(Code::kInvalidArgument, "maxTokens must be from 1 to 65536");
  }
  const std::string name = ToUtf8(env, object.Get("truncation"), "truncation");
  if (name == "longest_first") return {max_tokens, PairLayout::Truncation::kLongestFirst};
  if (name == "only_second") return {max_tokens, PairLayout::Truncation::kOnlySecond};
  if (name == "windows") return {max_tokens, PairLayout::Truncation::kWindows};
  throw Error(Code::kInvalidArgument, "there is no truncation '" + name + "'");
}

}  // namespace

kernels::EncoderShape ToEncoderShape(const Napi::Object& object) {
  return {ToSize(object.Get("layers"), "layers"), ToSize(object.Get("heads"), "heads"),
          ToSize(object.Get("hidden"), "hidden"), ToSize(object.Get("intermediate"), "intermediate"),
          object.Get("epsilon").ToNumber().FloatValue()};
}

namespace {

CheckpointTensor ToTensor(Napi::Env env, const Napi::Object& tensor, size_t files) {
  const size_t file = ToSize(tensor.Get("file"), "file");
  const uint64_t rows = ToLargeSize(tensor.Get("rows"), "rows");
  if (file >= files || rows == 0) {
    throw Error(Code::kInvalidArgument, "a tensor has no rows, or is in a file that is not listed");
  }
  return {file, ToTensorType(ToUtf8(env, tensor.Get("type"), "type")), rows,
          ToLargeSize(tensor.Get("columns"), "columns"), ToLargeSize(tensor.Get("offset"), "offset")};
}

kernels::FeedForward ToFeedForward(const std::string& name) {
  if (name == "gelu") return kernels::FeedForward::kGelu;
  if (name == "gated-gelu") return kernels::FeedForward::kGatedGelu;
  if (name == "gated-silu") return kernels::FeedForward::kGatedSilu;
  throw Error(Code::kInvalidArgument, "there is no feed-forward layer '" + name + "'");
}

/// Rotary embeddings and what else only some architectures have.
void ReadRotary(Napi::Env env, const Napi::Object& object, CheckpointOptions& options) {
  const Napi::Value frequencies = object.Get("inverseFrequencies");
  if (!frequencies.IsArray()) {
    throw Error(Code::kInvalidArgument, "inverseFrequencies must be an array of Float32Array");
  }
  for (uint32_t i = 0; i < frequencies.As<Napi::Array>().Length(); ++i) {
    options.inverse_frequencies.push_back(ToFloats(frequencies.As<Napi::Array>().Get(i), "inverseFrequencies"));
  }
  ForEach(object.Get("attention"), "attention", [&](const Napi::Object& layer) {
    options.attention.push_back({ToSize(layer.Get("rotary"), "rotary"), ToSize(layer.Get("window"), "window")});
    if (options.attention.back().rotary >= options.inverse_frequencies.size()) {
      throw Error(Code::kInvalidArgument, "a layer's rotary embedding is not listed");
    }
  });
  options.longest = ToSize(object.Get("longest"), "longest");
  options.feed_forward = ToFeedForward(ToUtf8(env, object.Get("feedForward"), "feedForward"));
  options.norm_first = ToBoolean(object.Get("normFirst"), "normFirst");
}

}  // namespace

CheckpointOptions ToCheckpoint(Napi::Env env, const Napi::Value& value) {
  const Napi::Object object = ToObject(value, "checkpoint");
  CheckpointOptions options;
  options.files = ToTexts(env, object.Get("files"));
  const Napi::Value tensors = object.Get("tensors");
  if (!tensors.IsArray()) {
    throw Error(Code::kInvalidArgument, "tensors must be an array");
  }
  for (uint32_t i = 0; i < tensors.As<Napi::Array>().Length(); ++i) {
    const Napi::HandleScope scope(env);
    const Napi::Value tensor = tensors.As<Napi::Array>().Get(i);
    options.tensors.push_back(tensor.IsNull() ? CheckpointTensor{}
                                              : ToTensor(env, ToObject(tensor, "a tensor"), options.files.size()));
  }
  options.shape = ToEncoderShape(object);
  options.has_types = ToBoolean(object.Get("hasTypes"), "hasTypes");
  options.positions_include_type = ToBoolean(object.Get("positionsIncludeType"), "positionsIncludeType");
  if (!object.Get("paddingId").IsNull()) {
    options.padding_id = static_cast<int64_t>(ToSize(object.Get("paddingId"), "paddingId"));
  }
  if (!object.Get("relativeBiases").IsNull()) {
    options.relative_biases = ToFloats(object.Get("relativeBiases"), "relativeBiases");
  }
  if (!object.Get("rotary").IsUndefined()) {
    ReadRotary(env, ToObject(object.Get("rotary"), "rotary"), options);
  }
  if (!object.Get("smoothScales").IsUndefined()) {
    options.smooth_scales = ToFloats(object.Get("smoothScales"), "smoothScales");
  }
  options.precision = ToPrecision(ToUtf8(env, object.Get("precision"), "precision"));
  return options;
}

ClassifierOptions ToClassifierOptions(Napi::Env env, const Napi::Value& value) {
  const Napi::Object object = ToObject(value, "options");
  ClassifierOptions options;
  options.tokenizer_file = ToUtf8(env, object.Get("tokenizerFile"), "tokenizerFile");
  if (object.Get("checkpoint").IsUndefined()) {
    options.network = ToGraph(env, ToObject(object.Get("graph"), "graph"));
  } else {
    options.network = PackedClassifier{ToCheckpoint(env, object.Get("checkpoint")),
                                       ToHead(env, ToObject(object.Get("head"), "head"))};
  }
  if (object.Get("segments").IsUndefined()) {
    options.layout = ToPairLayout(env, ToObject(object.Get("pair"), "pair"));
  } else {
    options.layout = ToSegmentLayout(object);
  }
  return options;
}

}  // namespace gabion::binding
