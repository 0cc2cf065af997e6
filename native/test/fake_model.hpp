// A model without a graph, for tests of the layers above a session: its vectors are sums over token ids, its tokenizer
// has a dozen words. It embeds a text in microseconds.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "model.hpp"

namespace gabion::test {

class FakeSession final : public Session {
 public:
  static constexpr size_t kWidth = 4;

  /// `before` is called on the encoder thread before each run.
  explicit FakeSession(std::function<void(std::span<TextTask* const>, const Scratch&)> before = {},
                       size_t max_batch = 1)
      : info_{"fake", {}, kWidth, "", nullptr}, before_(std::move(before)), max_batch_(max_batch) {}

  const SessionInfo& info() const noexcept override { return info_; }
  size_t max_batch() const noexcept override { return max_batch_; }

  void Run(std::span<TextTask* const> tasks, Scratch& scratch) const override {
    if (before_) {
      before_(tasks, scratch);
    }
    scratch.ThrowIfStopped();
    for (TextTask* task : tasks) {
      float* vector = task->vectors;
      for (const TokenWindow& window : task->windows) {
        const auto ids = std::span(scratch.ids).subspan(window.first_id, window.id_count);
        vector[0] = static_cast<float>(ids.size());
        vector[1] = static_cast<float>(ids[ids.size() / 2]);
        vector[2] = vector[3] = 0;
        for (size_t i = 0; i < ids.size(); ++i) {
          vector[2] += static_cast<float>(ids[i]);
          vector[3] += static_cast<float>(i) * static_cast<float>(ids[i]);
        }
        vector += kWidth;
      }
    }
  }

 private:
  SessionInfo info_;
  std::function<void(std::span<TextTask* const>, const Scratch&)> before_;
  size_t max_batch_;
};

/// Whitespace-separated words between [CLS] and [SEP].
inline Tokenizer FakeTokenizer() {
  const auto file =
      std::filesystem::temp_directory_path() / ("gabion-fake-tokenizer-" + std::to_string(getpid()) + ".json");
  std::ofstream(file) << R"({"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
    "added_tokens": [],
    "pre_tokenizer": {"type": "WhitespaceSplit"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
      "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
      "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                         "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
    "decoder": null,
    "model": {"type": "WordLevel", "unk_token": "[UNK]",
      "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "one": 3, "two": 4, "three": 5, "text": 6, "more": 7, "word": 8,
                "number": 9, "and": 10, "some": 11}}})";
  Tokenizer tokenizer(file.string());
  std::filesystem::remove(file);
  return tokenizer;
}

inline constexpr size_t kFakeMaxTokens = 8;

inline std::shared_ptr<const Model> FakeModel(std::unique_ptr<const FakeSession> session) {
  return std::make_shared<const Model>(std::move(session), FakeTokenizer(), kFakeMaxTokens);
}

/// A fake model without a hook, made once per process.
inline const std::shared_ptr<const Model>& FakeModel() {
  static const auto* model = new std::shared_ptr<const Model>(FakeModel(std::make_unique<const FakeSession>()));
  return *model;
}

}  // namespace gabion::test
