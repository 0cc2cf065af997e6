#include "pooling.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "status.hpp"

namespace gabion {
namespace {

constexpr std::array<std::pair<std::string_view, Pooling>, 5> kNames{
    {{"mean", Pooling::kMean},
     {"cls", Pooling::kCls},
     {"max", Pooling::kMax},
     {"mean_sqrt_len_tokens", Pooling::kMeanSqrtLength},
     {"lasttoken", Pooling::kLastToken}}};

void SumRows(const float* hidden, size_t tokens, size_t width, float* output) noexcept {
  std::memcpy(output, hidden, width * sizeof(float));
  for (size_t token = 1; token < tokens; ++token) {
    const float* row = hidden + token * width;
    for (size_t i = 0; i < width; ++i) {
      output[i] += row[i];
    }
  }
}

void Scale(float* vector, size_t width, float divisor) noexcept {
  for (size_t i = 0; i < width; ++i) {
    vector[i] /= divisor;
  }
}

}  // namespace

std::optional<Pooling> PoolingNamed(std::string_view name) noexcept {
  for (const auto& [known, mode] : kNames) {
    if (known == name) {
      return mode;
    }
  }
  return std::nullopt;
}

void Pool(Pooling mode, const float* hidden, size_t tokens, size_t width, float* output) noexcept {
  switch (mode) {
    case Pooling::kMean:
      SumRows(hidden, tokens, width, output);
      Scale(output, width, static_cast<float>(tokens));
      return;
    case Pooling::kMeanSqrtLength:
      SumRows(hidden, tokens, width, output);
      Scale(output, width, std::sqrt(static_cast<float>(tokens)));
      return;
    case Pooling::kCls:
      std::memcpy(output, hidden, width * sizeof(float));
      return;
    case Pooling::kLastToken:
      std::memcpy(output, hidden + (tokens - 1) * width, width * sizeof(float));
      return;
    case Pooling::kMax:
      std::memcpy(output, hidden, width * sizeof(float));
      for (size_t token = 1; token < tokens; ++token) {
        const float* row = hidden + token * width;
        for (size_t i = 0; i < width; ++i) {
          output[i] = std::max(output[i], row[i]);
        }
      }
      return;
  }
}

void NormalizeL2(float* vector, size_t width) noexcept {
  double sum = 0;
  for (size_t i = 0; i < width; ++i) {
    sum += static_cast<double>(vector[i]) * static_cast<double>(vector[i]);
  }
  Scale(vector, width, static_cast<float>(std::max(std::sqrt(sum), 1e-12)));
}

size_t FinishedWidth(const PoolingOptions& options, size_t width) noexcept {
  return options.kept == 0 ? width : std::min(options.kept, width);
}

void Finish(const PoolingOptions& options, float* whole, size_t width, float* vector) noexcept {
  if (options.normalize) {
    NormalizeL2(whole, width);
  }
  if (whole != vector) {
    std::copy_n(whole, FinishedWidth(options, width), vector);
  }
}

void RequirePooled(size_t tokens, size_t skipped) {
  if (skipped >= tokens) {
    throw Error(Code::kInvalidArgument, "the prompt has all of the " + std::to_string(tokens) +
                                            " tokens that are read of it and its text, and the model leaves a prompt's "
                                            "tokens out (include_prompt): nothing of the text is left");
  }
}

void PoolAndFinish(const PoolingOptions& options, const float* hidden, size_t tokens, size_t skipped, size_t width,
                   float* vector) {
  RequirePooled(tokens, skipped);
  std::vector<float> cut;
  float* whole = vector;
  if (FinishedWidth(options, width) < width) {
    cut.resize(width);
    whole = cut.data();
  }
  Pool(options.mode, hidden + skipped * width, tokens - skipped, width, whole);
  Finish(options, whole, width, vector);
}

}  // namespace gabion
