#include "model.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

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
  EncodeTimes times;
  int32_t kept = 0;
  int32_t total = 0;
  std::vector<float> before(384);
  std::vector<float> between(384);
  std::vector<float> after(384);
  model.Embed("a short text", nullptr, scratch, before.data(), nullptr, &kept, &total, times);
  model.Embed(std::string(3000, 'x') + " and a long one", nullptr, scratch, between.data(), nullptr, &kept, &total,
              times);
  model.Embed("a short text", nullptr, scratch, after.data(), nullptr, &kept, &total, times);
  EXPECT_EQ(before, after);
  EXPECT_GT(times.tokenize_ns, 0);
  EXPECT_GT(times.encode_ns, 0);
}

TEST(Model, ProjectsInTheSameCall) {
  const Model& model = *test::BundledModel();
  std::vector<double> matrix(2 * 384, 0);
  matrix[5] = 2;
  matrix[384 + 7] = -1;
  const Projection projection(matrix, {0, 1});
  model.Accepts(projection);
  Scratch scratch;
  EncodeTimes times;
  int32_t kept = 0;
  int32_t total = 0;
  std::vector<float> vector(384);
  std::vector<float> projected(2);
  model.Embed("project me", &projection, scratch, vector.data(), projected.data(), &kept, &total, times);
  EXPECT_FLOAT_EQ(projected[0], 2 * vector[5]);
  EXPECT_FLOAT_EQ(projected[1], 1 - vector[7]);
}

TEST(Model, RefusesAProjectionOfAnotherWidth) {
  const Projection projection({1, 2, 3}, {0});
  EXPECT_EQ(test::CodeOf([&] { test::BundledModel()->Accepts(projection); }), Code::kProjectionMismatch);
}

TEST(Model, StopsBeforeTheGraphRuns) {
  Scratch scratch;
  scratch.Stop();
  std::vector<float> vector(384);
  int32_t kept = 0;
  int32_t total = 0;
  EncodeTimes times;
  const Model& model = *test::BundledModel();
  const auto embed = [&] { model.Embed("never", nullptr, scratch, vector.data(), nullptr, &kept, &total, times); };
  EXPECT_EQ(test::CodeOf(embed), Code::kAborted);
  scratch.Rearm();
  EXPECT_NO_THROW(embed());
}

TEST(Model, NamesWhatIsMissing) {
  auto options = test::BundledModelOptions();
  options.graph_file = "/nonexistent/model.onnx";
  EXPECT_EQ(test::CodeOf([&] { Model model(options); }), Code::kModelNotFound);
}

TEST(Model, RefusesAGraphThatIsNone) {
  const auto file = std::filesystem::temp_directory_path() / "gabion-broken-model.onnx";
  std::ofstream(file) << "not a graph";
  auto options = test::BundledModelOptions();
  options.graph_file = file.string();
  EXPECT_EQ(test::CodeOf([&] { Model model(options); }), Code::kModelInvalid);
  std::filesystem::remove(file);
}

TEST(Model, RefusesATokenizerWithIdsBeyondTheTable) {
  auto options = test::BundledModelOptions();
  options.vocabulary_size = 1000;
  EXPECT_EQ(test::CodeOf([&] { Model model(options); }), Code::kModelInvalid);
}

TEST(Model, RefusesAnotherWidthThanTheFolderSays) {
  auto options = test::BundledModelOptions();
  options.dimensions = 768;
  EXPECT_EQ(test::CodeOf([&] { Model model(options); }), Code::kModelInvalid);
}

// Each test has a process of its own, so these are its first sessions.
TEST(Model, OpensSeveralAtOnceBeforeThereIsAny) {
  std::vector<std::thread> threads;
  std::atomic<int> opened{0};
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const Model model(test::BundledModelOptions());
      ++opened;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(opened, 8);
}

TEST(Model, PassesOverProvidersThatAreNotThere) {
  auto options = test::BundledModelOptions();
  options.providers = {"cuda", "cpu"};
  const Model model(options);
  EXPECT_EQ(model.session().provider(), "cpu");
  ASSERT_EQ(model.session().passed_over().size(), 1U);
  EXPECT_EQ(model.session().passed_over()[0].name, "cuda");

  options.providers = {"cuda"};
  EXPECT_EQ(test::CodeOf([&] { Model none(options); }), Code::kProviderUnavailable);
}

}  // namespace
}  // namespace gabion
