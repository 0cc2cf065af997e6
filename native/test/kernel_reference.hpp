// Reference text encoder in double precision, straight from the definition, for kernel tests; and random weights.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "../kernels/encoder.hpp"

namespace gabion::test {

using Doubles = std::vector<double>;

inline float FromBfloat16(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16U;
  float value = 0;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

inline uint16_t ToBfloat16(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16U) & 1U)) >> 16U);
}

/// Normally distributed values that bf16 represents exactly, so that both formats of a weight are equal.
class RandomMatrix {
 public:
  RandomMatrix(size_t count, double deviation, std::mt19937& random, double mean = 0) {
    std::normal_distribution<double> normal(mean, deviation);
    for (size_t i = 0; i < count; ++i) {
      bf16_.push_back(ToBfloat16(static_cast<float>(normal(random))));
      float_.push_back(FromBfloat16(bf16_.back()));
    }
  }
  const float* floats() const { return float_.data(); }
  float* floats() { return float_.data(); }
  kernels::StoredMatrix Stored(bool bfloat16) const {
    return bfloat16 ? kernels::StoredMatrix{bf16_.data(), true} : kernels::StoredMatrix{float_.data(), false};
  }
  void Scale(size_t at, float factor) {
    bf16_[at] = ToBfloat16(float_[at] * factor);
    float_[at] = FromBfloat16(bf16_[at]);
  }
  /// [columns, rows] of a [rows, columns] matrix.
  RandomMatrix Transposed(size_t rows, size_t columns) const {
    RandomMatrix to = *this;
    for (size_t at = 0; at < rows * columns; ++at) {
      const size_t target = at % columns * rows + at / columns;
      to.bf16_[target] = bf16_[at];
      to.float_[target] = float_[at];
    }
    return to;
  }
  double operator[](size_t at) const { return static_cast<double>(float_[at]); }

 private:
  std::vector<uint16_t> bf16_;
  std::vector<float> float_;
};

/// Root mean square of the error over that of the exact values.
inline double RelativeError(const std::vector<float>& got, const Doubles& exact) {
  double error = 0;
  double size = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    error += std::pow(static_cast<double>(got[i]) - exact[i], 2);
    size += exact[i] * exact[i];
  }
  return std::sqrt(error / size);
}

/// y [rows, outputs] = x [rows, inputs] · weight [inputs, outputs] + bias.
inline Doubles ReferenceLinear(const Doubles& x, size_t rows, const RandomMatrix& weight, const RandomMatrix& bias,
                               size_t inputs, size_t outputs) {
  Doubles y(rows * outputs);
  for (size_t row = 0; row < rows; ++row) {
    double* to = &y[row * outputs];
    for (size_t j = 0; j < outputs; ++j) {
      to[j] = bias[j];
    }
    for (size_t k = 0; k < inputs; ++k) {
      const double value = x[row * inputs + k];
      for (size_t j = 0; j < outputs; ++j) {
        to[j] += value * weight[k * outputs + j];
      }
    }
  }
  return y;
}

inline double ReferenceGelu(double x) { return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))); }

inline void ReferenceNorm(Doubles& rows, size_t width, const RandomMatrix& weight, const RandomMatrix& bias,
                          double epsilon) {
  for (size_t at = 0; at < rows.size(); at += width) {
    double mean = 0;
    double variance = 0;
    for (size_t i = 0; i < width; ++i) mean += rows[at + i] / static_cast<double>(width);
    for (size_t i = 0; i < width; ++i) variance += std::pow(rows[at + i] - mean, 2) / static_cast<double>(width);
    for (size_t i = 0; i < width; ++i) {
      rows[at + i] = (rows[at + i] - mean) / std::sqrt(variance + epsilon) * weight[i] + bias[i];
    }
  }
}

inline double ReferenceSilu(double x) { return x / (1 + std::exp(-x)); }

/// What encoders with rotary positions do otherwise than BERT. They have no table of positions.
struct RotaryTraits {
  size_t window = 0;  ///< of every second layer
  kernels::FeedForward feed_forward = kernels::FeedForward::kGatedGelu;
  bool norm_first = false;
};

/// An encoder with random weights of the magnitudes of trained ones.
class RandomEncoder {
 public:
  static constexpr size_t kVocabulary = 64;
  static constexpr size_t kPositions = 512;
  static constexpr int64_t kPadding = 1;
  static constexpr size_t kTypes = 2;

  RandomEncoder(const kernels::EncoderShape& shape, uint32_t seed, std::optional<RotaryTraits> rotary = {})
      : shape_(shape),
        rotary_(rotary),
        random_(seed),
        token_embeddings_(kVocabulary * shape.hidden, 0.05, random_),
        positions_(kPositions * shape.hidden, 0.02, random_),
        norm_weight_(shape.hidden, 0.1, random_, 1),
        norm_bias_(shape.hidden, 0.1, random_),
        relative_biases_((2 * kPositions - 1) * shape.heads, 0.5, random_) {
    const size_t hidden = shape.hidden;
    const size_t up = IsGated() ? 2 * shape.intermediate : shape.intermediate;
    for (size_t i = 0; i < shape.layers; ++i) {
      layers_.push_back({Make(hidden, 3 * hidden), Make(hidden, hidden), Make(hidden, up),
                         Make(shape.intermediate, hidden), RandomMatrix(hidden, 0.1, random_, 1),
                         RandomMatrix(hidden, 0.1, random_), RandomMatrix(hidden, 0.1, random_, 1),
                         RandomMatrix(hidden, 0.1, random_)});
    }
  }

  kernels::StoredEncoder Stored(bool bfloat16) const {
    kernels::StoredEncoder stored{
        token_embeddings_.Stored(bfloat16), positions_.floats(), {norm_weight_.floats(), norm_bias_.floats()}, {}};
    for (const Layer& layer : layers_) {
      const auto linear = [&](const Linear& of) {
        return rotary_ ? kernels::StoredLinear{of.by_outputs.Stored(bfloat16), of.bias.floats(), true}
                       : kernels::StoredLinear{of.weight.Stored(bfloat16), of.bias.floats()};
      };
      stored.layers.push_back({linear(layer.qkv),
                               linear(layer.output),
                               {layer.norm_weight.floats(), layer.norm_bias.floats()},
                               linear(layer.up),
                               linear(layer.down),
                               {layer.last_weight.floats(), layer.last_bias.floats()}});
    }
    if (like_mpnet_) {
      stored.relative_biases = relative_biases_.floats();
      stored.max_tokens = kPositions;
      stored.padding_id = kPadding;
    }
    if (rotary_) {
      stored.positions = nullptr;
      stored.max_tokens = kPositions;
      stored.inverse_frequencies = {Frequencies(0), Frequencies(1)};
      stored.feed_forward = rotary_->feed_forward;
      stored.norm_first = rotary_->norm_first;
      stored.last_norm = {norm_weight_.floats(), norm_bias_.floats()};
      for (size_t i = 0; i < stored.layers.size(); ++i) {
        stored.layers[i].rotary = i % 2;
        stored.layers[i].window = WindowOf(i);
      }
      if (rotary_->norm_first) {
        stored.layers[0].attention_norm = {};
      }
    }
    if (token_types_) {
      stored.token_types = token_types_->floats();
    }
    return stored;
  }

  /// Adds relative position biases to the scores and starts positions after the padding's.
  void BeLikeMpnet() { like_mpnet_ = true; }
  /// Adds embeddings of token types.
  void HaveTypes() { token_types_.emplace(kTypes * shape_.hidden, 0.05, random_); }

  /// The last hidden state, [tokens, hidden]. Without types all tokens are of type 0.
  Doubles Run(const std::vector<int64_t>& ids, const std::vector<uint8_t>& types = {}) const {
    const size_t hidden = shape_.hidden;
    const size_t tokens = ids.size();
    Doubles state;
    size_t counted = kPadding;
    for (size_t row = 0; row < tokens; ++row) {
      const size_t counted_position = ids[row] == kPadding ? static_cast<size_t>(kPadding) : ++counted;
      const size_t position = like_mpnet_ ? counted_position : row;
      for (size_t i = 0; i < hidden; ++i) {
        const size_t type = types.empty() ? 0 : types[row];
        state.push_back(token_embeddings_[static_cast<size_t>(ids[row]) * hidden + i] +
                        (rotary_ ? 0 : positions_[position * hidden + i]) +
                        (token_types_ ? (*token_types_)[type * hidden + i] : 0));
      }
    }
    const auto epsilon = static_cast<double>(shape_.epsilon);
    ReferenceNorm(state, hidden, norm_weight_, norm_bias_, epsilon);
    const bool first = rotary_ && rotary_->norm_first;
    for (size_t index = 0; index < layers_.size(); ++index) {
      const Layer& layer = layers_[index];
      Doubles input = state;
      if (first && index > 0) ReferenceNorm(input, hidden, layer.norm_weight, layer.norm_bias, epsilon);
      Doubles qkv = ReferenceLinear(input, tokens, layer.qkv.weight, layer.qkv.bias, hidden, 3 * hidden);
      if (rotary_) Rotate(qkv, Frequencies(index % 2));
      const Doubles context = Attend(qkv, tokens, WindowOf(index));
      const Doubles out = ReferenceLinear(context, tokens, layer.output.weight, layer.output.bias, hidden, hidden);
      for (size_t i = 0; i < state.size(); ++i) state[i] += out[i];
      if (!first) ReferenceNorm(state, hidden, layer.norm_weight, layer.norm_bias, epsilon);
      input = state;
      if (first) ReferenceNorm(input, hidden, layer.last_weight, layer.last_bias, epsilon);
      const Doubles back = ReferenceLinear(Activated(layer, input, tokens), tokens, layer.down.weight, layer.down.bias,
                                           shape_.intermediate, hidden);
      for (size_t i = 0; i < state.size(); ++i) state[i] += back[i];
      if (!first) ReferenceNorm(state, hidden, layer.last_weight, layer.last_bias, epsilon);
    }
    if (first) ReferenceNorm(state, hidden, norm_weight_, norm_bias_, epsilon);
    return state;
  }

  /// Gives some channels much larger values than their neighbors, like the outlier channels of trained models.
  void AmplifyChannels(float factor) {
    for (Layer& layer : layers_) {
      for (size_t i = 5; i < shape_.hidden; i += 41) {
        layer.norm_weight.Scale(i, factor);
        layer.last_weight.Scale(i, factor);
      }
    }
  }

  /// One weight of the first layer, for tests to damage.
  float& SomeWeight() { return layers_[0].up.weight.floats()[7]; }
  float& SomeBias() { return layers_[0].up.bias.floats()[7]; }

 private:
  struct Linear {
    RandomMatrix weight;
    RandomMatrix bias;
    RandomMatrix by_outputs;  ///< the weight, [outputs, inputs]
  };
  struct Layer {
    Linear qkv, output, up, down;
    RandomMatrix norm_weight, norm_bias, last_weight, last_bias;
  };

  Linear Make(size_t inputs, size_t outputs) {
    RandomMatrix weight(inputs * outputs, 1.0 / std::sqrt(static_cast<double>(inputs)), random_);
    RandomMatrix by_outputs = weight.Transposed(inputs, outputs);
    return {std::move(weight), RandomMatrix(outputs, 0.1, random_), std::move(by_outputs)};
  }

  bool IsGated() const { return rotary_ && rotary_->feed_forward != kernels::FeedForward::kGelu; }
  size_t WindowOf(size_t layer) const { return rotary_ && layer % 2 == 1 ? rotary_->window : 0; }

  std::vector<float> Frequencies(size_t number) const {
    const size_t width = shape_.hidden / shape_.heads;
    std::vector<float> frequencies;
    for (size_t i = 0; i < width; i += 2) {
      const double power = static_cast<double>(i) / static_cast<double>(width);
      frequencies.push_back(static_cast<float>(std::pow(number == 0 ? 1000.0 : 50.0, -power)));
    }
    return frequencies;
  }

  /// Rotates queries and keys: value i of a head is paired with the one half a head later.
  void Rotate(Doubles& qkv, const std::vector<float>& frequencies) const {
    const size_t half = frequencies.size();
    for (size_t row = 0; row * 3 * shape_.hidden < qkv.size(); ++row) {
      for (size_t head = 0; head < 2 * shape_.heads; ++head) {  // of queries, then of keys
        double* at = &qkv[row * 3 * shape_.hidden + head * 2 * half];
        for (size_t i = 0; i < half; ++i) {
          const double angle = static_cast<double>(static_cast<float>(row) * frequencies[i]);
          const double one = at[i] * std::cos(angle) - at[i + half] * std::sin(angle);
          at[i + half] = at[i + half] * std::cos(angle) + at[i] * std::sin(angle);
          at[i] = one;
        }
      }
    }
  }

  Doubles Activated(const Layer& layer, const Doubles& input, size_t tokens) const {
    const size_t outputs = (IsGated() ? 2 : 1) * shape_.intermediate;
    const Doubles wide = ReferenceLinear(input, tokens, layer.up.weight, layer.up.bias, shape_.hidden, outputs);
    Doubles activated;
    for (size_t row = 0; row < tokens; ++row) {
      for (size_t i = 0; i < shape_.intermediate; ++i) {
        // A gated layer's bias is not read.
        const double value = wide[row * outputs + i] - (IsGated() ? layer.up.bias[i] : 0);
        const size_t second = shape_.intermediate + i;
        const double gate = IsGated() ? wide[row * outputs + second] - layer.up.bias[second] : 1;
        const bool silu = IsGated() && rotary_->feed_forward == kernels::FeedForward::kGatedSilu;
        activated.push_back((silu ? ReferenceSilu(value) : ReferenceGelu(value)) * gate);
      }
    }
    return activated;
  }

  Doubles Attend(const Doubles& qkv, size_t tokens, size_t window) const {
    const size_t hidden = shape_.hidden;
    const size_t width = hidden / shape_.heads;
    Doubles context(tokens * hidden);
    for (size_t head = 0; head < shape_.heads; ++head) {
      for (size_t row = 0; row < tokens; ++row) {
        Doubles weights(tokens);
        double sum = 0;
        for (size_t key = 0; key < tokens; ++key) {
          if (window != 0 && (key > row + window || row > key + window)) continue;
          double score = 0;
          for (size_t i = 0; i < width; ++i) {
            score += qkv[row * 3 * hidden + head * width + i] * qkv[key * 3 * hidden + hidden + head * width + i];
          }
          const double bias = like_mpnet_ ? relative_biases_[(key + kPositions - 1 - row) * shape_.heads + head] : 0;
          weights[key] = std::exp(score / std::sqrt(static_cast<double>(width)) + bias);
          sum += weights[key];
        }
        for (size_t key = 0; key < tokens; ++key) {
          for (size_t i = 0; i < width; ++i) {
            context[row * hidden + head * width + i] +=
                weights[key] / sum * qkv[key * 3 * hidden + 2 * hidden + head * width + i];
          }
        }
      }
    }
    return context;
  }

  kernels::EncoderShape shape_;
  std::optional<RotaryTraits> rotary_;
  std::mt19937 random_;
  RandomMatrix token_embeddings_;
  RandomMatrix positions_;
  RandomMatrix norm_weight_;
  RandomMatrix norm_bias_;
  RandomMatrix relative_biases_;
  std::vector<Layer> layers_;
  bool like_mpnet_ = false;
  std::optional<RandomMatrix> token_types_;
};

}  // namespace gabion::test
