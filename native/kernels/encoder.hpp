// A text encoder on the CPU: packs a model's weights once, then runs token ids through it. Knows neither ONNX Runtime
// nor texts.
//
// Immutable after construction: any thread may run it, each with its own Workspace.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "instruction_set.hpp"
#include "memory.hpp"
#include "packing.hpp"

namespace gabion::kernels {

struct EncoderShape {
  size_t layers;
  size_t heads;
  size_t hidden;
  size_t intermediate;
  float epsilon;
};

/// A linear layer as stored in the weights file: y = x · weight + bias.
struct StoredLinear {
  StoredMatrix weight;
  const float* bias;
  /// Whether the weight is [out, in], as PyTorch stores it, and not [in, out].
  bool outputs_first = false;
  /// With `outputs_first`: further matrices of the weight's shape and type whose outputs come after its own, so that
  /// query, key and value may be stored apart. Null: none.
  std::array<const void*, 2> further{};
};

struct StoredNorm {
  const float* weight;
  const float* bias;
};

struct StoredLayer {
  StoredLinear qkv;  ///< query | key | value side by side
  StoredLinear output;
  StoredNorm attention_norm;
  StoredLinear up;  ///< gated: [2 · intermediate], or the second half as its `further`; its bias is not read
  StoredLinear down;
  StoredNorm feed_forward_norm;
  /// Which of the encoder's inverse frequencies rotate queries and keys; none by default.
  std::optional<size_t> rotary{};
  size_t window = 0;  ///< see PackedLayer
};

/// Views; the encoder copies the linear weights and keeps pointers to everything else, which must outlive it.
struct StoredEncoder {
  StoredMatrix token_embeddings;  ///< [vocabulary, hidden]
  const float* positions;         ///< [positions, hidden]; null: none
  StoredNorm norm;
  std::vector<StoredLayer> layers;
  /// Relative position biases [2 · max_tokens - 1, heads], by key - query + max_tokens - 1; null: none.
  const float* relative_biases = nullptr;
  size_t max_tokens = 0;               ///< of relative_biases and rotary embeddings
  int64_t padding_id = -1;             ///< see PackedEncoder
  const float* token_types = nullptr;  ///< [types, hidden]; null where type 0 is part of the positions
  /// [head width / 2] each: angles of rotary embeddings per position. Linear weights are then stored outputs first.
  std::vector<std::vector<float>> inverse_frequencies{};
  FeedForward feed_forward = FeedForward::kGelu;
  bool norm_first = false;  ///< see PackedEncoder
  StoredNorm last_norm{};   ///< with norm_first
};

/// The tokens of a text that shows what the linear layers receive; without types all are of type 0.
struct TokenSample {
  std::vector<int64_t> ids;
  std::vector<uint8_t> types;

  TokenSequence sequence() const noexcept { return {ids.data(), ids.size(), types.empty() ? nullptr : types.data()}; }
};

/// Scratch memory of one thread. It grows to the longest text seen and is never shared.
class Workspace {
 public:
  /// At least `bytes` bytes; invalidates what an earlier call returned.
  void* Reserve(size_t bytes);

 private:
  AlignedBuffer bytes_;
};

class Encoder {
 public:
  /// Packs the weights on a few threads. Throws std::invalid_argument for sizes that the variant cannot compute with
  /// and for weights that are not finite.
  ///
  /// Integer formats are calibrated on `samples`, the token ids of some texts: the absmax of each linear layer's input
  /// channels on them determines the SmoothQuant scales (arXiv:2211.10438, exponent 1/2), which move quantization
  /// range from activations to weights. Without samples nothing is smoothed, and the vectors are further from those of
  /// exact arithmetic. `smooth_scales`, of an earlier calibration with the same weights and variant, takes its place.
  Encoder(const EncoderShape& shape, const StoredEncoder& stored, Precision precision, const Variant& variant,
          const std::vector<TokenSample>& samples = {}, std::vector<float> smooth_scales = {});

  /// Writes the last hidden state, [tokens, hidden]. Ids, types and the number of tokens must be within the tables.
  /// Returns false if `stop` was set meanwhile. A team, which may be null, shares the work; the result has the same
  /// bits.
  bool Run(const TokenSequence& input, Workspace& workspace, const std::atomic<bool>& stop, const Team* team,
           float* hidden) const;

  /// Approximate number of multiply-adds for a text.
  size_t MultiplyAdds(size_t tokens) const noexcept;

  Format format() const noexcept { return packed_.format; }
  const Variant& variant() const noexcept { return variant_; }
  /// The SmoothQuant scales of all linear layers' inputs, by InputsPerLayer; empty without any.
  const std::vector<float>& smooth_scales() const noexcept { return smooth_scales_; }
  /// Bytes of the packed weights.
  size_t packed_bytes() const noexcept { return panels_.size(); }

  /// Whether a variant with panels of `nr` columns can compute with a shape.
  static bool Fits(const EncoderShape& shape, size_t nr);

 private:
  void Pack(const EncoderShape& shape, const StoredEncoder& stored, Format format);
  void CalibrateSmoothScales(const EncoderShape& shape, const StoredEncoder& stored,
                             const std::vector<TokenSample>& samples);

  const Variant& variant_;
  std::vector<float> smooth_scales_;  ///< [layers][InputsPerLayer]; empty where nothing is smoothed
  AlignedBuffer panels_;              ///< of all layers, scales included
  std::vector<float> biases_;
  std::vector<float> relative_biases_;      ///< [heads][as in PackedEncoder]
  std::vector<std::vector<float>> rotary_;  ///< see PackedLayer, by inverse frequencies
  std::vector<PackedLayer> layers_;
  PackedEncoder packed_{};
};

}  // namespace gabion::kernels
