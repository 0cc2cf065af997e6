#include "input_layout.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "status.hpp"

namespace gabion {
namespace {

constexpr size_t kCacheBytes = size_t{4} << 20U;

int32_t ToCount(size_t count) {
  return static_cast<int32_t>(std::min<size_t>(count, static_cast<size_t>(std::numeric_limits<int32_t>::max())));
}

/// A window that is being written.
class WindowWriter {
 public:
  explicit WindowWriter(const TokenBuffers& to) : to_(to), window_{to.ids.size(), 0, 0, 0, {}} {}

  void Append(std::span<const int64_t> ids, uint8_t type) {
    to_.ids.insert(to_.ids.end(), ids.begin(), ids.end());
    to_.types.insert(to_.types.end(), ids.size(), type);
    window_.id_count += ids.size();
  }
  void AppendSegment(std::span<const int64_t> ids, int64_t separator, uint8_t type) {
    const size_t first = window_.id_count;
    Append(ids, type);
    Append({&separator, 1}, type);
    window_.segments.push_back({first, window_.id_count - first});
  }
  void SkipSegment() { window_.segments.push_back({window_.id_count, 0}); }
  TokenWindow Finish(size_t start, size_t end) {
    window_.start = ToCount(start);
    window_.end = ToCount(end);
    return std::move(window_);
  }

 private:
  const TokenBuffers& to_;
  TokenWindow window_;
};

}  // namespace

SegmentLayout::SegmentLayout(Options options, const Tokenizer& tokenizer)
    : segments_(std::move(options.segments)), stride_(options.stride), cache_(kCacheBytes) {
  if (segments_.empty() || stride_ < 1 || stride_ > segments_.back().max_tokens) {
    throw Error(Code::kInvalidArgument, "a layout needs segments, and a stride from 1 to the last one's budget");
  }
  const std::vector<Tokenizer::Slot> slots = tokenizer.Template(false);
  if (slots.size() != 3 || slots[1].id != Tokenizer::kFirst) {
    throw Error(Code::kModelUnsupported, "the tokenizer does not put one token before a text and one after it");
  }
  begin_ = slots[0].id;
  separator_ = slots[2].id;
}

void SegmentLayout::Accepts(const SegmentedInput& input) const {
  if (input.segments.size() != segments_.size()) {
    throw Error(Code::kInvalidArgument, "an input must have " + std::to_string(segments_.size()) + " segments, got " +
                                            std::to_string(input.segments.size()));
  }
}

size_t SegmentLayout::max_tokens() const noexcept {
  size_t sum = 1;
  for (const Segment& segment : segments_) {
    sum += segment.max_tokens + 1;
  }
  return sum;
}

std::vector<int64_t> SegmentLayout::TokensOf(const Tokenizer& tokenizer, const std::vector<std::string>& texts,
                                             bool cached) const {
  std::vector<int64_t> joined;
  for (const std::string& text : texts) {
    if (!cached) {
      tokenizer.Tokens(text, joined);
      continue;
    }
    TokenCache::Ids ids = cache_.Find(text);
    if (ids == nullptr) {
      auto fresh = std::make_shared<std::vector<int64_t>>();
      tokenizer.Tokens(text, *fresh);
      ids = std::move(fresh);
      cache_.Add(text, ids);
    }
    joined.insert(joined.end(), ids->begin(), ids->end());
  }
  return joined;
}

void SegmentLayout::Tokenize(const Tokenizer& tokenizer, TextTask& task, const TokenBuffers& to) const {
  const size_t first = to.ids.size();
  size_t dropped = 0;
  std::vector<std::vector<int64_t>> tokens;
  for (size_t i = 0; i < segments_.size(); ++i) {
    std::vector<int64_t> ids = TokensOf(tokenizer, task.input->segments[i], segments_[i].cached);
    if (i + 1 < segments_.size() && ids.size() > segments_[i].max_tokens) {
      dropped += ids.size() - segments_[i].max_tokens;
      const size_t from = segments_[i].keep_tail ? ids.size() - segments_[i].max_tokens : 0;
      ids = {ids.begin() + static_cast<ptrdiff_t>(from),
             ids.begin() + static_cast<ptrdiff_t>(from + segments_[i].max_tokens)};
    }
    tokens.push_back(std::move(ids));
  }
  const std::span<const int64_t> last = tokens.back();
  const size_t size = segments_.back().max_tokens;
  for (size_t start = 0;; start += stride_) {
    const size_t end = std::min(last.size(), start + size);
    WindowWriter window(to);
    window.Append({&begin_, 1}, segments_.front().type);
    for (size_t i = 0; i + 1 < segments_.size(); ++i) {
      if (segments_[i].optional && tokens[i].empty()) {
        window.SkipSegment();
      } else {
        window.AppendSegment(tokens[i], separator_, segments_[i].type);
      }
    }
    window.AppendSegment(last.subspan(start, end - start), separator_, segments_.back().type);
    task.windows.push_back(window.Finish(start, end));
    if (end == last.size()) {
      break;
    }
  }
  task.token_count = ToCount(to.ids.size() - first);
  task.total_token_count = ToCount(to.ids.size() - first + dropped);
}

PairLayout::PairLayout(const Options& options, const Tokenizer& tokenizer)
    : options_(options), single_(tokenizer.Template(false)), pair_(tokenizer.Template(true)) {
  // Room for a token of each text.
  if (options_.max_tokens < std::max(single_.size(), pair_.size())) {
    throw Error(Code::kInvalidArgument, "an input must have room for the special tokens and a token of each text");
  }
}

void PairLayout::Accepts(const SegmentedInput& input) const {
  if (input.segments.size() != 2 || input.segments[0].size() != 1 || input.segments[1].size() > 1) {
    throw Error(Code::kInvalidArgument, "an input must be one text or two");
  }
}

namespace {

/// The numbers of tokens of two texts that remain of them in `room` when the longer one is cut first: the algorithm of
/// the library `tokenizers`, so that the odd token goes to the same text.
std::pair<size_t, size_t> CutLongestFirst(size_t first, size_t second, size_t room) {
  size_t shorter = std::min(first, second);
  size_t longer = shorter > room ? shorter : std::min(std::max(first, second), std::max(shorter, room - shorter));
  if (shorter + longer > room) {
    shorter = room / 2;
    longer = shorter + room % 2;
  }
  return first > second ? std::pair(longer, shorter) : std::pair(shorter, longer);
}

}  // namespace

void PairLayout::Tokenize(const Tokenizer& tokenizer, TextTask& task, const TokenBuffers& to) const {
  const auto& segments = task.input->segments;
  const bool pair = !segments[1].empty();
  const std::vector<Tokenizer::Slot>& slots = pair ? pair_ : single_;
  const size_t room = options_.max_tokens - (slots.size() - (pair ? 2 : 1));
  std::vector<int64_t> first;
  std::vector<int64_t> second;
  tokenizer.Tokens(segments[0].front(), first);
  if (pair) {
    tokenizer.Tokens(segments[1].front(), second);
  }
  const size_t total = first.size() + second.size();
  // Windows of a second text, and cuts of it alone, need a first text that leaves it room.
  const bool cuts_both = pair && (options_.truncation == Truncation::kLongestFirst || first.size() > room / 2) &&
                         (options_.truncation != Truncation::kOnlySecond || first.size() >= room);
  if (cuts_both && total > room) {
    const auto [of_first, of_second] = CutLongestFirst(first.size(), second.size(), room);
    first.resize(of_first);
    second.resize(of_second);
  }
  std::vector<int64_t>& last = pair ? second : first;
  const size_t size = room - (pair ? first.size() : 0);
  if (options_.truncation != Truncation::kWindows) {
    last.resize(std::min(last.size(), size));
  }
  const size_t kept = pair ? first.size() + second.size() : first.size();
  const size_t stride = std::max<size_t>(1, size - size / 4);  // a quarter of a window is read twice
  const size_t begin = to.ids.size();
  for (size_t start = 0;; start += stride) {
    const size_t end = std::min(last.size(), start + size);
    WindowWriter window(to);
    for (const Tokenizer::Slot& slot : slots) {
      if (slot.id >= 0) {
        window.Append({&slot.id, 1}, slot.type);
      } else if (pair && slot.id == Tokenizer::kFirst) {
        window.Append(first, slot.type);
      } else {
        window.Append(std::span(last).subspan(start, end - start), slot.type);
      }
    }
    task.windows.push_back(window.Finish(start, end));
    if (end == last.size()) {
      break;
    }
  }
  task.token_count = ToCount(to.ids.size() - begin);
  task.total_token_count = ToCount(to.ids.size() - begin + total - kept);
}

}  // namespace gabion
