// How the texts of an input become one token sequence, or several where it is too long. Knows tokenizers, not sessions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text_task.hpp"
#include "token_cache.hpp"
#include "tokenizer.hpp"

namespace gabion {

/// Token ids of windows, with the type of each.
struct TokenBuffers {
  std::vector<int64_t>& ids;
  std::vector<uint8_t>& types;
};

class InputLayout {
 public:
  virtual ~InputLayout() = default;
  InputLayout(const InputLayout&) = delete;
  InputLayout& operator=(const InputLayout&) = delete;

  /// Throws kInvalidArgument for an input that is not of this form.
  virtual void Accepts(const SegmentedInput& input) const = 0;
  /// Appends the tokens of the input's windows, at least one, and sets the task's windows and counts.
  virtual void Tokenize(const Tokenizer& tokenizer, TextTask& task, const TokenBuffers& to) const = 0;
  /// Tokens of the longest window.
  virtual size_t max_tokens() const noexcept = 0;

 protected:
  InputLayout() = default;
};

/// [CLS] segment [SEP] … last segment [SEP], with a budget of tokens per segment. The last one is cut into windows,
/// each of which has all the others before it.
class SegmentLayout final : public InputLayout {
 public:
  struct Segment {
    size_t max_tokens = 0;   ///< without its separator; of the last segment: of one window
    bool keep_tail = false;  ///< which end of a longer one is kept
    bool optional = false;   ///< left out with its separator where it has no tokens
    bool cached = false;     ///< its strings recur: their ids are remembered
    uint8_t type = 0;
  };

  struct Options {
    std::vector<Segment> segments;
    size_t stride = 0;  ///< tokens from one window's start to the next
  };

  /// Throws kInvalidArgument, and kModelUnsupported for a tokenizer without one token before and one after a text.
  SegmentLayout(Options options, const Tokenizer& tokenizer);

  void Accepts(const SegmentedInput& input) const override;
  void Tokenize(const Tokenizer& tokenizer, TextTask& task, const TokenBuffers& to) const override;
  size_t max_tokens() const noexcept override;

 private:
  std::vector<int64_t> TokensOf(const Tokenizer& tokenizer, const std::vector<std::string>& texts, bool cached) const;

  std::vector<Segment> segments_;
  size_t stride_;
  int64_t begin_ = 0;
  int64_t separator_ = 0;
  mutable TokenCache cache_;
};

/// One text or two, between the special tokens of the tokenizer's own template. An input has two segments of a string
/// each; the second segment of a single text has none.
class PairLayout final : public InputLayout {
 public:
  /// What becomes of inputs that are too long.
  enum class Truncation : uint8_t {
    kLongestFirst,  ///< the ends of both texts are cut off, of the longer one first, as transformers does
    kOnlySecond,    ///< the end of the second text, or of the only one
    kWindows,       ///< the second text, or the only one, is cut into windows; nothing is lost
  };
  struct Options {
    size_t max_tokens = 0;  ///< special tokens included
    Truncation truncation = Truncation::kWindows;
  };

  /// Throws kInvalidArgument for a limit below the special tokens, kModelUnsupported for a tokenizer without templates.
  PairLayout(const Options& options, const Tokenizer& tokenizer);

  void Accepts(const SegmentedInput& input) const override;
  void Tokenize(const Tokenizer& tokenizer, TextTask& task, const TokenBuffers& to) const override;
  size_t max_tokens() const noexcept override { return options_.max_tokens; }

 private:
  Options options_;
  std::vector<Tokenizer::Slot> single_;
  std::vector<Tokenizer::Slot> pair_;
};

}  // namespace gabion
