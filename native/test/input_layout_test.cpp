// Inputs of segments as token sequences, over a tokenizer of a dozen words.

#include "input_layout.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fake_model.hpp"
#include "test_model.hpp"

namespace gabion {
namespace {

using Ids = std::vector<int64_t>;

/// Rules of at most 3 tokens, a history of the last 2, a reply in windows of 3, one every 2.
SegmentLayout ThreeSegments(const Tokenizer& tokenizer) {
  return {{{3, false, true, true, 0}, {2, true, true, false, 0}, {3, false, false, false, 1}}, 2, tokenizer};
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
  EXPECT_EQ(test::CodeOf([&] { SegmentLayout({}, 1, tokenizer); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([&] { SegmentLayout({{3}}, 4, tokenizer); }), Code::kInvalidArgument);
  EXPECT_EQ(test::CodeOf([&] { SegmentLayout({{3}}, 0, tokenizer); }), Code::kInvalidArgument);
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
