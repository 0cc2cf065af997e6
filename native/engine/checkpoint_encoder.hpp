// An encoder read directly from a checkpoint: tensors of safetensors files in the order below, packed for the kernels.
//
// The embedding table stays in its file, mapped, so that models over the same file share the system's copy of it. What
// is small or of another type is converted to float.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../kernels/encoder.hpp"
#include "mapped_file.hpp"
#include "session.hpp"
#include "text_encoder.hpp"

namespace gabion {

enum class TensorType : uint8_t { kFloat, kBfloat16, kFloat16, kDouble };

/// A tensor in one of the checkpoint's files: [rows, columns], or [rows] with one column. No rows: the architecture has
/// none; a bias is then zero.
struct CheckpointTensor {
  size_t file = 0;
  TensorType type = TensorType::kFloat;
  uint64_t rows = 0;
  uint64_t columns = 0;
  uint64_t offset = 0;  ///< in bytes
};

/// A layer's attention.
struct LayerAttention {
  size_t rotary = 0;  ///< which of the inverse frequencies rotates queries and keys
  size_t window = 0;  ///< see kernels::PackedLayer
};

struct CheckpointOptions {
  std::vector<std::string> files;
  /// Embeddings of words [vocabulary, hidden], positions [positions, hidden] and, with `has_types`, types
  /// [types, hidden]; weight and bias of their norm; then per layer weight and bias of query, key, value, attention
  /// output, attention norm, feed-forward input, the second half of a gated input without a bias, feed-forward output
  /// and last norm; with `norm_first` in the end weight and bias of the norm of the hidden state. Linear weights are
  /// [out, in].
  std::vector<CheckpointTensor> tensors;
  kernels::EncoderShape shape{};
  bool has_types = false;
  /// Whether the positions are those of a graph, which have type 0 added: types then count from type 0.
  bool positions_include_type = false;
  int64_t padding_id = -1;  ///< see kernels::PackedEncoder
  /// [2 · longest - 1, heads], see kernels::StoredEncoder; empty for none.
  std::vector<float> relative_biases;
  /// See kernels::StoredEncoder. With rotary embeddings there is one `attention` per layer, else none.
  std::vector<std::vector<float>> inverse_frequencies;
  std::vector<LayerAttention> attention;
  size_t longest = 0;  ///< tokens of an input where there is no table of positions
  kernels::FeedForward feed_forward = kernels::FeedForward::kGelu;
  bool norm_first = false;
  kernels::Precision precision = kernels::Precision::kBf16;
  /// For int8: the scales of an earlier calibration (SessionInfo::smooth_scales); empty to calibrate.
  std::vector<float> smooth_scales;
};

class TensorReader;

class CheckpointEncoder {
 public:
  /// Throws kModelNotFound, kModelInvalid for tensors that are not within their files or of another shape,
  /// kModelUnsupported for sizes that the kernels cannot compute with.
  CheckpointEncoder(const CheckpointOptions& options, const TokenSamples& samples);

  const TextEncoder& encoder() const noexcept { return *encoder_; }
  /// Rows of the embedding table.
  size_t vocabulary() const noexcept { return sizes_.vocabulary; }
  size_t positions() const noexcept { return sizes_.positions; }

 private:
  using Converted = std::deque<std::vector<float>>;

  /// `linears` receives those linear weights that cannot be packed as they are stored.
  kernels::StoredEncoder Read(const CheckpointOptions& options, Converted& linears);
  void ReadRotary(const CheckpointOptions& options, kernels::StoredEncoder& stored) const;
  void ReadLayers(const CheckpointOptions& options, TensorReader& tensors, kernels::StoredEncoder& stored);

  std::vector<std::unique_ptr<const MappedFile>> files_;
  Converted converted_;  ///< tables and small tensors that the encoder reads from here
  TableSizes sizes_;
  std::optional<const TextEncoder> encoder_;
};

}  // namespace gabion
