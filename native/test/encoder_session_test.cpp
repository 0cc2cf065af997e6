// gabion's own encoder as a session, against the graph of standard operators over the same weights.

#include "encoder_session.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "kernel_reference.hpp"
#include "test_model.hpp"

namespace gabion {
namespace {

using test::Embed;

constexpr const char* kTexts[] = {"", "How do I reset my password?",
                                  "The assistant named the rule it had to follow and declined to change the total."};

ModelOptions FusedOptions(kernels::Precision precision) {
  ModelOptions options = test::BundledModelOptions();
  options.session.graph_file = std::string(GABION_TEST_MODEL) + "/onnx/model_bf16_fused.onnx";
  options.session.precision = precision;
  return options;
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

class EncoderSessionTest : public testing::Test {
 protected:
  void SetUp() override {
    if (EncoderVariant() == nullptr) {
      GTEST_SKIP() << "this processor has none of the encoder's instruction sets";
    }
  }
};

TEST_F(EncoderSessionTest, GivesTheVectorsOfTheStandardOperators) {
  if (!test::kHasRuntime) GTEST_SKIP() << "there is no ONNX Runtime for this platform";
  const struct {
    kernels::Precision precision;
    double cosine;
  } cases[] = {
      {kernels::Precision::kFp32, 0.9999999}, {kernels::Precision::kBf16, 0.9999}, {kernels::Precision::kInt8, 0.998}};
  Scratch scratch;
  for (const auto& [precision, cosine] : cases) {
    const Model fused = LoadModel(FusedOptions(precision));
    EXPECT_EQ(fused.session().info().instruction_set, EncoderVariant()->name);
    for (const char* text : kTexts) {
      EXPECT_GE(Cosine(Embed(fused, text, scratch), Embed(*test::BundledModel(), text, scratch)), cosine) << text;
    }
  }
  EXPECT_EQ(test::BundledModel()->session().info().instruction_set, "");
}

TEST_F(EncoderSessionTest, GivesTheSameBitsOnEveryThread) {
  const Model model = LoadModel(FusedOptions(kernels::Precision::kBf16));
  Scratch scratch;
  const auto alone = Embed(model, kTexts[1], scratch);
  std::vector<std::vector<float>> together(4);
  std::vector<std::thread> threads;
  for (auto& vector : together) {
    threads.emplace_back([&] {
      Scratch own;
      for (int i = 0; i < 20; ++i) {
        Embed(model, kTexts[2], own);
        vector = Embed(model, kTexts[1], own);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& vector : together) EXPECT_EQ(vector, alone);
}

TEST_F(EncoderSessionTest, StopsBetweenLayers) {
  const Model model = LoadModel(FusedOptions(kernels::Precision::kFp32));
  Scratch scratch;
  std::string text;
  for (int i = 0; i < 250; ++i) text += "word ";
  Embed(model, text, scratch);
  std::thread stopper([&] { scratch.Stop(); });
  // The stop may come before, during or after the run; afterwards the scratch must be reusable.
  try {
    Embed(model, text, scratch);
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == Code::kAborted || error.code() == Code::kInferenceFailed);
  }
  stopper.join();
  scratch.Rearm();
  EXPECT_NO_THROW(Embed(model, kTexts[1], scratch));
}

TEST_F(EncoderSessionTest, RefusesIdsBeyondTheTable) {
  const auto session = OpenSession(FusedOptions(kernels::Precision::kBf16).session);
  Scratch scratch;
  std::vector<float> vector(384);
  TextTask task;
  task.vectors = vector.data();
  const auto run = [&] {
    task.windows = {{0, scratch.ids.size()}};
    TextTask* const tasks[] = {&task};
    session->Run(tasks, scratch);
  };
  for (const int64_t id : {int64_t{-1}, int64_t{30522}, int64_t{1} << 40U}) {
    scratch.ids = {101, id, 102};
    EXPECT_EQ(test::CodeOf(run), Code::kInferenceFailed);
  }
  scratch.ids.assign(513, 101);
  EXPECT_EQ(test::CodeOf(run), Code::kInferenceFailed);
}

// Pooling and normalization come from the folder: the fields of early file versions are ignored.
TEST_F(EncoderSessionTest, PoolsAsTheFolderSays) {
  if (!test::kHasRuntime) GTEST_SKIP() << "there is no ONNX Runtime for this platform";
  ModelOptions options = FusedOptions(kernels::Precision::kFp32);
  options.session.pooling = {Pooling::kCls, false};
  const Model model = LoadModel(options);
  Scratch scratch;
  const auto vector = Embed(model, kTexts[1], scratch);
  ModelOptions standard_options = test::BundledModelOptions();
  standard_options.session.pooling = options.session.pooling;
  EXPECT_GE(Cosine(vector, Embed(LoadModel(standard_options), kTexts[1], scratch)), 0.999999);
  EXPECT_LT(Cosine(vector, Embed(*test::BundledModel(), kTexts[1], scratch)), 0.99);
  double squares = 0;
  for (const float value : vector) squares += static_cast<double>(value) * static_cast<double>(value);
  EXPECT_GT(std::abs(squares - 1), 0.1);
}

std::string Contents(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST_F(EncoderSessionTest, ReadsItsGraph) {
  const auto graph = ReadEncoderGraph(FusedOptions(kernels::Precision::kBf16).session.graph_file);
  ASSERT_TRUE(graph.has_value());
  EXPECT_EQ(graph->integers.at("layers"), 6);
  EXPECT_EQ(graph->integers.at("hidden"), 384);
  EXPECT_FLOAT_EQ(graph->floats.at("epsilon"), 1e-12F);
  EXPECT_EQ(graph->texts.at("activation"), "gelu");
  ASSERT_EQ(graph->weights.size(), 4 + 12 * 6);
  EXPECT_TRUE(graph->weights[0].bfloat16);
  EXPECT_EQ(graph->weights[0].shape, (std::vector<uint64_t>{30522, 384}));
  EXPECT_EQ(graph->weights[0].location, "weights_bf16.safetensors");
}

TEST_F(EncoderSessionTest, LeavesOtherGraphsToTheRuntime) {
  if (!test::kHasRuntime) GTEST_SKIP() << "there is no ONNX Runtime for this platform";
  EXPECT_FALSE(ReadEncoderGraph(test::BundledModelOptions().session.graph_file).has_value());
  EXPECT_FALSE(ReadEncoderGraph(test::BundledModelOptions().tokenizer_file).has_value());
  EXPECT_FALSE(ReadEncoderGraph("/nowhere/model.onnx").has_value());
  EXPECT_FALSE(ParseEncoderGraph("").has_value());
  const std::string contents = Contents(FusedOptions(kernels::Precision::kBf16).session.graph_file);
  for (size_t end = 0; end < contents.size(); end += 37) {
    EXPECT_FALSE(ParseEncoderGraph(contents.substr(0, end)).has_value());
  }
}

// Whatever a file contains, its weights are read within their file only; the result is a session or a coded error.
// GABION_FUZZ_SECONDS of CPU time and GABION_FUZZ_SEED extend it, as in kernel_random_test.cpp.
TEST_F(EncoderSessionTest, SurvivesDamagedGraphs) {
  const std::string original = Contents(FusedOptions(kernels::Precision::kBf16).session.graph_file);
  const auto folder = std::filesystem::temp_directory_path() / ("gabion-graphs-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::filesystem::create_symlink(std::string(GABION_TEST_MODEL) + "/onnx/weights_bf16.safetensors",
                                  folder / "weights_bf16.safetensors");
  const std::string file = (folder / "model.onnx").string();
  const char* seconds = std::getenv("GABION_FUZZ_SECONDS");
  const char* seed = std::getenv("GABION_FUZZ_SEED");
  const std::clock_t end = std::clock() + (seconds == nullptr ? 0 : std::strtol(seconds, nullptr, 10)) * CLOCKS_PER_SEC;
  std::mt19937 random(seed == nullptr ? 11 : static_cast<uint32_t>(std::strtoul(seed, nullptr, 10)));
  size_t parsed = 0;
  for (int round = 0; round < 3000 || std::clock() < end; ++round) {
    std::string contents = original;
    for (int changes = 0; changes < 1 + round % 3; ++changes) {
      contents[random() % contents.size()] = static_cast<char>(random());
    }
    const auto graph = ParseEncoderGraph(contents);
    if (!graph.has_value()) continue;
    ++parsed;
    // Most of the file is weight names; packing again after a changed name finds nothing new, so few cases go that far.
    if (parsed % 40 != 0 && graph->weights.size() == 76) continue;
    std::ofstream(file, std::ios::binary) << contents;
    try {
      OpenSession({file, "", {"cpu"}, kernels::Precision::kBf16, {}, 256});
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Code::kModelInvalid || error.code() == Code::kModelNotFound) << error.what();
    }
  }
  EXPECT_GT(parsed, 100);
  if (seconds != nullptr) std::printf("%zu damaged graphs that could be read\n", parsed);
  std::filesystem::remove_all(folder);
}

TEST_F(EncoderSessionTest, RefusesWhatContradictsItsWeights) {
  const SessionOptions options = FusedOptions(kernels::Precision::kBf16).session;
  const EncoderGraph original = ReadEncoderGraph(options.graph_file).value();
  const auto refused = [&](const auto& change) {
    EncoderGraph graph = original;
    change(graph);
    return test::CodeOf([&] { EncoderSession(options, graph, {}); });
  };
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.weights[7].offset = uint64_t{1} << 62U; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.weights[7].bytes = ~uint64_t{0}; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.weights[4].offset += 1; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.weights[0].shape = {~uint64_t{0}, 384}; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.weights[0].shape = {}; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.weights[5].bfloat16 = true; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.weights.pop_back(); }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.integers["layers"] = 0; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.integers["hidden"] = 0; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.integers["heads"] = 7; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.integers.erase("intermediate"); }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.integers["padding_id"] = 511; }), Code::kModelInvalid);
  EXPECT_EQ(refused([](EncoderGraph& graph) { graph.texts["activation"] = "relu"; }), Code::kModelInvalid);
  const auto elsewhere = [](const char* place) {
    return [place](EncoderGraph& graph) {
      for (GraphTensor& tensor : graph.weights) tensor.location = place;
    };
  };
  EXPECT_EQ(refused(elsewhere("../../all-MiniLM-L6-v2/onnx/weights_bf16.safetensors")), Code::kModelInvalid);
  EXPECT_EQ(refused(elsewhere("/etc/passwd")), Code::kModelInvalid);
  EXPECT_EQ(refused(elsewhere("no.safetensors")), Code::kModelNotFound);
}

TEST_F(EncoderSessionTest, RunsWhatGabionIsaNames) {
  for (const kernels::Variant* variant : kernels::UsableVariants()) {
    setenv("GABION_ISA", variant->name, 1);
    EXPECT_EQ(LoadModel(FusedOptions(kernels::Precision::kInt8)).session().info().instruction_set, variant->name);
  }
  setenv("GABION_ISA", "mmx", 1);
  EXPECT_EQ(test::CodeOf([] { LoadModel(FusedOptions(kernels::Precision::kInt8)); }), Code::kInvalidArgument);
  unsetenv("GABION_ISA");
}

}  // namespace
}  // namespace gabion
