// A loaded model: a tokenizer and a session. Texts in, vectors and projected vectors out. Immutable: any thread may use
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint_encoder.hpp"
#include "input_layout.hpp"
#include "session.hpp"
#include "text_task.hpp"
#include "tokenizer.hpp"
#include "watched_file.hpp"

namespace gabion {

/// What a model's folder says.
struct ModelOptions {
  SessionOptions session;
  /// In the place of the session's graph.
  std::optional<CheckpointOptions> checkpoint;
  std::string tokenizer_file;
  Truncation truncation = Truncation::kOfFile;
  std::string weights_file;    ///< mapped by the graph; empty where the graph holds its weights itself
  size_t vocabulary_size = 0;  ///< rows of the embedding table
  size_t dimensions = 0;       ///< before the vector is cut
};

/// The ids of kSampleTexts for a precision that needs them, else none.
TokenSamples SamplesFor(const Tokenizer& tokenizer, const SessionOptions& options);

class Model {
 public:
  /// The files of a model's weights; they are checked before and after each run.
  using Weights = std::vector<std::unique_ptr<const WatchedFile>>;

  /// A model over any session. With a `layout` it takes segmented inputs in the place of texts.
  Model(std::unique_ptr<const Session> session, Tokenizer tokenizer, size_t max_tokens, Weights weights = {},
        std::unique_ptr<const InputLayout> layout = nullptr);

  /// Embeds texts on the calling thread, session().max_batch() of them at most. Throws what the tokenizer and the
  /// session throw; the tasks may then be embedded again.
  void Embed(std::span<TextTask* const> tasks, Scratch& scratch) const;
  void Embed(TextTask& task, Scratch& scratch) const;

  /// Throws kInvalidArgument unless this is a model for such inputs.
  void Accepts(const SegmentedInput& input) const;
  /// Whether it takes segmented inputs in the place of texts.
  bool takes_segments() const noexcept { return layout_ != nullptr; }

  /// Throws kInvalidArgument when the windows are too long for the model, or leave gaps.
  void Accepts(const WindowRule& rule) const;

  /// Throws kProjectionMismatch when the projection is for vectors of another width.
  void Accepts(const Projection& projection) const;

  const Tokenizer& tokenizer() const noexcept { return tokenizer_; }
  const Session& session() const noexcept { return *session_; }
  size_t dimensions() const noexcept { return session_->info().width; }
  size_t max_tokens() const noexcept { return max_tokens_; }

 private:
  void Tokenize(TextTask& task, Scratch& scratch) const;
  void TokenizeText(TextTask& task, std::vector<int64_t>& ids) const;
  static void Project(TextTask& task, size_t dimensions);
  void RequireUnchangedWeights() const;

  Weights weights_;
  std::unique_ptr<const Session> session_;
  Tokenizer tokenizer_;
  size_t max_tokens_;
  std::unique_ptr<const InputLayout> layout_;
};

/// Throws what Tokenizer and OpenSession throw, and kModelInvalid when tokenizer, graph and folder contradict each
/// other.
Model LoadModel(const ModelOptions& options);

}  // namespace gabion
