#include "classifier.hpp"

#include <memory>
#include <utility>

#include "classifier_session.hpp"
#include "sample_texts.hpp"
#include "status.hpp"

namespace gabion {
namespace {

std::unique_ptr<const InputLayout> MakeLayout(const ClassifierOptions& options, const Tokenizer& tokenizer) {
  if (const auto* segments = std::get_if<SegmentLayout::Options>(&options.layout)) {
    return std::make_unique<const SegmentLayout>(*segments, tokenizer);
  }
  return std::make_unique<const PairLayout>(std::get<PairLayout::Options>(options.layout), tokenizer);
}

/// Segments of an input of this layout.
size_t SegmentCount(const ClassifierOptions& options) {
  const auto* segments = std::get_if<SegmentLayout::Options>(&options.layout);
  return segments == nullptr ? 2 : segments->segments.size();
}

/// What the linear layers of a classifier receive: the sample texts as segments, each with other neighbors.
TokenSamples SamplesFor(const Tokenizer& tokenizer, const InputLayout& layout, size_t segments, bool has_types) {
  TokenSamples samples;
  for (size_t i = 0; i < kSampleTexts.size(); ++i) {
    SegmentedInput input;
    for (size_t segment = 0; segment < segments; ++segment) {
      input.segments.push_back({std::string(kSampleTexts.at((i + 7 * segment) % kSampleTexts.size()))});
    }
    TextTask task;
    task.input = &input;
    kernels::TokenSample sample;
    layout.Tokenize(tokenizer, task, {sample.ids, sample.types});
    const size_t first = task.windows.front().id_count;
    sample.ids.resize(first);
    sample.types.resize(has_types ? first : 0);
    samples.push_back(std::move(sample));
  }
  return samples;
}

void RequireVocabulary(const Tokenizer& tokenizer, size_t vocabulary) {
  if (tokenizer.max_id() >= vocabulary) {
    throw Error(Code::kModelInvalid, "the tokenizer gives ids up to " + std::to_string(tokenizer.max_id()) +
                                         " but the model has only " + std::to_string(vocabulary) + " token vectors");
  }
}

std::unique_ptr<const Session> Open(const PackedClassifier& packed, const Tokenizer& tokenizer,
                                    const InputLayout& layout, size_t segments) {
  TokenSamples samples;
  if (packed.checkpoint.precision == kernels::Precision::kInt8) {
    samples = SamplesFor(tokenizer, layout, segments, packed.checkpoint.has_types);
  }
  auto session = std::make_unique<const ClassifierSession>(packed.checkpoint, packed.head, segments, samples);
  RequireVocabulary(tokenizer, session->encoder().vocabulary());
  if (layout.max_tokens() > session->encoder().positions()) {
    throw Error(Code::kModelInvalid, "an input can have " + std::to_string(layout.max_tokens()) +
                                         " tokens, the model takes " + std::to_string(session->encoder().positions()));
  }
  return session;
}

std::unique_ptr<const Session> Open(const GraphClassifier& graph, const Tokenizer& tokenizer) {
  RequireVocabulary(tokenizer, graph.vocabulary);
  auto session = OpenSession(graph.session);
  if (session->info().width != graph.outputs) {
    throw Error(Code::kModelInvalid, "the graph gives " + std::to_string(session->info().width) +
                                         " logits, the model's folder says " + std::to_string(graph.outputs));
  }
  return session;
}

}  // namespace

Model LoadClassifier(const ClassifierOptions& options) {
  // Weights are watched before they are mapped.
  Model::Weights weights;
  const auto* packed = std::get_if<PackedClassifier>(&options.network);
  if (packed != nullptr) {
    for (const std::string& file : packed->checkpoint.files) {
      weights.push_back(std::make_unique<const WatchedFile>(file));
    }
  } else if (const auto& file = std::get<GraphClassifier>(options.network).weights_file; !file.empty()) {
    weights.push_back(std::make_unique<const WatchedFile>(file));
  }
  Tokenizer tokenizer(options.tokenizer_file);
  auto layout = MakeLayout(options, tokenizer);
  auto session = packed != nullptr ? Open(*packed, tokenizer, *layout, SegmentCount(options))
                                   : Open(std::get<GraphClassifier>(options.network), tokenizer);
  const size_t max_tokens = layout->max_tokens();
  return {std::move(session), std::move(tokenizer), max_tokens, std::move(weights), std::move(layout)};
}

}  // namespace gabion
