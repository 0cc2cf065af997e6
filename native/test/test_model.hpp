// The bundled model as the engine takes it, for tests.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model.hpp"

namespace gabion::test {

/// Whether graphs of standard operators can run: not every platform has an ONNX Runtime.
constexpr bool kHasRuntime = GABION_TEST_RUNTIME;

/// With standard operators where they can run, else with gabion's own encoder.
inline ModelOptions BundledModelOptions() {
  const std::string folder = GABION_TEST_MODEL;
  ModelOptions options;
  options.session.graph_file = folder + (kHasRuntime ? "/onnx/model_bf16.onnx" : "/onnx/model_bf16_fused.onnx");
  options.session.providers = {"cpu"};
  options.session.max_tokens = 256;
  options.tokenizer_file = folder + "/tokenizer.json";
  options.vocabulary_size = 30522;
  options.dimensions = 384;
  return options;
}

/// Loaded once per process: the tests only read it.
inline const std::shared_ptr<const Model>& BundledModel() {
  static const auto* model =
      new std::shared_ptr<const Model>(std::make_shared<const Model>(LoadModel(BundledModelOptions())));
  return *model;
}

inline std::vector<float> Embed(const Model& model, std::string_view text, Scratch& scratch) {
  std::vector<float> vector(model.dimensions());
  TextTask task;
  task.text = text;
  task.vectors = vector.data();
  model.Embed(task, scratch);
  return vector;
}

inline std::vector<float> Embed(const Model& model, std::string_view text) {
  Scratch scratch;
  return Embed(model, text, scratch);
}

/// Runs `body` and returns the code of the Error it throws.
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
