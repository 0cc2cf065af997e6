// Error codes of the native side. The names are the ones of lib/errors.ts; nothing else crosses the boundary.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace gabion {

enum class Code {
  kInvalidArgument,
  kModelNotFound,
  kModelInvalid,
  kModelUnsupported,
  kRuntimeMissing,
  kRuntimeIncompatible,
  kProviderUnavailable,
  kOverloaded,
  kOutOfMemory,
  kAborted,
  kDisposed,
  kTokenizerFailed,
  kInferenceFailed,
  kProjectionMismatch,
  kInternal,
};

/// The code's public name, such as "MODEL_NOT_FOUND".
const char* CodeName(Code code) noexcept;

/// The only exception that leaves the engine.
class Error : public std::runtime_error {
 public:
  Error(Code code, const std::string& message) : std::runtime_error(message), code_(code) {}
  Code code() const noexcept { return code_; }

 private:
  Code code_;
};

}  // namespace gabion
