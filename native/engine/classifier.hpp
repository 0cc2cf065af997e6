// Loads a classifier: a model that takes segmented inputs and whose vectors are logits.
#pragma once

#include <string>
#include <vector>

#include "checkpoint_encoder.hpp"
#include "classifier_head.hpp"
#include "input_layout.hpp"
#include "model.hpp"

namespace gabion {

struct ClassifierOptions {
  std::string tokenizer_file;
  CheckpointOptions checkpoint;
  ClassifierHead head;
  std::vector<SegmentLayout::Segment> segments;
  size_t stride = 0;  ///< of the windows of the last segment, in tokens
};

/// Throws what Tokenizer, ClassifierSession and SegmentLayout throw, and kModelInvalid when tokenizer, checkpoint and
/// layout contradict each other.
Model LoadClassifier(ClassifierOptions options);

}  // namespace gabion
