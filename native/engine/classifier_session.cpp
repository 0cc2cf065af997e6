#include "classifier_session.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "status.hpp"

namespace gabion {

ClassifierSession::ClassifierSession(const CheckpointOptions& checkpoint, ClassifierHead head, size_t segments,
                                     const TokenSamples& samples)
    : encoder_(checkpoint, samples), head_(std::move(head)), has_types_(checkpoint.has_types) {
  head_.RequireConsistent(encoder_.encoder().width(), segments);
  info_ = {"cpu", {}, head_.outputs(), encoder_.encoder().instruction_set(), nullptr};
}

void ClassifierSession::Run(std::span<TextTask* const> tasks, Scratch& scratch) const {
  for (TextTask* task : tasks) {
    float* logits = task->vectors;
    for (const TokenWindow& window : task->windows) {
      const auto ids = std::span(scratch.ids).subspan(window.first_id, window.id_count);
      const auto types = std::span(scratch.types).subspan(window.first_id, window.id_count);
      encoder_.encoder().Run(ids, has_types_ ? types : std::span<const uint8_t>(), scratch);
      head_.Apply(scratch.hidden.data(), encoder_.encoder().width(), window, logits);
      if (!std::all_of(logits, logits + info_.width, [](float value) { return std::isfinite(value); })) {
        throw Error(Code::kInferenceFailed, "the input's logits are not finite");
      }
      logits += info_.width;
    }
  }
}

}  // namespace gabion
