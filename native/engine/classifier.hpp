// Loads a classifier: a model that takes segmented inputs and whose vectors are logits. Its encoder is packed from a
// checkpoint, or runs as a graph in ONNX Runtime.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "checkpoint_encoder.hpp"
#include "classifier_head.hpp"
#include "input_layout.hpp"
#include "model.hpp"

namespace gabion {

struct PackedClassifier {
  CheckpointOptions checkpoint;
  ClassifierHead head;
};

/// A graph whose output is the logits, [1, outputs].
struct GraphClassifier {
  SessionOptions session;
  std::string weights_file;  ///< next to the graph; empty where the graph holds its weights itself
  size_t vocabulary = 0;
  size_t outputs = 0;
};

struct ClassifierOptions {
  std::string tokenizer_file;
  std::variant<PackedClassifier, GraphClassifier> network;
  std::variant<SegmentLayout::Options, PairLayout::Options> layout;
};

/// Throws what Tokenizer, the sessions and the layouts throw, and kModelInvalid when tokenizer, network and layout
/// contradict each other.
Model LoadClassifier(const ClassifierOptions& options);

}  // namespace gabion
