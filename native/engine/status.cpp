#include "status.hpp"

namespace gabion {

const char* CodeName(Code code) noexcept {
  switch (code) {
    case Code::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case Code::kModelNotFound:
      return "MODEL_NOT_FOUND";
    case Code::kModelInvalid:
      return "MODEL_INVALID";
    case Code::kModelUnsupported:
      return "MODEL_UNSUPPORTED";
    case Code::kRuntimeMissing:
      return "RUNTIME_MISSING";
    case Code::kRuntimeIncompatible:
      return "RUNTIME_INCOMPATIBLE";
    case Code::kProviderUnavailable:
      return "PROVIDER_UNAVAILABLE";
    case Code::kOverloaded:
      return "OVERLOADED";
    case Code::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case Code::kAborted:
      return "ABORTED";
    case Code::kDisposed:
      return "DISPOSED";
    case Code::kTokenizerFailed:
      return "TOKENIZER_FAILED";
    case Code::kInferenceFailed:
      return "INFERENCE_FAILED";
    case Code::kProjectionMismatch:
      return "PROJECTION_MISMATCH";
    case Code::kInternal:
      return "INTERNAL";
  }
  return "INTERNAL";
}

}  // namespace gabion
