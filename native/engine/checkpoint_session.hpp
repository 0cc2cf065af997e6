// An embedding model as a session: an encoder from a checkpoint, and pooling.
#pragma once

#include <span>

#include "checkpoint_encoder.hpp"
#include "pooling.hpp"
#include "session.hpp"

namespace gabion {

class CheckpointSession final : public Session {
 public:
  /// Throws what CheckpointEncoder throws, and kModelInvalid for inputs that are longer than it takes.
  CheckpointSession(const CheckpointOptions& checkpoint, const PoolingOptions& pooling, size_t max_tokens,
                    const TokenSamples& samples);

  const SessionInfo& info() const noexcept override { return info_; }
  void Run(std::span<TextTask* const> tasks, Scratch& scratch) const override;

  const CheckpointEncoder& encoder() const noexcept { return encoder_; }

 private:
  CheckpointEncoder encoder_;
  PoolingOptions pooling_;
  SessionInfo info_;
};

}  // namespace gabion
