// ONNX Runtime's CUDA provider: a library of the user's, never linked and never shipped, and the runtime that it came
// with.
//
// Lifetime: registered with the one environment at the first session that wishes for it, and never taken back: ONNX
// Runtime itself is never closed either.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "runtime.hpp"

namespace gabion {

/// The runtime beside a provider library. Throws kProviderUnavailable if one of both is missing or does not fit.
const Runtime& RuntimeOfCuda(const std::string& library);

/// The first CUDA device with a stream of its own, on which everything that is asked here happens in order. Its
/// functions are those of the CUDA runtime that the provider library has loaded. Not for several threads at once.
class CudaDevice {
 public:
  /// `runtime` is RuntimeOfCuda(library). Throws kProviderUnavailable and says what is missing: a library that the
  /// provider needs, the driver, or a device.
  CudaDevice(const Runtime& runtime, const std::string& library);

  /// Makes a session with these options compute on this stream.
  void Append(OrtSessionOptions* options) const;

  /// Throw kOutOfMemory, kInferenceFailed.
  std::shared_ptr<void> AllocateHere(size_t bytes) const;
  /// Memory of the process that the device reads and writes by itself.
  std::shared_ptr<void> AllocateShared(size_t bytes) const;
  /// From shared memory, at some time before what is started later.
  void CopyHere(void* to, const void* from, size_t bytes) const;
  /// Waits for all that was started.
  void Finish() const;

  /// Starts what `body` starts as one CUDA graph, now and at each Launch. Nothing in it may wait for the device.
  std::shared_ptr<void> Capture(const std::function<void()>& body) const;
  void Launch(const std::shared_ptr<void>& graph) const;

  /// How ONNX Runtime names the device's memory.
  const OrtMemoryInfo* memory() const noexcept { return memory_; }

 private:
  struct Functions;
  void Check(int result, const char* what) const;

  const Runtime& runtime_;
  const OrtEpDevice* device_;
  const OrtMemoryInfo* memory_;
  std::shared_ptr<const Functions> cuda_;
  std::shared_ptr<void> stream_;
};

/// True if ONNX Runtime's text tells of CUDA: opening a session failed for want of the device, not for the graph's
/// fault.
bool TellsOfCuda(const std::string& message);

/// The text, with what to do about it where it tells of memory that the device does not have.
std::string ExplainCuda(const std::string& message);

}  // namespace gabion
