// The bundled model as the engine takes it, for tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model.hpp"

namespace gabion::test {

inline ModelOptions BundledModelOptions() {
  const std::string folder = GABION_TEST_MODEL;
  ModelOptions options;
  options.graph_file = folder + "/onnx/model_bf16.onnx";
  options.tokenizer_file = folder + "/tokenizer.json";
  options.providers = {"cpu"};
  options.maximum_tokens = 256;
  options.vocabulary_size = 30522;
  options.dimensions = 384;
  options.pooling = Pooling::kMean;
  options.normalize = true;
  return options;
}

/// Loaded once a process: the tests only read it.
inline const std::shared_ptr<const Model>& BundledModel() {
  static const auto* model = new std::shared_ptr<const Model>(std::make_shared<const Model>(BundledModelOptions()));
  return *model;
}

inline std::vector<float> Embed(const Model& model, std::string_view text, Scratch& scratch) {
  std::vector<float> vector(model.dimensions());
  int32_t kept = 0;
  int32_t total = 0;
  EncodeTimes times;
  model.Embed(text, nullptr, scratch, vector.data(), nullptr, &kept, &total, times);
  return vector;
}

inline std::vector<float> Embed(const Model& model, std::string_view text) {
  Scratch scratch;
  return Embed(model, text, scratch);
}

/// Runs `body` and gives the code of the Error it throws.
template <typename Body>
Code CodeOf(Body body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_STRNE(error.what(), "");
    return error.code();
  }
  ADD_FAILURE() << "no error was thrown";
  return Code::kInternal;
}

}  // namespace gabion::test
