#include "model.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <future>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "checkpoint_session.hpp"
#include "sample_texts.hpp"

namespace gabion {
namespace {

using Clock = std::chrono::steady_clock;

int64_t Nanoseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count();
}

/// Length of this (valid) UTF-8 as a JavaScript string: one unit per character, two beyond the basic plane.
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

int32_t ToCount(size_t count) {
  return static_cast<int32_t>(std::min<size_t>(count, static_cast<size_t>(std::numeric_limits<int32_t>::max())));
}

/// Reads a tokenizer on another thread, or, where none can be started, on the thread that waits for it.
std::future<Tokenizer> ReadTokenizer(const std::string& file, Truncation truncation) {
  return std::async(std::launch::async | std::launch::deferred,
                    [file, truncation] { return Tokenizer(file, truncation); });
}

std::unique_ptr<const Session> Open(const ModelOptions& options, const TokenSamples& samples) {
  if (!options.checkpoint) {
    return OpenSession(options.session, samples);
  }
  return std::make_unique<const CheckpointSession>(*options.checkpoint, options.session.pooling,
                                                   options.session.max_tokens, samples);
}

}  // namespace

TokenSamples SamplesFor(const Tokenizer& tokenizer, const SessionOptions& options) {
  TokenSamples samples;
  if (options.precision == kernels::Precision::kInt8) {
    for (const std::string_view text : kSampleTexts) {
      tokenizer.Encode(text, options.max_tokens, samples.emplace_back().ids);
    }
  }
  return samples;
}

Model LoadModel(const ModelOptions& options) {
  // Watched before the session maps it.
  Model::Weights weights;
  std::vector<std::string> files = options.checkpoint ? options.checkpoint->files : std::vector<std::string>{};
  if (!options.weights_file.empty()) {
    files.push_back(options.weights_file);
  }
  for (const std::string& file : files) {
    weights.push_back(std::make_unique<const WatchedFile>(file));
  }
  // Tokenizer and graph take about as long as each other to open, so they are opened at the same time.
  std::future<Tokenizer> reader = ReadTokenizer(options.tokenizer_file, options.truncation);
  std::optional<Tokenizer> tokenizer;
  TokenSamples samples;
  const bool calibrates = !options.checkpoint || options.checkpoint->smooth_scales.empty();
  if (options.session.precision == kernels::Precision::kInt8 && calibrates) {
    tokenizer = reader.get();
    samples = SamplesFor(*tokenizer, options.session);
  }
  auto session = Open(options, samples);
  if (!tokenizer) {
    tokenizer = reader.get();
  }
  if (tokenizer->max_id() >= options.vocabulary_size) {
    throw Error(Code::kModelInvalid, "the tokenizer gives ids up to " + std::to_string(tokenizer->max_id()) +
                                         " but the model has only " + std::to_string(options.vocabulary_size) +
                                         " token vectors");
  }
  if (session->info().whole_width != options.dimensions) {
    throw Error(Code::kModelInvalid, "the graph gives vectors of width " + std::to_string(session->info().whole_width) +
                                         ", the model's folder says " + std::to_string(options.dimensions));
  }
  return {std::move(session), std::move(*tokenizer), options.session.max_tokens, std::move(weights)};
}

Model::Model(std::unique_ptr<const Session> session, Tokenizer tokenizer, size_t max_tokens, Weights weights,
             std::unique_ptr<const InputLayout> layout)
    : weights_(std::move(weights)),
      session_(std::move(session)),
      tokenizer_(std::move(tokenizer)),
      max_tokens_(max_tokens),
      layout_(std::move(layout)) {}

void Model::Accepts(const SegmentedInput& input) const {
  if (layout_ == nullptr) {
    throw Error(Code::kInvalidArgument, "the model embeds texts and takes no segments");
  }
  layout_->Accepts(input);
}

void Model::Accepts(const Projection& projection) const {
  if (projection.dimensions() != dimensions()) {
    throw Error(Code::kProjectionMismatch, "the projection takes vectors of " +
                                               std::to_string(projection.dimensions()) +
                                               " dimensions, the model gives " + std::to_string(dimensions()));
  }
}

void Model::Accepts(const WindowRule& rule) const {
  std::vector<int64_t> ids;
  const size_t special = tokenizer_.Encode("", max_tokens_, ids);
  const size_t room = max_tokens_ - special;
  if (rule.size < 1 || rule.size > room) {
    throw Error(Code::kInvalidArgument, "a window's size must be from 1 to the model's " + std::to_string(room) +
                                            " tokens without the special ones, got " + std::to_string(rule.size));
  }
  if (rule.stride < 1 || rule.stride > rule.size) {
    throw Error(Code::kInvalidArgument, "a window's stride must be from 1 to its size, " + std::to_string(rule.size) +
                                            ", got " + std::to_string(rule.stride));
  }
}

void Model::Embed(TextTask& task, Scratch& scratch) const {
  TextTask* const one = &task;
  Embed({&one, 1}, scratch);
}

void Model::Embed(std::span<TextTask* const> tasks, Scratch& scratch) const {
  scratch.ids.clear();
  scratch.types.clear();
  for (TextTask* task : tasks) {
    Tokenize(*task, scratch);
  }
  const auto start = Clock::now();
  RequireUnchangedWeights();
  session_->Run(tasks, scratch);
  RequireUnchangedWeights();
  auto last = Clock::now();
  const int64_t encode_ns = Nanoseconds(start, last) / static_cast<int64_t>(tasks.size());
  for (TextTask* task : tasks) {
    Project(*task, dimensions());
    const auto projected = Clock::now();
    task->times.encode_ns = encode_ns;
    task->times.project_ns = Nanoseconds(last, projected);
    last = projected;
  }
}

// Appends the ids of the text's or input's windows.
void Model::Tokenize(TextTask& task, Scratch& scratch) const {
  const auto start = Clock::now();
  task.windows.clear();
  if ((layout_ != nullptr) != (task.input != nullptr)) {
    throw Error(Code::kInvalidArgument, "a classifier takes segments, an embedder takes texts");
  }
  if (layout_ != nullptr) {
    layout_->Tokenize(tokenizer_, task, {scratch.ids, scratch.types});
    task.AllocateResults(dimensions());
  } else {
    TokenizeText(task, scratch.ids);
  }
  task.times.tokenize_ns = Nanoseconds(start, Clock::now());
}

void Model::TokenizeText(TextTask& task, std::vector<int64_t>& ids) const {
  const size_t first = ids.size();
  if (task.rule) {
    for (const Tokenizer::Window& window : tokenizer_.Windows(task.text, task.rule->size, task.rule->stride, ids)) {
      const size_t units_before = Utf16Units(task.text.substr(0, window.start));
      const size_t units = Utf16Units(task.text.substr(window.start, window.end - window.start));
      task.windows.push_back({window.first_id, window.ids, static_cast<int32_t>(units_before),
                              static_cast<int32_t>(units_before + units)});
    }
    task.AllocateResults(dimensions());
    task.token_count = task.total_token_count = ToCount(ids.size() - first);
  } else {
    const size_t total = tokenizer_.Encode(task.text, max_tokens_, ids);
    task.windows.push_back({first, ids.size() - first});
    task.token_count = ToCount(ids.size() - first);
    task.total_token_count = ToCount(total);
  }
}

void Model::Project(TextTask& task, size_t dimensions) {
  if (task.projection == nullptr) {
    return;
  }
  for (size_t i = 0; i < task.windows.size(); ++i) {
    task.projection->Apply(task.vectors + i * dimensions, task.projected + i * task.components());
  }
}

// The weights that are read must be those of the file that was opened.
void Model::RequireUnchangedWeights() const {
  for (const auto& file : weights_) {
    file->RequireUnchanged();
  }
}

}  // namespace gabion
