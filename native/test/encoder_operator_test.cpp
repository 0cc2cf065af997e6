// gabion's own operator inside ONNX Runtime, against the graph of standard operators over the same weights.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <thread>

#include "kernel_reference.hpp"
#include "test_model.hpp"

namespace gabion {
namespace {

constexpr const char* kTexts[] = {"", "How do I reset my password?",
                                  "The assistant named the rule it had to follow and declined to change the total."};

ModelOptions FusedOptions(kernels::Precision precision) {
  ModelOptions options = test::BundledModelOptions();
  options.graph_file = std::string(GABION_TEST_MODEL) + "/onnx/model_bf16_fused.onnx";
  options.precision = precision;
  return options;
}

std::vector<float> Embed(const Model& model, std::string_view text, Scratch& scratch) {
  std::vector<float> vector(model.dimensions());
  int32_t kept = 0;
  int32_t total = 0;
  EncodeTimes times;
  model.Embed(text, nullptr, scratch, vector.data(), nullptr, &kept, &total, times);
  return vector;
}

double Cosine(const std::vector<float>& left, const std::vector<float>& right) {
  double dot = 0;
  double left_squares = 0;
  double right_squares = 0;
  for (size_t i = 0; i < left.size(); ++i) {
    dot += static_cast<double>(left[i]) * static_cast<double>(right[i]);
    left_squares += static_cast<double>(left[i]) * static_cast<double>(left[i]);
    right_squares += static_cast<double>(right[i]) * static_cast<double>(right[i]);
  }
  return dot / std::sqrt(left_squares * right_squares);
}

class EncoderOperatorTest : public testing::Test {
 protected:
  void SetUp() override {
    if (EncoderVariant() == nullptr) {
      GTEST_SKIP() << "this processor has none of the encoder's instruction sets";
    }
  }
};

TEST_F(EncoderOperatorTest, GivesTheVectorsOfTheStandardOperators) {
  const struct {
    kernels::Precision precision;
    double cosine;
  } cases[] = {
      {kernels::Precision::kFp32, 0.9999999}, {kernels::Precision::kBf16, 0.9999}, {kernels::Precision::kInt8, 0.998}};
  Scratch scratch(Runtime::Get());
  for (const auto& [precision, cosine] : cases) {
    const Model fused(FusedOptions(precision));
    EXPECT_TRUE(fused.session().pools());
    EXPECT_EQ(fused.session().encoder_instruction_set(), EncoderVariant()->name);
    for (const char* text : kTexts) {
      EXPECT_GE(Cosine(Embed(fused, text, scratch), Embed(*test::BundledModel(), text, scratch)), cosine) << text;
    }
  }
  EXPECT_EQ(test::BundledModel()->session().encoder_instruction_set(), "");
}

TEST_F(EncoderOperatorTest, GivesTheSameBitsOnEveryThread) {
  const Model model(FusedOptions(kernels::Precision::kBf16));
  Scratch scratch(Runtime::Get());
  const auto alone = Embed(model, kTexts[1], scratch);
  std::vector<std::vector<float>> together(4);
  std::vector<std::thread> threads;
  for (auto& vector : together) {
    threads.emplace_back([&] {
      Scratch own(Runtime::Get());
      for (int i = 0; i < 20; ++i) {
        Embed(model, kTexts[2], own);
        vector = Embed(model, kTexts[1], own);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& vector : together) EXPECT_EQ(vector, alone);
}

TEST_F(EncoderOperatorTest, StopsBetweenLayers) {
  const Model model(FusedOptions(kernels::Precision::kFp32));
  Scratch scratch(Runtime::Get());
  std::string text;
  for (int i = 0; i < 250; ++i) text += "word ";
  Embed(model, text, scratch);
  std::thread stopper([&] { scratch.Stop(); });
  // Whether the stop comes before, in or after the run is chance; afterwards the scratch must be as good as new.
  try {
    Embed(model, text, scratch);
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == Code::kAborted || error.code() == Code::kInferenceFailed);
  }
  stopper.join();
  scratch.Rearm();
  EXPECT_NO_THROW(Embed(model, kTexts[1], scratch));
}

TEST_F(EncoderOperatorTest, RefusesIdsBeyondTheTable) {
  const Session session(FusedOptions(kernels::Precision::kBf16).graph_file, {"cpu"}, kernels::Precision::kBf16);
  Scratch scratch(Runtime::Get());
  for (const int64_t id : {int64_t{-1}, int64_t{30522}, int64_t{1} << 40U}) {
    scratch.ids = {101, id, 102};
    EXPECT_EQ(test::CodeOf([&] { session.Run(3, scratch); }), Code::kInferenceFailed);
  }
  scratch.ids.assign(513, 101);
  EXPECT_EQ(test::CodeOf([&] { session.Run(513, scratch); }), Code::kInferenceFailed);
}

TEST_F(EncoderOperatorTest, RunsWhatGabionIsaNames) {
  for (const kernels::Variant* variant : kernels::UsableVariants()) {
    setenv("GABION_ISA", variant->name, 1);
    EXPECT_EQ(Model(FusedOptions(kernels::Precision::kInt8)).session().encoder_instruction_set(), variant->name);
  }
  setenv("GABION_ISA", "mmx", 1);
  EXPECT_EQ(test::CodeOf([] { Model model(FusedOptions(kernels::Precision::kInt8)); }), Code::kInvalidArgument);
  unsetenv("GABION_ISA");
}

}  // namespace
}  // namespace gabion
