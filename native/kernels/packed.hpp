// The encoder as the compiled variants see it: plain structs over packed weights. Shared by the packer, which fills
// them, and by source/, which is compiled once per instruction set; so nothing here may contain code.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gabion::kernels {

/// How the weights of a linear layer are packed and how its GEMM is computed.
enum class Format : uint8_t {
  kFloat32,         ///< float weights, float arithmetic
  kBfloat16Wide,    ///< bf16 weights, promoted to float in registers: exact float arithmetic on them
  kBfloat16Dot,     ///< bf16 weights and activations, float accumulators
  kInt16,           ///< 16-bit weights and activations; one scale per column and per row
  kInt8Wide,        ///< 8-bit weights quantized in groups along K, 16-bit activations
  kInt8Dot,         ///< 8-bit weights and activations, both quantized in groups along K
  kBfloat16Matrix,  ///< as kBfloat16Dot, panels for arm64's matrix instructions
  kInt8Matrix,      ///< as kInt8Dot, panels for arm64's matrix instructions
};

/// Absmax of 16-bit activations; weight scales are chosen so that no column sum can exceed 31 bits with it.
constexpr int kInt16Limit = 8191;      ///< with 16-bit weights
constexpr int kInt8WideLimit = 16383;  ///< with 8-bit weights: 1024 · 127 · 16383 < 2^31

/// A matrix as stored in the weights file, [rows, columns], row-major.
struct StoredMatrix {
  const void* values;
  bool bfloat16;  ///< else float
};

/// B of y = x · B + bias, B [K, N]. K is cut into `k_blocks` blocks of `kc`, each block into panels of NR columns:
/// [k_block][panel][kc / step][column][step], where a step is as many values of K as one dot instruction consumes.
struct PackedLinear {
  const void* panels;
  /// [k_block][panel][group][column]; with 8-bit activations each group holds the column scales and then, per column,
  /// scale · sum of the weights (the zero-point compensation). Null for float formats.
  const float* scales;
  const float* bias;
  size_t n;
  size_t kc;
  size_t k_blocks;
  size_t group;  ///< values of K that share a scale; divides kc
  /// [k_blocks · kc]: SmoothQuant scales. Integer formats multiply activations by them before quantization; the packed
  /// weights are divided by them. Null: none.
  const float* smooth_scales;
};

/// What the first feed-forward layer's output becomes before the second one.
enum class FeedForward : uint8_t {
  kGelu,
  kGatedGelu,  ///< gelu(first half) · second half, the panels of both halves interleaved
  kGatedSilu,  ///< the same with silu(x) = x / (1 + e^-x)
};

struct PackedLayer {
  PackedLinear qkv;  ///< columns grouped by head: query, key, value of the first head, then of the next
  PackedLinear output;
  PackedLinear up;
  PackedLinear down;
  const float* attention_norm_weight;
  const float* attention_norm_bias;
  const float* feed_forward_norm_weight;
  const float* feed_forward_norm_bias;
  /// [max_tokens][head width]: cosines of the angles by which a token's queries and keys are rotated, then their sines.
  /// The columns of queries and keys are permuted so that both values of a pair are in the same lane of a panel's two
  /// vectors. Null: none.
  const float* rotary;
  /// Keys that are further from a query take no part in its attention; 0: all do.
  size_t window;
};

/// The tokens of one run.
struct TokenSequence {
  const int64_t* ids;
  size_t tokens;
  const uint8_t* types = nullptr;  ///< the type of each token; null: all are of type 0
};

struct PackedEncoder {
  Format format;
  size_t layers;
  size_t heads;
  size_t hidden;
  size_t intermediate;
  float epsilon;
  StoredMatrix token_embeddings;
  const float* positions;    ///< null: none
  const float* token_types;  ///< [types, hidden]; null where type 0 is part of the positions and there is no other
  const float* norm_weight;
  const float* norm_bias;
  const PackedLayer* layer;
  /// Null except during calibration: [layers][InputsPerLayer], the absmax of the inputs of all four linear layers.
  float* absmax;
  /// Null, or the relative position biases that are added to a head's scores, times log2(e):
  /// [heads][relative_bias_stride], by key - query for at most `max_tokens` tokens. Vectors that begin within a row may
  /// be read beyond its end.
  const float* relative_biases;
  size_t relative_bias_stride;
  size_t max_tokens;
  /// Negative where the first token has position 0. Else positions count the tokens other than this id, starting with
  /// the row after it, and a token of this id has the row of its own number.
  int64_t padding_id;
  FeedForward feed_forward;
  /// Whether a norm comes before attention and feed-forward and not after the sums with their input; the last hidden
  /// state is then normalized once more. A layer's attention norm may be null: none.
  bool norm_first;
  const float* last_norm_weight;
  const float* last_norm_bias;
};

/// Inputs of a layer's linear layers, one after another: qkv, output, up, down.
constexpr size_t InputsPerLayer(size_t hidden, size_t intermediate) { return 3 * hidden + intermediate; }

/// Reports whether a stop was requested; called between layers.
struct StopCheck {
  bool (*requested)(const void* context);
  const void* context;
};

/// The intra-op team: threads that share the work on one text. `parallel_for` runs every item once, on up to `members`
/// threads at a time, passing each thread's number, and returns when all items are done.
struct Team {
  size_t members;
  void (*parallel_for)(void* context, size_t items, void (*task)(const void* work, size_t item, size_t member),
                       const void* work);
  void* context;
};

/// One instruction set's compiled kernels. Rows and vectors need no alignment.
struct Variant {
  const char* name;
  Format int8;      ///< the format for Precision::kInt8
  Format bfloat16;  ///< the format for Precision::kBf16 on bf16 weights
  size_t nr;        ///< columns per packed panel

  /// Bytes that `encode` needs for so many tokens on so many threads.
  size_t (*workspace_bytes)(const PackedEncoder& encoder, size_t tokens, size_t members);
  /// Writes the last hidden state of the input's tokens, [tokens, hidden]; false when it was stopped. The workspace is
  /// aligned to 64 bytes. With a team, which may be null, several threads compute the same bits.
  bool (*encode)(const PackedEncoder& encoder, const TokenSequence& input, void* workspace, StopCheck stop,
                 const Team* team, float* hidden);

  /// y [m, n] = x [m, k_blocks · kc] · W + b, for tests and benchmarks. The workspace has
  /// m · (2 · kc + 128) · 4 + 65536 bytes.
  void (*linear)(Format format, const PackedLinear& linear, const float* x, size_t m, void* workspace, float* y);
  /// In place, over n values; n is a multiple of the vector length.
  void (*gelu)(float* values, size_t n);
  /// In place over one row, as ONNX LayerNormalization.
  void (*layer_norm)(float* row, size_t n, const float* weight, const float* bias, float epsilon);
};

}  // namespace gabion::kernels
