#include "classifier.hpp"

#include <memory>
#include <utility>

#include "classifier_session.hpp"
#include "status.hpp"

namespace gabion {

Model LoadClassifier(ClassifierOptions options) {
  Model::Weights weights;
  for (const std::string& file : options.checkpoint.files) {
    weights.push_back(std::make_unique<const WatchedFile>(file));  // watched before it is mapped
  }
  Tokenizer tokenizer(options.tokenizer_file);
  auto layout = std::make_unique<const SegmentLayout>(options.segments, options.stride, tokenizer);
  const size_t max_tokens = layout->max_tokens();
  SessionOptions sampled;
  sampled.precision = options.checkpoint.precision;
  sampled.max_tokens = max_tokens;
  auto session = std::make_unique<const ClassifierSession>(options.checkpoint, std::move(options.head),
                                                           options.segments.size(), SamplesFor(tokenizer, sampled));
  if (tokenizer.max_id() >= session->encoder().vocabulary()) {
    throw Error(Code::kModelInvalid, "the tokenizer gives ids up to " + std::to_string(tokenizer.max_id()) +
                                         " but the model has only " + std::to_string(session->encoder().vocabulary()) +
                                         " token vectors");
  }
  if (max_tokens > session->encoder().positions()) {
    throw Error(Code::kModelInvalid, "an input can have " + std::to_string(max_tokens) + " tokens, the model takes " +
                                         std::to_string(session->encoder().positions()));
  }
  return {std::move(session), std::move(tokenizer), max_tokens, std::move(weights), std::move(layout)};
}

}  // namespace gabion
