// JavaScript values to C++ and back. Every reader throws a coded JavaScript error when the value is not what it must
// be.
#pragma once

#include <napi.h>

#include <cstddef>
#include <string>
#include <vector>

#include "scheduler.hpp"

namespace gabion::binding {

constexpr double kNanosecondsPerMillisecond = 1e6;

/// A JavaScript Error with `code` set to the public name.
Napi::Error ToJsError(Napi::Env env, const Error& error);

/// Runs `body` and turns every C++ exception into a JavaScript one. Nothing else may leave a native function.
template <typename Body>
auto Guard(Napi::Env env, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const Error& error) {
    throw ToJsError(env, error);
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw ToJsError(env, Error(Code::kOutOfMemory, "there is no memory for the call"));
  } catch (const std::exception& error) {
    throw ToJsError(env, Error(Code::kInternal, error.what()));
  }
}

/// UTF-8 of a JavaScript string; a lone surrogate becomes U+FFFD, as in TextEncoder.
std::string ToUtf8(Napi::Env env, const Napi::Value& value, const char* name);
std::vector<std::string> ToTexts(Napi::Env env, const Napi::Value& value);
/// The floats of a Float32Array, copied.
std::vector<float> ToFloats(const Napi::Value& value, const char* name);
Napi::Float32Array FromFloats(Napi::Env env, const std::vector<float>& values);
std::vector<double> ToDoubles(const Napi::Value& value, const char* name);
/// The elements of a typed array of exactly `length` elements. Valid until JavaScript runs again.
template <typename Element>
Element* ToBuffer(const Napi::Value& value, size_t length, const char* name);
size_t ToSize(const Napi::Value& value, const char* name);
/// For sizes of files, which may be beyond 32 bits.
uint64_t ToLargeSize(const Napi::Value& value, const char* name);
bool ToBoolean(const Napi::Value& value, const char* name);
kernels::Precision ToPrecision(const std::string& name);
Napi::Function ToFunction(const Napi::Value& value, const char* name);

/// NativeResult (lib/native.ts) of a request with windows that ended well.
Napi::Object ToResult(Napi::Env env, const Request& request);

/// NativeResult of a request without windows, whose sizes are known beforehand: made while encoder threads work, it
/// costs the caller no time. JavaScript sees its arrays after Take only, so their memory stays in place.
class PreparedResult {
 public:
  PreparedResult(Napi::Env env, const Request& request);
  /// Copies the results in. To be called once, when the request has ended well.
  Napi::Object Take(const Request& request);

 private:
  Napi::ObjectReference result_;
  float* vectors_ = nullptr;
  float* projected_ = nullptr;
  int32_t* token_counts_ = nullptr;
  double* times_ = nullptr;
};

}  // namespace gabion::binding
