// ONNX Runtime: gabion's own, and for a graphics card the one that the card's provider library came with. The provider
// calls back into functions that only its own runtime has: with another one of the same version the process would crash
// at the first graph that needs them.
//
// Lifetime: opened at the first model that needs it (gabion's own encoder does not) and never closed. Its threads,
// allocators and static objects may be in use on any thread until the process ends, so there is no safe moment to
// unload it. gabion's own library is next to this binary under a SONAME of its own, so that another copy in the
// process (onnxruntime-node, say) is never mistaken for it.
#pragma once

#include <onnxruntime_c_api.h>

#include <cstddef>
#include <memory>
#include <string>

#include "status.hpp"

namespace gabion {

class Runtime {
 public:
  /// Opens gabion's own library at the first call. Throws kRuntimeMissing or kRuntimeIncompatible, at each call until
  /// it works.
  static const Runtime& Get();
  /// Opens the library in the folder of a provider's library, likewise.
  static const Runtime& NextTo(const std::string& provider_library);
  /// How many have been opened.
  static size_t OpenCount() noexcept;

  const OrtApi& api() const noexcept { return *api_; }
  OrtEnv* environment() const noexcept { return environment_; }
  const std::string& version() const noexcept { return version_; }
  const std::string& library_path() const noexcept { return library_path_; }

  /// Throws an Error with the given code and ONNX Runtime's own text if the status is a failure; frees the status.
  /// Where that text is about memory, the code is kOutOfMemory.
  void Check(OrtStatus* status, Code code, const std::string& context) const;

 private:
  explicit Runtime(std::string library_path);

  const OrtApi* api_ = nullptr;
  OrtEnv* environment_ = nullptr;
  std::string version_;
  std::string library_path_;
};

/// Owns one object of ONNX Runtime's C API and releases it with the API's own function.
template <typename T>
using OrtOwned = std::unique_ptr<T, void (*)(T*)>;

}  // namespace gabion
