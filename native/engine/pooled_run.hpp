// Texts through an encoder to finished vectors: hidden state, pooling, normalization.
#pragma once

#include <span>

#include "pooling.hpp"
#include "session.hpp"
#include "text_encoder.hpp"

namespace gabion {

/// Encodes all windows of the tasks, whose ids are in the scratch, and writes their vectors to `task.vectors`. Throws
/// what TextEncoder::Run throws, and kInferenceFailed for a vector that is not finite.
void RunPooled(const TextEncoder& encoder, const PoolingOptions& pooling, std::span<TextTask* const> tasks,
               Scratch& scratch);

}  // namespace gabion
