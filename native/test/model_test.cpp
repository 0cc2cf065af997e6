#include "model.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "fake_model.hpp"
#include "test_model.hpp"

namespace gabion {
namespace {

using test::Embed;

double Dot(const std::vector<float>& left, const std::vector<float>& right) {
  double sum = 0;
  for (size_t i = 0; i < left.size(); ++i) {
    sum += static_cast<double>(left[i]) * static_cast<double>(right[i]);
  }
  return sum;
}

TEST(Model, GivesUnitVectorsThatMeanSomething) {
  const Model& model = *test::BundledModel();
  const auto password = Embed(model, "How do I reset my password?");
  const auto credentials = Embed(model, "I forgot my login credentials");
  const auto weather = Embed(model, "The weather is lovely in Spain");
  EXPECT_NEAR(Dot(password, password), 1, 1e-6);
  EXPECT_GT(Dot(password, credentials), 0.5);
  EXPECT_LT(Dot(password, weather), 0.2);
}

TEST(Model, AVectorDoesNotDependOnWhatRanBefore) {
  const Model& model = *test::BundledModel();
  Scratch scratch;
  const auto before = Embed(model, "a short text", scratch);
  Embed(model, std::string(3000, 'x') + " and a long one", scratch);
  EXPECT_EQ(before, Embed(model, "a short text", scratch));
}

TEST(Model, ProjectsInTheSameCall) {
  const Model& model = *test::BundledModel();
  std::vector<double> matrix(2 * 384, 0);
  matrix[5] = 2;
  matrix[384 + 7] = -1;
  const Projection projection(matrix, {0, 1});
  model.Accepts(projection);
  Scratch scratch;
  std::vector<float> vector(384);
  std::vector<float> projected(2);
  TextTask task;
  task.text = "project me";
  task.projection = &projection;
  task.vectors = vector.data();
  task.projected = projected.data();
  model.Embed(task, scratch);
  EXPECT_FLOAT_EQ(projected[0], 2 * vector[5]);
  EXPECT_FLOAT_EQ(projected[1], 1 - vector[7]);
  EXPECT_EQ(task.token_count, 4);
  EXPECT_EQ(task.total_token_count, 4);
  EXPECT_GT(task.times.tokenize_ns, 0);
  EXPECT_GT(task.times.encode_ns, 0);
}

TEST(Model, ATextThatFitsHasOneWindow) {
  const Model& model = *test::BundledModel();
  Scratch scratch;
  TextTask task;
  task.text = "one window is enough";
  task.rule = WindowRule{.size = 64, .stride = 32};
  model.Embed(task, scratch);
  EXPECT_EQ(task.window_results, Embed(model, "one window is enough", scratch));
}

TEST(Model, RefusesAProjectionOfAnotherWidth) {
  const Projection projection({1, 2, 3}, {0});
  EXPECT_EQ(test::CodeOf([&] { test::BundledModel()->Accepts(projection); }), Code::kProjectionMismatch);
}

TEST(Model, StopsBeforeTheGraphRuns) {
  Scratch scratch;
  scratch.Stop();
  const Model& model = *test::BundledModel();
  EXPECT_EQ(test::CodeOf([&] { Embed(model, "never", scratch); }), Code::kAborted);
  scratch.Rearm();
  EXPECT_NO_THROW(Embed(model, "never", scratch));
}

TEST(Model, TruncatesAndCountsTheWholeText) {
  Scratch scratch;
  std::vector<float> vector(test::FakeSession::kWidth);
  TextTask task;
  task.text = "one two three text more word number and some";
  task.vectors = vector.data();
  test::FakeModel()->Embed(task, scratch);
  EXPECT_EQ(task.token_count, 8);
  EXPECT_EQ(task.total_token_count, 11);
  EXPECT_EQ(vector[0], 8);
}

TEST(Model, NamesWhatIsMissing) {
  auto options = test::BundledModelOptions();
  options.session.graph_file = "/nonexistent/model.onnx";
  EXPECT_EQ(test::CodeOf([&] { LoadModel(options); }), Code::kModelNotFound);
}

TEST(Model, RefusesAGraphThatIsNone) {
  if (!test::kHasRuntime) GTEST_SKIP() << "there is no ONNX Runtime for this platform";
  const auto file = std::filesystem::temp_directory_path() / "gabion-broken-model.onnx";
  std::ofstream(file) << "not a graph";
  auto options = test::BundledModelOptions();
  options.session.graph_file = file.string();
  EXPECT_EQ(test::CodeOf([&] { LoadModel(options); }), Code::kModelInvalid);
  std::filesystem::remove(file);
}

TEST(Model, RefusesATokenizerWithIdsBeyondTheTable) {
  auto options = test::BundledModelOptions();
  options.vocabulary_size = 1000;
  EXPECT_EQ(test::CodeOf([&] { LoadModel(options); }), Code::kModelInvalid);
}

TEST(Model, RefusesAnotherWidthThanTheFolderSays) {
  auto options = test::BundledModelOptions();
  options.dimensions = 768;
  EXPECT_EQ(test::CodeOf([&] { LoadModel(options); }), Code::kModelInvalid);
}

// Each test runs in its own process, so these are its first sessions.
TEST(Model, OpensSeveralAtOnceBeforeThereIsAny) {
  std::vector<std::thread> threads;
  std::atomic<int> opened{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      LoadModel(test::BundledModelOptions());
      ++opened;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(opened, 8);
}

TEST(Model, SkipsProvidersThatAreNotInstalled) {
  if (!test::kHasRuntime) GTEST_SKIP() << "there is no ONNX Runtime for this platform";
  auto options = test::BundledModelOptions();
  options.session.providers = {"cuda", "cpu"};
  const Model model = LoadModel(options);
  EXPECT_EQ(model.session().info().provider, "cpu");
  ASSERT_EQ(model.session().info().skipped_providers.size(), 1U);
  EXPECT_EQ(model.session().info().skipped_providers[0].name, "cuda");

  options.session.providers = {"cuda"};
  EXPECT_EQ(test::CodeOf([&] { LoadModel(options); }), Code::kProviderUnavailable);
}

}  // namespace
}  // namespace gabion
