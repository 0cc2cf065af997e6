// One text on its way through the engine: its options, its outputs, and its costs. The binding
// (or a Request) fills in the request, and every function down to Session::Run takes the task by reference.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
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

/// One token sequence of a text. It is encoded at its own length.
struct TokenWindow {
  size_t first_id = 0;  ///< in Scratch::ids
  size_t id_count = 0;  ///< special tokens included
  int32_t start = 0;    ///< first UTF-16 unit of the text; set with a rule only
  int32_t end = 0;      ///< the unit behind the last
};

struct TextTask {
  /// UTF-8; outlives the task.
  std::string_view text;
  /// Without a rule a text has exactly one window: what the model's limit leaves of it.
  std::optional<WindowRule> rule;
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
  int32_t total_token_count = 0;  ///< tokens of the whole text
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
