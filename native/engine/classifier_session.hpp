// A classifier as a session: an encoder from a checkpoint and a head. A window's vector is its logits.
#pragma once

#include <span>

#include "checkpoint_encoder.hpp"
#include "classifier_head.hpp"
#include "session.hpp"

namespace gabion {

class ClassifierSession final : public Session {
 public:
  /// Throws what CheckpointEncoder throws, and kInvalidArgument for a head that does not fit. `segments` is the number
  /// of segments of an input.
  ClassifierSession(const CheckpointOptions& checkpoint, ClassifierHead head, size_t segments,
                    const TokenSamples& samples);

  const SessionInfo& info() const noexcept override { return info_; }
  void Run(std::span<TextTask* const> tasks, Scratch& scratch) const override;

  const CheckpointEncoder& encoder() const noexcept { return encoder_; }

 private:
  CheckpointEncoder encoder_;
  ClassifierHead head_;
  bool has_types_;
  SessionInfo info_;
};

}  // namespace gabion
