#include "checkpoint_session.hpp"

#include <string>

#include "pooled_run.hpp"
#include "status.hpp"

namespace gabion {

CheckpointSession::CheckpointSession(const CheckpointOptions& checkpoint, const PoolingOptions& pooling,
                                     size_t max_tokens, const TokenSamples& samples)
    : encoder_(checkpoint, samples), pooling_(pooling) {
  if (max_tokens > encoder_.positions()) {
    throw Error(Code::kModelInvalid, "a text can have " + std::to_string(max_tokens) + " tokens, the model takes " +
                                         std::to_string(encoder_.positions()));
  }
  const size_t width = encoder_.encoder().width();
  info_ = {"cpu", {}, FinishedWidth(pooling, width), encoder_.encoder().instruction_set(), nullptr, width};
  if (checkpoint.smooth_scales.empty()) {
    info_.smooth_scales = encoder_.encoder().smooth_scales();
  }
}

void CheckpointSession::Run(std::span<TextTask* const> tasks, Scratch& scratch) const {
  RunPooled(encoder_.encoder(), pooling_, tasks, scratch);
}

}  // namespace gabion
