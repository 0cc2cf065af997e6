#include "model.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "sample_texts.hpp"

namespace gabion {
namespace {

using Clock = std::chrono::steady_clock;

int64_t Nanoseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count();
}

/// Units that a JavaScript string of this (valid) UTF-8 has: one a character, two beyond the basic plane.
size_t Utf16Units(std::string_view text) {
  size_t units = 0;
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    const bool continuation = (value & 0xC0U) == 0x80U;
    const bool astral = value >= 0xF0U;
    units += continuation ? 0 : astral ? 2 : 1;
  }
  return units;
}

/// Reads a tokenizer on another thread, or, where none is to be had, when it is asked for.
std::future<Tokenizer> ReadAside(const std::string& file) {
  return std::async(std::launch::async | std::launch::deferred, [file] { return Tokenizer(file); });
}

}  // namespace

TokenSamples SamplesFor(const Tokenizer& tokenizer, size_t maximum_tokens, kernels::Precision precision) {
  TokenSamples samples;
  if (precision == kernels::Precision::kInt8) {
    for (const std::string_view text : kSampleTexts) {
      std::vector<int64_t>& ids = samples.emplace_back();
      ids.resize(tokenizer.Encode(text, maximum_tokens, ids).written);
    }
  }
  return samples;
}

Model::Model(ModelOptions options) : Model(std::move(options), ReadAside(options.tokenizer_file)) {}

Model::Model(ModelOptions&& options, std::future<Tokenizer> tokenizer)
    : options_(std::move(options)),
      weights_(options_.weights_file.empty() ? nullptr : std::make_unique<WatchedFile>(options_.weights_file)),
      // The int8 encoder looks at tokens of sample texts when it is opened.
      tokenizer_(options_.precision == kernels::Precision::kInt8 ? std::optional(tokenizer.get()) : std::nullopt),
      session_(OpenSession(
          options_.graph_file, options_.providers, options_.precision,
          tokenizer_ ? SamplesFor(*tokenizer_, options_.maximum_tokens, options_.precision) : TokenSamples{},
          options_.pooling, options_.maximum_tokens)) {
  if (!tokenizer_) {
    tokenizer_ = tokenizer.get();
  }
  if (tokenizer_->max_id() >= options_.vocabulary_size) {
    throw Error(Code::kModelInvalid, "the tokenizer gives ids up to " + std::to_string(tokenizer_->max_id()) +
                                         " but the model has only " + std::to_string(options_.vocabulary_size) +
                                         " token vectors");
  }
  if (session_->width() != options_.dimensions) {
    throw Error(Code::kModelInvalid, "the graph gives vectors of width " + std::to_string(session_->width()) +
                                         ", the model's folder says " + std::to_string(options_.dimensions));
  }
}

void Model::Accepts(const Projection& projection) const {
  if (projection.dimensions() != options_.dimensions) {
    throw Error(Code::kProjectionMismatch, "the projection takes vectors of " +
                                               std::to_string(projection.dimensions()) +
                                               " dimensions, the model gives " + std::to_string(options_.dimensions));
  }
}

size_t Model::Tokenize(const TextInOut& text, std::vector<int64_t>& ids, EncodeTimes& times) const {
  const auto start = Clock::now();
  const Tokenizer::Encoded encoded = tokenizer_->Encode(text.text, options_.maximum_tokens, ids);
  times.tokenize_ns += Nanoseconds(start, Clock::now());
  *text.kept = static_cast<int32_t>(encoded.written);
  *text.total =
      static_cast<int32_t>(std::min<size_t>(encoded.total, static_cast<size_t>(std::numeric_limits<int32_t>::max())));
  return encoded.written;
}

void Model::Embed(std::string_view text, const Projection* projection, Scratch& scratch, float* vector,
                  float* projected, int32_t* kept, int32_t* total, EncodeTimes& times) const {
  const size_t tokens = Tokenize({text, projection, vector, projected, kept, total}, scratch.ids, times);
  EmbedIds(tokens, projection, scratch, vector, projected, times);
}

void Model::EmbedTogether(std::span<const TextInOut> texts, Scratch& scratch, EncodeTimes& times) const {
  scratch.ids_of_texts.resize(std::max(scratch.ids_of_texts.size(), texts.size()));
  std::vector<std::span<const int64_t>> ids;
  ids.reserve(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    std::vector<int64_t>& of_text = scratch.ids_of_texts[i];
    const size_t tokens = Tokenize(texts[i], of_text, times);
    ids.emplace_back(of_text.data(), tokens);
  }
  EmbedIdsTogether(ids, texts, scratch, times);
}

WindowedText Model::EmbedWindows(std::string_view text, const WindowRule& rule, const Projection* projection,
                                 Scratch& scratch, EncodeTimes& times) const {
  const auto start = Clock::now();
  std::vector<int64_t> ids;
  const std::vector<Tokenizer::Window> windows = tokenizer_->Windows(text, rule.size, rule.stride, ids);
  WindowedText result;
  for (const Tokenizer::Window& window : windows) {
    const size_t first = Utf16Units(text.substr(0, window.start));
    const size_t units = Utf16Units(text.substr(window.start, window.end - window.start));
    result.spans.push_back(static_cast<int32_t>(first));
    result.spans.push_back(static_cast<int32_t>(first + units));
  }
  times.tokenize_ns += Nanoseconds(start, Clock::now());

  const size_t width = options_.dimensions;
  const size_t components = projection == nullptr ? 0 : projection->components();
  result.vectors.resize(windows.size() * width);
  result.projected.resize(windows.size() * components);
  const auto vector = [&](size_t i) { return result.vectors.data() + i * width; };
  const auto image = [&](size_t i) {
    return projection == nullptr ? nullptr : result.projected.data() + i * components;
  };
  if (texts_at_once() > 1) {
    std::vector<std::span<const int64_t>> of_windows;
    std::vector<TextInOut> results;
    for (size_t i = 0; i < windows.size(); ++i) {
      of_windows.emplace_back(ids.data() + windows[i].first_id, windows[i].ids);
      results.push_back({{}, projection, vector(i), image(i)});
    }
    EmbedIdsTogether(of_windows, results, scratch, times);
    return result;
  }
  for (size_t i = 0; i < windows.size(); ++i) {
    const auto from = ids.begin() + static_cast<std::ptrdiff_t>(windows[i].first_id);
    scratch.ids.assign(from, from + static_cast<std::ptrdiff_t>(windows[i].ids));
    EmbedIds(windows[i].ids, projection, scratch, vector(i), image(i), times);
  }
  return result;
}

void Model::Accepts(const WindowRule& rule) const {
  std::vector<int64_t> ids;
  const size_t special = tokenizer_->Encode("", options_.maximum_tokens, ids).total;
  const size_t room = options_.maximum_tokens - special;
  if (rule.size < 1 || rule.size > room) {
    throw Error(Code::kInvalidArgument, "a window's size must be from 1 to the model's " + std::to_string(room) +
                                            " tokens beside the special ones, got " + std::to_string(rule.size));
  }
  if (rule.stride < 1 || rule.stride > rule.size) {
    throw Error(Code::kInvalidArgument, "a window's stride must be from 1 to its size, " + std::to_string(rule.size) +
                                            ", got " + std::to_string(rule.stride));
  }
}

void Model::RequireUnchangedWeights() const {
  if (weights_ != nullptr) {
    weights_->RequireUnchanged();
  }
}

void Model::EmbedIds(size_t tokens, const Projection* projection, Scratch& scratch, float* vector, float* projected,
                     EncodeTimes& times) const {
  const auto start = Clock::now();
  RequireUnchangedWeights();
  session_->Run(tokens, scratch);
  RequireUnchangedWeights();
  const size_t width = options_.dimensions;
  if (session_->pools()) {
    std::memcpy(vector, scratch.hidden.data(), width * sizeof(float));
  } else {
    Pool(options_.pooling, scratch.hidden.data(), tokens, width, vector);
  }
  if (options_.normalize) {
    NormalizeL2(vector, width);
  }
  const auto ran = Clock::now();
  if (projection != nullptr) {
    projection->Apply(vector, projected);
  }
  times.encode_ns += Nanoseconds(start, ran);
  times.project_ns += Nanoseconds(ran, Clock::now());
}

void Model::EmbedIdsTogether(std::span<const std::span<const int64_t>> ids, std::span<const TextInOut> results,
                             Scratch& scratch, EncodeTimes& times) const {
  const auto start = Clock::now();
  const size_t width = options_.dimensions;
  scratch.hidden.resize(std::max(scratch.hidden.size(), ids.size() * width));
  RequireUnchangedWeights();
  session_->RunTogether(ids, scratch, scratch.hidden.data());
  RequireUnchangedWeights();
  for (size_t i = 0; i < ids.size(); ++i) {
    std::memcpy(results[i].vector, scratch.hidden.data() + i * width, width * sizeof(float));
    if (options_.normalize) {
      NormalizeL2(results[i].vector, width);
    }
  }
  const auto ran = Clock::now();
  for (const TextInOut& result : results) {
    if (result.projection != nullptr) {
      result.projection->Apply(result.vector, result.projected);
    }
  }
  times.encode_ns += Nanoseconds(start, ran);
  times.project_ns += Nanoseconds(ran, Clock::now());
}

}  // namespace gabion
