#include "conversion.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

namespace gabion::binding {
namespace {

constexpr size_t kMaximumTexts = 1U << 20U;

[[noreturn]] void Refuse(const char* name, const char* expected) {
  throw Error(Code::kInvalidArgument, std::string(name) + " must be " + expected);
}

void Check(Napi::Env env, napi_status status) {
  if (status != napi_ok) {
    throw Napi::Error::New(env);
  }
}

template <typename Array, typename Source>
Array Copy(Napi::Env env, const Source& source) {
  Array array = Array::New(env, source.size());
  if (!source.empty()) {
    std::memcpy(array.Data(), source.data(), source.size() * sizeof(source[0]));
  }
  return array;
}

template <typename Array>
Array CopyOfAll(Napi::Env env, const Request& request, auto WindowedText::* part) {
  size_t length = 0;
  for (const WindowedText& text : request.windowed()) {
    length += (text.*part).size();
  }
  Array array = Array::New(env, length);
  auto* to = length == 0 ? nullptr : array.Data();
  for (const WindowedText& text : request.windowed()) {
    to = std::copy((text.*part).begin(), (text.*part).end(), to);
  }
  return array;
}

void SetWindows(Napi::Env env, const Request& request, Napi::Object result) {
  std::vector<int32_t> counts;
  counts.reserve(request.windowed().size());
  for (const WindowedText& text : request.windowed()) {
    counts.push_back(static_cast<int32_t>(text.spans.size() / 2));
  }
  result.Set("vectors", CopyOfAll<Napi::Float32Array>(env, request, &WindowedText::vectors));
  result.Set("projected", CopyOfAll<Napi::Float32Array>(env, request, &WindowedText::projected));
  result.Set("spans", CopyOfAll<Napi::Int32Array>(env, request, &WindowedText::spans));
  result.Set("counts", Copy<Napi::Int32Array>(env, counts));
}

/// Makes an array, hangs it on `result`, and says where its elements lie.
template <typename Array>
auto* Attach(Napi::Env env, Napi::Object result, const char* name, size_t length) {
  Array array = Array::New(env, length);
  result.Set(name, array);
  return length == 0 ? nullptr : array.Data();
}

constexpr size_t kTimes = 4;

std::array<double, kTimes> Milliseconds(const Request& request) {
  const EncodeTimes& times = request.times();
  return {static_cast<double>(times.tokenize_ns) / kNanosecondsPerMillisecond,
          static_cast<double>(request.queue_ns()) / kNanosecondsPerMillisecond,
          static_cast<double>(times.encode_ns) / kNanosecondsPerMillisecond,
          static_cast<double>(times.project_ns) / kNanosecondsPerMillisecond};
}

}  // namespace

Napi::Error ToJsError(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.what());
  js.Set("code", Napi::String::New(env, CodeName(error.code())));
  return js;
}

std::string ToUtf8(Napi::Env env, const Napi::Value& value, const char* name) {
  if (!value.IsString()) {
    Refuse(name, "a string");
  }
  // One call is enough for a short text. A buffer filled to within one character of its end may have been cut.
  std::array<char, 1024> buffer;
  size_t length = 0;
  Check(env, napi_get_value_string_utf8(env, value, buffer.data(), buffer.size(), &length));
  if (length + 4 < buffer.size()) {
    return {buffer.data(), length};
  }
  Check(env, napi_get_value_string_utf8(env, value, nullptr, 0, &length));
  std::string text(length, '\0');
  Check(env, napi_get_value_string_utf8(env, value, text.data(), length + 1, &length));
  text.resize(length);
  return text;
}

std::vector<std::string> ToTexts(Napi::Env env, const Napi::Value& value) {
  if (!value.IsArray()) {
    Refuse("texts", "an array of strings");
  }
  const auto array = value.As<Napi::Array>();
  const size_t count = array.Length();
  if (count == 0 || count > kMaximumTexts) {
    Refuse("texts", "an array of 1 to 1048576 strings");
  }
  std::vector<std::string> texts;
  texts.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const Napi::HandleScope scope(env);
    texts.push_back(ToUtf8(env, array.Get(static_cast<uint32_t>(i)), "each text"));
  }
  return texts;
}

std::vector<double> ToDoubles(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    Refuse(name, "a Float64Array");
  }
  const auto array = value.As<Napi::Float64Array>();
  const size_t length = array.ElementLength();
  // A detached buffer has no elements; asking such an array for its address would be a fault.
  return length == 0 ? std::vector<double>() : std::vector<double>(array.Data(), array.Data() + length);
}

template <typename Element>
Element* ToRoom(const Napi::Value& value, size_t length, const char* name) {
  using Array = Napi::TypedArrayOf<Element>;
  constexpr auto kType = std::is_same_v<Element, float> ? napi_float32_array : napi_float64_array;
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == kType) {
    auto array = value.As<Array>();
    if (array.ElementLength() == length) {
      return array.Data();
    }
  }
  throw Error(Code::kInvalidArgument, std::string(name) + " must be a " +
                                          (kType == napi_float32_array ? "Float32Array" : "Float64Array") + " of " +
                                          std::to_string(length));
}
template float* ToRoom<float>(const Napi::Value& value, size_t length, const char* name);
template double* ToRoom<double>(const Napi::Value& value, size_t length, const char* name);

size_t ToSize(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) {
    Refuse(name, "a whole number of 0 or more");
  }
  const double number = value.As<Napi::Number>().DoubleValue();
  constexpr double kMaximum = 4294967295.0;
  if (!(number >= 0 && number <= kMaximum) || number != static_cast<double>(static_cast<uint32_t>(number))) {
    Refuse(name, "a whole number of 0 or more");
  }
  return static_cast<size_t>(number);
}

bool ToBoolean(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) {
    Refuse(name, "a boolean");
  }
  return value.As<Napi::Boolean>().Value();
}

Napi::Function ToFunction(const Napi::Value& value, const char* name) {
  if (!value.IsFunction()) {
    Refuse(name, "a function");
  }
  return value.As<Napi::Function>();
}

Napi::Object ToResult(Napi::Env env, const Request& request) {
  if (!request.by_windows()) {
    return PreparedResult(env, request).Take(request);
  }
  const Napi::Object result = Napi::Object::New(env);
  SetWindows(env, request, result);
  result.Set("times", Copy<Napi::Float64Array>(env, Milliseconds(request)));
  return result;
}

PreparedResult::PreparedResult(Napi::Env env, const Request& request) {
  const Napi::Object result = Napi::Object::New(env);
  vectors_ = Attach<Napi::Float32Array>(env, result, "vectors", request.vectors().size());
  if (request.projected().empty()) {
    result.Set("projected", env.Null());
  } else {
    projected_ = Attach<Napi::Float32Array>(env, result, "projected", request.projected().size());
  }
  tokens_ = Attach<Napi::Int32Array>(env, result, "tokens", request.tokens().size());
  times_ = Attach<Napi::Float64Array>(env, result, "times", kTimes);
  result_ = Napi::Persistent(result);
}

Napi::Object PreparedResult::Take(const Request& request) {
  std::copy(request.vectors().begin(), request.vectors().end(), vectors_);
  std::copy(request.projected().begin(), request.projected().end(), projected_);
  std::copy(request.tokens().begin(), request.tokens().end(), tokens_);
  std::ranges::copy(Milliseconds(request), times_);
  return result_.Value();
}

}  // namespace gabion::binding
