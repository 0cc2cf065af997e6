// JavaScript objects that hold a shared C++ object. Each kind has a type tag, so that a handle of another kind, or any
// other object, is refused instead of misread.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <utility>

#include "status.hpp"

namespace gabion::binding {

template <typename T>
struct HandleKind;  // specialized next to each T: `kTag` and `kName`

template <typename T>
Napi::Object MakeHandle(Napi::Env env, std::shared_ptr<T> object) {
  Napi::Object handle = Napi::Object::New(env);
  auto* owned = new std::shared_ptr<T>(std::move(object));
  const napi_finalize finalize = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<T>*>(data); };
  if (napi_wrap(env, handle, owned, finalize, nullptr, nullptr) != napi_ok) {
    delete owned;
    throw Napi::Error::New(env);
  }
  handle.TypeTag(&HandleKind<T>::kTag);
  return handle;
}

/// The object of a handle. The caller keeps the returned pointer for as long as it uses the object.
template <typename T>
std::shared_ptr<T> FromHandle(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&HandleKind<T>::kTag)) {
    throw Error(Code::kInvalidArgument, std::string("expected a ") + HandleKind<T>::kName + " handle");
  }
  void* data = nullptr;
  if (napi_unwrap(value.Env(), value, &data) != napi_ok) {
    throw Error(Code::kInvalidArgument, std::string("expected a ") + HandleKind<T>::kName + " handle");
  }
  return *static_cast<std::shared_ptr<T>*>(data);
}

}  // namespace gabion::binding
