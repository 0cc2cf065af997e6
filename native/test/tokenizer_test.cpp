#include "tokenizer.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "test_model.hpp"

namespace gabion {
namespace {

std::vector<int64_t> Ids(std::string_view text, size_t maximum = 256) {
  std::vector<int64_t> ids;
  test::BundledModel()->tokenizer().Encode(text, maximum, ids);
  return ids;
}

TEST(Tokenizer, AddsSpecialTokens) {
  EXPECT_EQ(Ids("hello world"), (std::vector<int64_t>{101, 7592, 2088, 102}));
  EXPECT_EQ(Ids(""), (std::vector<int64_t>{101, 102}));
}

TEST(Tokenizer, CutsAndCountsTheWhole) {
  std::vector<int64_t> ids{7};
  EXPECT_EQ(test::BundledModel()->tokenizer().Encode("hello world again", 4, ids), 5U);
  EXPECT_EQ(ids, (std::vector<int64_t>{7, 101, 7592, 2088, 102}));
}

TEST(Tokenizer, KeepsTheEndWhereItIsAskedTo) {
  const Tokenizer tokenizer(std::string(GABION_TEST_MODEL) + "/tokenizer.json", Truncation::kKeepEnd);
  std::vector<int64_t> ids;
  EXPECT_EQ(tokenizer.Encode("hello world again", 4, ids), 5U);
  EXPECT_EQ(ids, (std::vector<int64_t>{101, 2088, 2153, 102}));
  ids.clear();
  tokenizer.Encode("hello world", 4, ids);
  EXPECT_EQ(ids, (std::vector<int64_t>{101, 7592, 2088, 102}));
}

TEST(Tokenizer, RefusesBytesThatAreNotUtf8) {
  EXPECT_EQ(test::CodeOf([] { Ids("\xC3\x28"); }), Code::kTokenizerFailed);
}

TEST(Tokenizer, ServesManyThreadsAtOnce) {
  const auto expected = Ids("the same text on every thread, tokenized alike");
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (size_t i = 0; i < equal.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int repeat = 0; repeat < 200; ++repeat) {
        equal[i] += Ids("the same text on every thread, tokenized alike") == expected ? 1 : 0;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(equal, std::vector<int>(4, 200));
}

TEST(Tokenizer, NamesFilesThatCannotBeUsed) {
  EXPECT_EQ(test::CodeOf([] { Tokenizer("/nonexistent/tokenizer.json"); }), Code::kModelNotFound);
  const auto file = std::filesystem::temp_directory_path() / "gabion-broken-tokenizer.json";
  std::ofstream(file) << "{\"model\": 1";
  EXPECT_EQ(test::CodeOf([&] { Tokenizer(file.string()); }), Code::kModelInvalid);
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace gabion
