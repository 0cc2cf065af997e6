// One text on its way through the engine: its options, its outputs, and its costs. The binding
// (or a Request) fills in the request, and every function down to Session::Run takes the task by reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "projection.hpp"

namespace gabion {

/// Nanoseconds per stage.
struct EncodeTimes {
  int64_t tokenize_ns = 0;
  int64_t encode_ns = 0;
  int64_t project_ns = 0;
};

/// How a long text is cut: windows of at most `size` tokens, special tokens not counted, one every `stride` tokens.
struct WindowRule {
  size_t size = 0;
  size_t stride = 0;
};

/// An input of several segments, each a list of strings that are tokenized one by one and joined.
struct SegmentedInput {
  std::vector<std::vector<std::string>> segments;

  size_t bytes() const noexcept {
    size_t sum = 0;
    for (const auto& segment : segments) {
      for (const std::string& text : segment) {
        sum += text.size();
      }
    }
    return sum;
  }
};

/// Some tokens of a window.
struct TokenRange {
  size_t first = 0;
  size_t count = 0;
};

/// One token sequence of a text or of a segmented input. It is encoded at its own length.
struct TokenWindow {
  size_t first_id = 0;  ///< in Scratch::ids
  size_t id_count = 0;  ///< special tokens included
  /// Of a text: its first UTF-16 unit, and the one behind its last; set with a rule only. Of a segmented input: the
  /// same in tokens of the segment that is cut into windows.
  int32_t start = 0;
  int32_t end = 0;
  std::vector<TokenRange> segments{};  ///< of a segmented input: where each is, its separator included
};

struct TextTask {
  /// UTF-8; outlives the task.
  std::string_view text;
  /// In the place of the text, for models that take segments.
  const SegmentedInput* input = nullptr;
  /// Without a rule a text has exactly one window: what the model's limit leaves of it.
  std::optional<WindowRule> rule;
  /// Leading tokens of the text, a prompt's, that are not pooled. Of effect without a rule only.
  size_t skipped_tokens = 0;
  /// Null for none; must have been checked with Model::Accepts.
  const Projection* projection = nullptr;

  /// Results, [windows, dimensions] and [windows, components]: without a rule the caller's memory for one window, with
  /// one `window_results`, which is allocated when the number of windows is known.
  float* vectors = nullptr;
  float* projected = nullptr;
  std::vector<float> window_results;

  // Set by Model::Embed.
  std::vector<TokenWindow> windows;
  int32_t token_count = 0;        ///< tokens used, special tokens included
  int32_t total_token_count = 0;  ///< those and the tokens that were cut off
  EncodeTimes times;

  size_t components() const noexcept { return projection == nullptr ? 0 : projection->components(); }

  /// Allocates `window_results` for all windows.
  void AllocateResults(size_t dimensions) {
    window_results.resize(windows.size() * (dimensions + components()));
    vectors = window_results.data();
    projected = projection == nullptr ? nullptr : vectors + windows.size() * dimensions;
  }
};

}  // namespace gabion
