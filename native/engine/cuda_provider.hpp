// ONNX Runtime's CUDA provider: a library of the user's, never linked and never shipped, and the runtime that it came
// with.
//
// Lifetime: registered with the one environment at the first session that requests it, and never unregistered: ONNX
// Runtime itself is never closed either.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "runtime.hpp"

namespace gabion {

/// The runtime next to a provider library. Throws kProviderUnavailable if either is missing or they do not match.
const Runtime& RuntimeOfCuda(const std::string& library);

/// The first CUDA device with a stream of its own, on which all operations are ordered. Its functions are those of the
/// CUDA runtime that the provider library has loaded. Not for several threads at once.
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
  /// From shared memory, ordered before later launches.
  void CopyHere(void* to, const void* from, size_t bytes) const;
  /// Waits for everything that was launched.
  void Finish() const;

  /// Captures what `body` launches as one CUDA graph, and launches it, as each Launch does. Nothing in it may wait for
  /// the device.
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

/// True if ONNX Runtime's message is about CUDA: the session did not open for lack of the device, not because of the
/// graph.
bool TellsOfCuda(const std::string& message);

/// The message, with advice where the device is out of memory.
std::string ExplainCuda(const std::string& message);

}  // namespace gabion
