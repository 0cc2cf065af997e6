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

/// Makes an array as a property of `result`, and returns its elements.
template <typename Array>
auto* Attach(Napi::Env env, Napi::Object result, const char* name, size_t length) {
  Array array = Array::New(env, length);
  result.Set(name, array);
  return length == 0 ? nullptr : array.Data();
}

template <typename Array>
auto ToVector(const Napi::Value& value, napi_typedarray_type type, const char* name, const char* expected) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    Refuse(name, expected);
  }
  auto array = value.As<Array>();
  const size_t length = array.ElementLength();
  using Vector = std::vector<std::remove_pointer_t<decltype(array.Data())>>;
  // A detached buffer has no elements; asking such an array for its address would be a fault.
  return length == 0 ? Vector() : Vector(array.Data(), array.Data() + length);
}

constexpr size_t kTimes = 4;

std::array<double, kTimes> Milliseconds(const Request& request) {
  const EncodeTimes times = request.times();
  return {static_cast<double>(times.tokenize_ns) / kNanosecondsPerMillisecond,
          static_cast<double>(request.queue_ns()) / kNanosecondsPerMillisecond,
          static_cast<double>(times.encode_ns) / kNanosecondsPerMillisecond,
          static_cast<double>(times.project_ns) / kNanosecondsPerMillisecond};
}

/// A pair per task: tokenCount, totalTokenCount.
void WriteTokenCounts(const Request& request, int32_t* counts) {
  for (const TextTask& task : request.tasks()) {
    *counts++ = task.token_count;
    *counts++ = task.total_token_count;
  }
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

Napi::Float32Array FromFloats(Napi::Env env, const std::vector<float>& values) {
  Napi::Float32Array array = Napi::Float32Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

std::vector<double> ToDoubles(const Napi::Value& value, const char* name) {
  return ToVector<Napi::Float64Array>(value, napi_float64_array, name, "a Float64Array");
}

std::vector<float> ToFloats(const Napi::Value& value, const char* name) {
  return ToVector<Napi::Float32Array>(value, napi_float32_array, name, "a Float32Array");
}

template <typename Element>
Element* ToBuffer(const Napi::Value& value, size_t length, const char* name) {
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
template float* ToBuffer<float>(const Napi::Value& value, size_t length, const char* name);
template double* ToBuffer<double>(const Napi::Value& value, size_t length, const char* name);

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

uint64_t ToLargeSize(const Napi::Value& value, const char* name) {
  constexpr double kMaximum = 9007199254740991.0;  // JavaScript's largest safe integer
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(number >= 0 && number <= kMaximum) || number != static_cast<double>(static_cast<uint64_t>(number))) {
    Refuse(name, "a whole number of 0 or more");
  }
  return static_cast<uint64_t>(number);
}

kernels::Precision ToPrecision(const std::string& name) {
  if (name == "fp32") return kernels::Precision::kFp32;
  if (name == "bf16") return kernels::Precision::kBf16;
  if (name == "int8") return kernels::Precision::kInt8;
  throw Error(Code::kInvalidArgument, "there is no encoder precision '" + name + "'");
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
  const std::vector<TextTask>& tasks = request.tasks();
  size_t windows = 0;
  size_t values = 0;
  for (const TextTask& task : tasks) {
    windows += task.windows.size();
    values += task.window_results.size();
  }
  const size_t projected_values = windows * tasks.front().components();
  const Napi::Object result = Napi::Object::New(env);
  auto* vectors = Attach<Napi::Float32Array>(env, result, "vectors", values - projected_values);
  float* projected = nullptr;
  if (tasks.front().projection == nullptr) {
    result.Set("projected", env.Null());
  } else {
    projected = Attach<Napi::Float32Array>(env, result, "projected", projected_values);
  }
  WriteTokenCounts(request, Attach<Napi::Int32Array>(env, result, "tokenCounts", 2 * tasks.size()));
  auto* window_counts = Attach<Napi::Int32Array>(env, result, "windowCounts", tasks.size());
  auto* spans = Attach<Napi::Int32Array>(env, result, "spans", 2 * windows);
  for (const TextTask& task : tasks) {
    *window_counts++ = static_cast<int32_t>(task.windows.size());
    const size_t components = task.windows.size() * task.components();
    vectors = std::copy_n(task.vectors, task.window_results.size() - components, vectors);
    projected = std::copy_n(task.projected, components, projected);
    for (const TokenWindow& window : task.windows) {
      *spans++ = window.start;
      *spans++ = window.end;
    }
  }
  std::ranges::copy(Milliseconds(request), Attach<Napi::Float64Array>(env, result, "times", kTimes));
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
  token_counts_ = Attach<Napi::Int32Array>(env, result, "tokenCounts", 2 * request.size());
  result.Set("windowCounts", env.Null());
  result.Set("spans", env.Null());
  times_ = Attach<Napi::Float64Array>(env, result, "times", kTimes);
  result_ = Napi::Persistent(result);
}

Napi::Object PreparedResult::Take(const Request& request) {
  std::copy(request.vectors().begin(), request.vectors().end(), vectors_);
  std::copy(request.projected().begin(), request.projected().end(), projected_);
  WriteTokenCounts(request, token_counts_);
  std::ranges::copy(Milliseconds(request), times_);
  return result_.Value();
}

}  // namespace gabion::binding
