// A model handle: the loaded model, its lease on the encoder threads, and how many of them it may use at once.
#pragma once

#include <napi.h>

#include <memory>

#include "handle.hpp"
#include "scheduler.hpp"

namespace gabion::binding {

/// The object behind a model handle. Closing it refuses new requests at once; those in flight keep the model until they
/// end.
class OpenModel {
 public:
  /// Takes a lease on `threads` encoder threads.
  OpenModel(std::shared_ptr<const Model> model, size_t threads);
  ~OpenModel() { Close(); }
  OpenModel(const OpenModel&) = delete;
  OpenModel& operator=(const OpenModel&) = delete;

  /// Throws kDisposed.
  const std::shared_ptr<const Model>& model() const;
  size_t threads() const noexcept { return threads_; }
  void Close() noexcept;

 private:
  std::shared_ptr<const Model> model_;
  size_t threads_;
};

template <>
struct HandleKind<OpenModel> {
  static constexpr napi_type_tag kTag{0x8f1d0c2a5b7e4936ULL, 0xa3c46e9d12f8b705ULL};
  static constexpr const char* kName = "model";
};

/// openModel(options, done): loads on a pool thread; done(code, message) or done(null, null, handle, description).
void OpenModelAsync(const Napi::CallbackInfo& info);
/// openClassifier(options, done): likewise.
void OpenClassifierAsync(const Napi::CallbackInfo& info);

}  // namespace gabion::binding
