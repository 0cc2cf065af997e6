// From an encoder's hidden state to logits: the vectors that a head reads, and its dense layers. Plain arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "text_task.hpp"

namespace gabion {

enum class Activation : uint8_t { kNone, kTanh, kRelu, kGelu };

/// A vector that is made of the hidden state of one window.
struct Feature {
  enum class Kind : uint8_t {
    kFirstToken,
    kMean,         ///< of all tokens
    kSegmentMean,  ///< of a segment with its separator; zeros where it was left out
  };
  Kind kind = Kind::kFirstToken;
  size_t segment = 0;
};

struct DenseLayer {
  size_t outputs = 0;
  std::vector<float> weight;  ///< [outputs, inputs]
  std::vector<float> bias;
  Activation activation = Activation::kNone;
};

struct ClassifierHead {
  std::vector<Feature> features;  ///< concatenated
  float scale = 1;                ///< of all features
  std::vector<DenseLayer> layers;

  size_t outputs() const noexcept { return layers.back().outputs; }
  /// Throws kInvalidArgument when layers and features do not fit each other or a hidden state of this width.
  void RequireConsistent(size_t width, size_t segments) const;
  /// Writes the logits of a window's hidden state [tokens, width]. Sums are in double, in a fixed order.
  void Apply(const float* hidden, size_t width, const TokenWindow& window, float* logits) const;
};

}  // namespace gabion
