// ONNX Runtime's CUDA provider as a plugin: a library of the user's, never linked and never shipped.
//
// Lifetime: registered with the one environment at the first session that wishes for it, and never taken back: ONNX
// Runtime itself is never closed either.
#pragma once

#include <string>

#include "runtime.hpp"

namespace gabion {

/// Makes sessions with these options run on the first CUDA device, through the provider library at an absolute path.
/// Throws kProviderUnavailable and says what is missing: the library, one that it needs, the driver, or a device.
void AppendCuda(const Runtime& runtime, OrtSessionOptions* options, const std::string& library);

/// True if ONNX Runtime's text tells of CUDA: opening a session failed for want of the device, not for the graph's
/// fault.
bool TellsOfCuda(const std::string& message);

/// The text, with what to do about it where it tells of memory that the device does not have.
std::string ExplainCuda(const std::string& message);

}  // namespace gabion
