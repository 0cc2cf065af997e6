// Inputs of segments as token sequences, over a tokenizer of a dozen words.

#include "input_layout.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fake_model.hpp"
#include "test_model.hpp"

namespace gabion {
namespace {

using Ids = std::vector<int64_t>;

/// Rules of at most 3 tokens, a history of the last 2, a reply in windows of 3, one every 2.
SegmentLayout ThreeSegments(const Tokenizer& tokenizer) {
  return {{{{3, false, true, true, 0}, {2, true, true, false, 0}, {3, false, false, false, 1}}, 2}, tokenizer};
}

struct Tokenized {
  TextTask task;
  Ids ids;
  std::vector<uint8_t> types;

  Ids Window(size_t number) const {
    const TokenWindow& window = task.windows.at(number);
    const auto first = ids.begin() + static_cast<ptrdiff_t>(window.first_id);
    return {first, first + static_cast<ptrdiff_t>(window.id_count)};
  }
};

Tokenized Tokenize(const InputLayout& layout, const Tokenizer& tokenizer, const SegmentedInput& input) {
  Tokenized result;
  result.task.input = &input;
  layout.Tokenize(tokenizer, result.task, {result.ids, result.types});
  return result;
}

TEST(SegmentLayout, JoinsStringsAndKeepsTheRightEndOfEachSegment) {
  const Tokenizer tokenizer = test::FakeTokenizer();
  const SegmentLayout layout = ThreeSegments(tokenizer);
  const SegmentedInput input{{{"one two", "three text"}, {"one two", "more"}, {"word"}}};
  const Tokenized result = Tokenize(layout, tokenizer, input);
  ASSERT_EQ(result.task.windows.size(), 1U);
  EXPECT_EQ(result.Window(0), (Ids{1, 3, 4, 5, 2, 4, 7, 2, 8, 2}));
  EXPECT_EQ(result.types, (std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 0, 0, 1, 1}));
  const TokenWindow& window = result.task.windows.front();
  ASSERT_EQ(window.segments.size(), 3U);
  EXPECT_EQ(window.segments[0].first, 1U);
  EXPECT_EQ(window.segments[0].count, 4U);
  EXPECT_EQ(window.segments[2].first, 8U);
  EXPECT_EQ(window.segments[2].count, 2U);
  EXPECT_EQ(result.task.token_count, 10);
  EXPECT_EQ(result.task.total_token_count, 12);
}

TEST(SegmentLayout, LeavesOutOptionalSegmentsWithoutTokens) {
  const Tokenizer tokenizer = test::FakeTokenizer();
  const SegmentLayout layout = ThreeSegments(tokenizer);
  const SegmentedInput input{{{}, {"", " "}, {""}}};
  const Tokenized result = Tokenize(layout, tokenizer, input);
  EXPECT_EQ(result.Window(0), (Ids{1, 2}));
  EXPECT_EQ(result.types, (std::vector<uint8_t>{0, 1}));
  EXPECT_EQ(result.task.windows.front().segments[0].count, 0U);
  EXPECT_EQ(result.task.windows.front().segments[2].count, 1U);
}

TEST(SegmentLayout, CutsTheLastSegmentIntoWindowsAfterAllOthers) {
  const Tokenizer tokenizer = test::FakeTokenizer();
  const SegmentLayout layout = ThreeSegments(tokenizer);
  const SegmentedInput input{{{"one"}, {}, {"two three text more word number"}}};
  const Tokenized result = Tokenize(layout, tokenizer, input);
  ASSERT_EQ(result.task.windows.size(), 3U);
  EXPECT_EQ(result.Window(0), (Ids{1, 3, 2, 4, 5, 6, 2}));
  EXPECT_EQ(result.Window(1), (Ids{1, 3, 2, 6, 7, 8, 2}));
  EXPECT_EQ(result.Window(2), (Ids{1, 3, 2, 8, 9, 2}));
  EXPECT_EQ(result.task.windows[2].start, 4);
  EXPECT_EQ(result.task.windows[2].end, 6);
  // A reply of one window and one more is as long as its windows say.
  const SegmentedInput fits{{{}, {}, {"two three text"}}};
  EXPECT_EQ(Tokenize(layout, tokenizer, fits).task.windows.size(), 1U);
}

TEST(SegmentLayout, RefusesAnotherNumberOfSegmentsAndBadLayouts) {
  const Tokenizer tokenizer = test::FakeTokenizer();
  const SegmentLayout layout = ThreeSegments(tokenizer);
  EXPECT_EQ(layout.max_tokens(), 12U);
  EXPECT_EQ(test::CodeOf([&] { layout.Accepts({{{"one"}, {"two"}}}); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([&] { SegmentLayout({{}, 1}, tokenizer); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([&] { SegmentLayout({{{3}}, 4}, tokenizer); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([&] { SegmentLayout({{{3}}, 0}, tokenizer); }), Code::kInvalidArgument);
}

/// [CLS] A [SEP] alone, A B as a pair: the fake tokenizer's templates.
TEST(PairLayout, FollowsTheTemplatesOfTheTokenizer) {
  const Tokenizer tokenizer = test::FakeTokenizer();
  const PairLayout layout({8, PairLayout::Truncation::kLongestFirst}, tokenizer);
  const SegmentedInput single{{{"one two"}, {}}};
  const Tokenized one = Tokenize(layout, tokenizer, single);
  EXPECT_EQ(one.Window(0), (Ids{1, 3, 4, 2}));
  const SegmentedInput pair{{{"one two"}, {"three"}}};
  const Tokenized two = Tokenize(layout, tokenizer, pair);
  EXPECT_EQ(two.Window(0), (Ids{3, 4, 5}));
  EXPECT_EQ(two.types, (std::vector<uint8_t>{0, 0, 1}));
  EXPECT_EQ(test::CodeOf([&] { layout.Accepts({{{"one"}}}); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([&] { layout.Accepts({{{"one"}, {"two", "three"}}}); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([&] { PairLayout({2, PairLayout::Truncation::kWindows}, tokenizer); }),
            Code::kInvalidArgument);
}

TEST(PairLayout, CutsPairsLikeTheTokenizersLibrary) {
  const Tokenizer tokenizer = test::FakeTokenizer();
  const auto lengths = [&](PairLayout::Truncation truncation, size_t first, size_t second) {
    const auto words = [](size_t count) {
      std::string text;
      for (size_t i = 0; i < count; ++i) text += "one ";
      return text;
    };
    const PairLayout layout({7, truncation}, tokenizer);
    const SegmentedInput input{{{words(first)}, {words(second)}}};
    const Tokenized result = Tokenize(layout, tokenizer, input);
    std::vector<size_t> counts;
    for (const TokenWindow& window : result.task.windows) {
      const auto types = result.types.begin() + static_cast<ptrdiff_t>(window.first_id);
      counts.push_back(static_cast<size_t>(std::count(types, types + static_cast<ptrdiff_t>(window.id_count), 0)));
      counts.push_back(window.id_count - counts.back());
    }
    EXPECT_EQ(static_cast<size_t>(result.task.total_token_count - result.task.token_count) > 0,
              first + second > 7 && truncation != PairLayout::Truncation::kWindows);
    return counts;
  };
  using Counts = std::vector<size_t>;
  const auto longest = PairLayout::Truncation::kLongestFirst;
  EXPECT_EQ(lengths(longest, 3, 4), (Counts{3, 4}));
  EXPECT_EQ(lengths(longest, 2, 9), (Counts{2, 5}));
  EXPECT_EQ(lengths(longest, 9, 2), (Counts{5, 2}));
  EXPECT_EQ(lengths(longest, 9, 9), (Counts{3, 4}));
  EXPECT_EQ(lengths(longest, 10, 9), (Counts{4, 3}));
  EXPECT_EQ(lengths(longest, 20, 30), (Counts{3, 4}));
  const auto second = PairLayout::Truncation::kOnlySecond;
  EXPECT_EQ(lengths(second, 2, 9), (Counts{2, 5}));
  EXPECT_EQ(lengths(second, 6, 9), (Counts{6, 1}));
  EXPECT_EQ(lengths(second, 7, 9), (Counts{3, 4}));
  const auto windows = PairLayout::Truncation::kWindows;
  EXPECT_EQ(lengths(windows, 3, 4), (Counts{3, 4}));
  EXPECT_EQ(lengths(windows, 3, 9), (Counts{3, 4, 3, 4, 3, 3}));
}

TEST(TokenCache, ForgetsWhatWasUsedLeastRecently) {
  TokenCache cache(2500);
  const auto ids = [](int64_t id) { return std::make_shared<const Ids>(Ids(100, id)); };
  cache.Add("one", ids(1));
  cache.Add("two", ids(2));
  ASSERT_NE(cache.Find("one"), nullptr);
  EXPECT_EQ(cache.Find("one")->front(), 1);
  cache.Add("three", ids(3));
  EXPECT_EQ(cache.Find("two"), nullptr);
  EXPECT_NE(cache.Find("one"), nullptr);
  EXPECT_NE(cache.Find("three"), nullptr);
  cache.Add("huge", std::make_shared<const Ids>(Ids(1000, 4)));
  EXPECT_EQ(cache.Find("huge"), nullptr);
  EXPECT_NE(cache.Find("one"), nullptr);
}

}  // namespace
}  // namespace gabion
