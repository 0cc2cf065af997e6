// The encoder as the compiled variants see it: plain structs over packed weights. Shared by the packer, which fills
// them, and by source/, which is compiled once an instruction set; so nothing here may have code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gabion::kernels {

/// How a linear weight is stored in its panels and how products with it are computed.
enum class Format : uint8_t {
  kFloat32,         ///< float weights, float arithmetic
  kBfloat16Wide,    ///< bf16 weights, widened in registers: exact float arithmetic on them
  kBfloat16Dot,     ///< bf16 weights and activations, float sums
  kInt16,           ///< 16-bit integers on both sides, a scale a column and a row
  kInt8Wide,        ///< 8-bit weights with scale groups along K, 16-bit activations
  kInt8Dot,         ///< 8-bit weights and activations, both with scale groups along K
  kBfloat16Matrix,  ///< as kBfloat16Dot, panels for arm64's matrix instructions
  kInt8Matrix,      ///< as kInt8Dot, panels for arm64's matrix instructions
};

/// Largest 16-bit activation; weights are scaled so that no sum of a panel's column can pass 31 bits with it.
constexpr int kInt16Limit = 8191;      ///< with 16-bit weights
constexpr int kInt8WideLimit = 16383;  ///< with 8-bit weights: 1024 · 127 · 16383 < 2^31

/// A matrix as it stands in the weights file, [rows, columns], row-major.
struct StoredMatrix {
  const void* values;
  bool bfloat16;  ///< else float
};

/// y = x · W + b. W is cut along K into slices of `depth`, each slice into panels of one tile's columns:
/// [slice][panel][depth / step][column][step], a step being as many values of K as one dot instruction takes.
struct PackedLinear {
  const void* panels;
  /// [slice][panel][group][column]; for bytes on both sides each group has the scales and then the sums of a column's
  /// weights times its scale. Null for float formats.
  const float* scales;
  const float* bias;
  size_t outputs;
  size_t depth;
  size_t slices;
  size_t group;  ///< values of K that share a scale; a divisor of depth
  /// [slices · depth]: integer formats multiply inputs by these before they round them, and the packed weights are
  /// divided by them. Null: nothing is.
  const float* input_factors;
};

struct PackedLayer {
  PackedLinear qkv;  ///< columns ordered by head: query, key, value of the first head, then of the next
  PackedLinear output;
  PackedLinear up;
  PackedLinear down;
  const float* attention_norm_weight;
  const float* attention_norm_bias;
  const float* feed_forward_norm_weight;
  const float* feed_forward_norm_bias;
};

struct PackedEncoder {
  Format format;
  size_t layers;
  size_t heads;
  size_t hidden;
  size_t intermediate;
  float epsilon;
  StoredMatrix words;
  const float* positions;
  const float* norm_weight;
  const float* norm_bias;
  const PackedLayer* layer;
  /// Null but for calibration: [layers][InputsOfLayer] greatest magnitudes of the inputs of all four linear parts.
  float* greatest;
  /// Null, or what is added to a head's scores by distance, times log2(e): [heads][distance_stride], distance key -
  /// query of `longest` tokens at most; vectors that begin within it may be read beyond its end.
  const float* distance_biases;
  size_t distance_stride;
  size_t longest;
  /// Negative where the first token has position 0. Else positions count the tokens that are not this id, from the row
  /// after it, and a token of this id has the row of its own number.
  int64_t padding_id;
};

/// Inputs of a layer's linear parts, one behind the other: qkv, output, up, down.
constexpr size_t InputsOfLayer(size_t hidden, size_t intermediate) { return 3 * hidden + intermediate; }

/// Asks whether the run should end early; called between layers.
struct StopQuestion {
  bool (*ask)(const void* who);
  const void* who;
};

/// Threads that share the work on one text. `share` has every item run once, on any of `members` threads at a time,
/// each with its number, and returns when all items have ended.
struct Crew {
  size_t members;
  void (*share)(void* who, size_t items, void (*run)(const void* work, size_t item, size_t member), const void* work);
  void* who;
};

/// One instruction set's compiled kernels. Rows and vectors need no alignment.
struct Variant {
  const char* name;
  Format int8;      ///< what Precision::kInt8 is computed in
  Format bfloat16;  ///< what Precision::kBf16 is computed in on bf16 weights
  size_t panel_columns;

  /// Bytes that Encode needs for so many tokens on so many threads.
  size_t (*workspace_bytes)(const PackedEncoder& encoder, size_t tokens, size_t members);
  /// The last hidden state of `tokens` ids, [tokens, hidden]; false when it was stopped. The workspace is aligned
  /// to 64. With a crew, which may be null, the same bits come from several threads.
  bool (*encode)(const PackedEncoder& encoder, const int64_t* ids, size_t tokens, void* workspace, StopQuestion stop,
                 const Crew* crew, float* hidden);

  /// y [rows, outputs] = x [rows, slices · depth] · W + b, for tests and benches. The workspace takes
  /// rows · (2 · depth + 128) · 4 + 65536 bytes.
  void (*linear)(Format format, const PackedLinear& linear, const float* x, size_t rows, void* workspace, float* y);
  /// In place, over n values; n is a multiple of the vector length.
  void (*gelu)(float* values, size_t n);
  /// In place over one row, as LayerNormalization of ONNX.
  void (*layer_norm)(float* row, size_t n, const float* weight, const float* bias, float epsilon);
};

}  // namespace gabion::kernels
