// A loaded model: tokenizer, graph, pooling and normalisation as its folder says. Immutable: any thread may use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pooling.hpp"
#include "projection.hpp"
#include "session.hpp"
#include "tokenizer.hpp"
#include "watched_file.hpp"

namespace gabion {

struct ModelOptions {
  std::string graph_file;
  std::string tokenizer_file;
  std::string weights_file;  ///< what the graph maps beside itself; empty where it has all in itself
  std::vector<std::string> providers;
  size_t maximum_tokens = 0;   ///< special tokens included
  size_t vocabulary_size = 0;  ///< rows of the embedding table
  size_t dimensions = 0;
  Pooling pooling = Pooling::kMean;
  bool normalize = true;
  kernels::Precision precision = kernels::Precision::kBf16;  ///< of gabion's own encoder, where the graph is made of it
};

/// Nanoseconds spent in each part of one text's way, summed over the texts of a request.
struct EncodeTimes {
  int64_t tokenize_ns = 0;
  int64_t encode_ns = 0;
  int64_t project_ns = 0;
};

/// How long texts are cut: windows of at most `size` tokens, special tokens not counted, one every `stride` tokens.
struct WindowRule {
  size_t size = 0;
  size_t stride = 0;
};

/// The windows of one text, in reading order.
struct WindowedText {
  std::vector<float> vectors;    ///< windows x dimensions
  std::vector<float> projected;  ///< windows x components; empty without a projection
  std::vector<int32_t> spans;    ///< pairs: first UTF-16 unit of the window, the one behind its last
};

/// The ids of kSampleTexts for a precision that asks for them.
TokenSamples SamplesFor(const Tokenizer& tokenizer, size_t maximum_tokens, kernels::Precision precision);

/// A text to be embedded, and where its results go: see Model::Embed.
struct TextInOut {
  std::string_view text;
  const Projection* projection = nullptr;
  float* vector = nullptr;
  float* projected = nullptr;
  int32_t* kept = nullptr;
  int32_t* total = nullptr;
};

class Model {
 public:
  /// Throws what Tokenizer and OpenSession throw, and kModelInvalid when tokenizer, graph and options contradict each
  /// other.
  explicit Model(ModelOptions options);

  /// Embeds one text on the calling thread: `vector` [dimensions]; `kept` and `total` tokens; `projected` [components]
  /// when a projection is given (it must have been checked with Accepts).
  void Embed(std::string_view text, const Projection* projection, Scratch& scratch, float* vector, float* projected,
             int32_t* kept, int32_t* total, EncodeTimes& times) const;

  /// The same for several texts, at most texts_at_once() of them.
  void EmbedTogether(std::span<const TextInOut> texts, Scratch& scratch, EncodeTimes& times) const;
  size_t texts_at_once() const noexcept { return session_->texts_at_once(); }

  /// Embeds every window of one text on the calling thread; a text without tokens has none.
  WindowedText EmbedWindows(std::string_view text, const WindowRule& rule, const Projection* projection,
                            Scratch& scratch, EncodeTimes& times) const;

  /// Throws kInvalidArgument when the windows are too long for the model, or do not overlap or touch.
  void Accepts(const WindowRule& rule) const;

  /// Throws kProjectionMismatch when the projection is for vectors of another width.
  void Accepts(const Projection& projection) const;

  const Tokenizer& tokenizer() const noexcept { return *tokenizer_; }
  const Session& session() const noexcept { return *session_; }
  size_t dimensions() const noexcept { return options_.dimensions; }
  size_t maximum_tokens() const noexcept { return options_.maximum_tokens; }

 private:
  /// Opens the graph while the tokenizer is read on a thread of its own: each takes about as long.
  Model(ModelOptions&& options, std::future<Tokenizer> tokenizer);

  size_t Tokenize(const TextInOut& text, std::vector<int64_t>& ids, EncodeTimes& times) const;
  /// Embeds the first `tokens` ids of the scratch.
  void EmbedIds(size_t tokens, const Projection* projection, Scratch& scratch, float* vector, float* projected,
                EncodeTimes& times) const;
  /// Embeds several texts of ids; `results` says where to.
  void EmbedIdsTogether(std::span<const std::span<const int64_t>> ids, std::span<const TextInOut> results,
                        Scratch& scratch, EncodeTimes& times) const;
  /// Checks, before and after a run, that it reads the file that was opened.
  void RequireUnchangedWeights() const;

  ModelOptions options_;
  std::unique_ptr<WatchedFile> weights_;  ///< opened before the session maps it
  std::optional<Tokenizer> tokenizer_;    // set when the constructor ends
  std::unique_ptr<const Session> session_;
};

}  // namespace gabion
