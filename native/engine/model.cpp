#include "model.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <utility>

namespace gabion {
namespace {

using Clock = std::chrono::steady_clock;

int64_t Nanoseconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(to - from).count();
}

}  // namespace

Model::Model(ModelOptions options)
    : options_(std::move(options)),
      tokenizer_(options_.tokenizer_file),
      session_(options_.graph_file, options_.providers) {
  if (tokenizer_.max_id() >= options_.vocabulary_size) {
    throw Error(Code::kModelInvalid, "the tokenizer gives ids up to " + std::to_string(tokenizer_.max_id()) +
                                         " but the model has only " + std::to_string(options_.vocabulary_size) +
                                         " token vectors");
  }
  if (session_.width() != options_.dimensions) {
    throw Error(Code::kModelInvalid, "the graph gives vectors of width " + std::to_string(session_.width()) +
                                         ", the model's folder says " + std::to_string(options_.dimensions));
  }
}

void Model::Accepts(const Projection& projection) const {
  if (projection.dimensions() != options_.dimensions) {
    throw Error(Code::kProjectionMismatch, "the projection takes vectors of " +
                                               std::to_string(projection.dimensions()) + " dimensions, the model gives " +
                                               std::to_string(options_.dimensions));
  }
}

void Model::Embed(std::string_view text, const Projection* projection, Scratch& scratch, float* vector,
                  float* projected, int32_t* kept, int32_t* total, EncodeTimes& times) const {
  const auto start = Clock::now();
  const Tokenizer::Encoded encoded = tokenizer_.Encode(text, options_.maximum_tokens, scratch.ids);
  const auto tokenized = Clock::now();
  *kept = static_cast<int32_t>(encoded.written);
  *total = static_cast<int32_t>(
      std::min<size_t>(encoded.total, static_cast<size_t>(std::numeric_limits<int32_t>::max())));

  session_.Run(encoded.written, scratch);
  const size_t width = options_.dimensions;
  if (session_.pools()) {
    std::memcpy(vector, scratch.hidden.data(), width * sizeof(float));
  } else {
    Pool(options_.pooling, scratch.hidden.data(), encoded.written, width, vector);
  }
  if (options_.normalize) {
    NormalizeL2(vector, width);
  }
  const auto ran = Clock::now();
  if (projection != nullptr) {
    projection->Apply(vector, projected);
  }
  times.tokenize_ns += Nanoseconds(start, tokenized);
  times.encode_ns += Nanoseconds(tokenized, ran);
  times.project_ns += Nanoseconds(ran, Clock::now());
}

}  // namespace gabion
