// One text through the encoder: embeddings, layers, last hidden state. No allocation.
//
// Row-wise operations run in chunks of rows, so that the activations of a chunk stay in L2 while the weights stream
// through. The result for a text depends on its ids alone.
//
// A layer has two parts, each of which an intra-op team can share: the attention heads, and then chunks of rows through
// everything after attention. The numbers of a row do not depend on which rows are computed with it, except for the
// neighbor that it is paired with in strassen.hpp: chunks start at even rows.
#pragma once

#include "int8_attention.hpp"
#include "strassen.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr size_t kChunkRows = 96;

/// Whether activations are converted to a narrower type than float.
template <typename F>
constexpr bool kQuantizesActivations = !__is_same(typename F::Activation, float);

/// Whether activations are 8 bits wide, with a scale and a zero point per group.
template <typename F>
constexpr bool kUint8Activations = __is_same(typename F::Activation, uint8_t);

/// Floats that Quantize writes per row of scales.
template <typename F>
GABION_INLINE size_t ScalesPerRow(const PackedLinear& linear) {
  return kUint8Activations<F> ? 2 * (linear.kc / linear.group) : 1;
}

/// Buffers that all threads on a text share.
template <typename F>
struct SharedBuffers {
  using Activation = typename F::Activation;
  GABION_INLINE SharedBuffers(const PackedEncoder& encoder, size_t tokens, void* workspace) {
    Arena arena(workspace);
    stride = encoder.hidden + kRowPadding;
    state = arena.Allocate<float>(tokens * stride);
    context = arena.Allocate<float>(tokens * stride);
    if (encoder.norm_first) {
      normed = arena.Allocate<float>(tokens * stride);
    }
    if constexpr (kQuantizesActivations<F>) {
      quantized = arena.Allocate<Activation>(tokens * stride);
      quantized_scales = arena.Allocate<float>(tokens * ScalesPerRow<F>(encoder.layer[0].qkv));
    }
    if (UsesStrassen<F>(tokens)) {
      strassen_sums = arena.Allocate<float>(StrassenSumCount(tokens, encoder.hidden));
    }
    bytes = arena.used();
  }

  size_t stride;
  float* state;                     ///< [tokens, hidden]: the residual stream
  float* context;                   ///< [tokens, hidden]: the output of attention
  float* normed = nullptr;          ///< [tokens, hidden]: the input of attention, where that is not the state
  Activation* quantized = nullptr;  ///< [tokens, hidden] in the format's element type
  float* quantized_scales = nullptr;
  float* strassen_sums = nullptr;  ///< FormStrassenSums of the state or context, where the GEMM uses them
  size_t bytes;
};

/// Buffers of one thread.
template <typename F>
struct ThreadBuffers {
  using Activation = typename F::Activation;
  GABION_INLINE ThreadBuffers(const PackedEncoder& encoder, size_t tokens, void* workspace)
      : ThreadBuffers(encoder, tokens, Arena(workspace)) {}

  AttentionOf<F> head;
  size_t ffn_stride;
  float* pre_norm;  ///< [chunk, hidden]: input of a layer normalization; with norm_first, of the feed-forward layer
  float* ffn;       ///< [chunk, one K-block of the intermediate width]
  float* tile;      ///< C tiles of a microkernel
  Activation* ffn_quantized = nullptr;
  float* ffn_scales = nullptr;
  float* ffn_strassen_sums = nullptr;
  size_t bytes;

 private:
  GABION_INLINE ThreadBuffers(const PackedEncoder& encoder, size_t tokens, Arena arena)
      : head(arena, tokens, encoder.hidden / encoder.heads) {
    const size_t chunk = Min(tokens, kChunkRows);
    const PackedLinear& down = encoder.layer[0].down;
    ffn_stride = down.kc + kRowPadding;
    pre_norm = arena.Allocate<float>(chunk * (encoder.hidden + kRowPadding));
    ffn = arena.Allocate<float>(chunk * ffn_stride);
    tile = arena.Allocate<float>(kTileFloats<F>);
    if constexpr (kQuantizesActivations<F>) {
      ffn_quantized = arena.Allocate<Activation>(chunk * ffn_stride);
      ffn_scales = arena.Allocate<float>(chunk * ScalesPerRow<F>(down));
    }
    if (UsesStrassen<F>(tokens)) {
      ffn_strassen_sums = arena.Allocate<float>(StrassenSumCount(chunk, down.kc));
    }
    bytes = arena.used();
  }
};

/// Rows of floats as the A operand of a GEMM: quantized into the given buffers if the format needs it, times
/// `smooth_scales`, which may be null. With `strassen_sums`, the sums for Strassen's algorithm are written there.
template <typename F>
GABION_INLINE MatrixA ToMatrixA(const PackedLinear& linear, const float* smooth_scales, const float* rows,
                                size_t stride, size_t count, typename F::Activation* quantized, float* scales,
                                float* strassen_sums) {
  if constexpr (kQuantizesActivations<F>) {
    const size_t per_row = ScalesPerRow<F>(linear);
    for (size_t row = 0; row < count; ++row) {
      F::Quantize(rows + row * stride, smooth_scales, linear.kc, linear.group, quantized + row * stride,
                  scales + row * per_row);
    }
    return {quantized, stride, scales, per_row};
  } else {
    if (kMayUseStrassen<F> && strassen_sums != nullptr) {
      FormStrassenSums(rows, stride, count, linear.kc, strassen_sums);
    }
    return {rows, stride, nullptr, 0, strassen_sums};
  }
}

/// The sums from row `first` on; null stays null.
GABION_INLINE float* StrassenSumsFrom(float* strassen_sums, size_t first, size_t k) {
  return strassen_sums == nullptr ? nullptr : strassen_sums + StrassenSumCount(first, k);
}

/// The A operand of `linear` from row `first` on.
template <typename F>
GABION_INLINE MatrixA RowsOfA(const PackedLinear& linear, const MatrixA& a, size_t first) {
  const auto* values = static_cast<const typename F::Activation*>(a.values) + first * a.stride;
  return {values, a.stride, a.scales == nullptr ? nullptr : a.scales + first * a.scale_stride, a.scale_stride,
          a.strassen_sums == nullptr ? nullptr : a.strassen_sums + StrassenSumCount(first, linear.kc)};
}

/// C[M×N] = A[M×K] · B[K×N] for one K-block and `panels` panels of B from `first` on. Calls
/// `use(panel, tile, first row, rows)` per C tile, panels counted from `first`. `tile` holds kTileFloats.
template <typename F, typename Use>
GABION_INLINE void Gemm(const PackedLinear& linear, size_t k_block, size_t first, size_t panels, const MatrixA& a,
                        size_t m, float* tile, const Use& use) {
  const size_t bytes = linear.kc * kNR * F::kWeightBytes;
  const size_t per_group = kUint8Activations<F> ? 2 * kNR : kNR;
  const bool strassen = kMayUseStrassen<F> && a.strassen_sums != nullptr;
  UkernelArgs args{};
  args.k = linear.kc;
  args.group = linear.group;
  args.c = tile;
  args.ldc = kNR;
  for (size_t panel = 0, width = 0; panel < panels; panel += width) {
    width = strassen && panel + 1 < panels ? 2 : 1;
    const size_t number = k_block * (linear.n / kNR) + first + panel;
    args.b = static_cast<const char*>(linear.panels) + number * bytes;
    args.b_scales =
        linear.scales == nullptr ? nullptr : linear.scales + number * (linear.kc / linear.group) * per_group;
    // The first tile prefetches the panel that is read next, or the one after it where panels are read in pairs.
    args.prefetch_offset = strassen ? 2 * bytes : bytes;
    for (size_t row = 0, height = 0; row < m; row += height) {
      args.a = RowsOfA<F>(linear, a, row);
      if (width == 1) {
        height = TileHeight(m - row, F::kMR);
        Ukernels<F>::kByRows[height - 1](args);
      } else if constexpr (kMayUseStrassen<F>) {
        const size_t pairs = TileHeight((m - row + 1) / 2, F::kMR);
        height = Min(2 * pairs, m - row);
        StrassenUkernel<F>(args, pairs, bytes, tile);
      }
      for (size_t side = 0; side < width; ++side) {
        use(panel + side, tile + side * 2 * F::kMR * kNR, row, height);
      }
      args.prefetch_offset = 0;
    }
  }
}

/// Calls `use(i, v0, v1)` per row of a C tile with the row's two vectors plus the bias; null: no bias.
template <typename Use>
GABION_INLINE void ForEachBiasedRow(const float* tile, size_t count, const float* bias, const Use& use) {
  const Vec b0 = bias == nullptr ? Set(0) : Load(bias);
  const Vec b1 = bias == nullptr ? Set(0) : Load(bias + kLanes);
  for (size_t i = 0; i < count; ++i) {
    use(i, Add(Load(tile + i * kNR), b0), Add(Load(tile + i * kNR + kLanes), b1));
  }
}

/// to [count, kNR] = tile + bias + residual; `residual` may be `to`. Both have the same stride.
GABION_INLINE void AddBiasAndResidual(const float* tile, size_t count, const float* bias, const float* residual,
                                      float* to, size_t stride) {
  ForEachBiasedRow(tile, count, bias, [&](size_t i, Vec v0, Vec v1) __attribute__((always_inline)) {
    Store(to + i * stride, Add(v0, Load(residual + i * stride)));
    Store(to + i * stride + kLanes, Add(v1, Load(residual + i * stride + kLanes)));
  });
}

/// Token embeddings are far apart in a table of many megabytes, and the cache misses would take longer than the rest of
/// EmbedTokens. In tokens.
constexpr size_t kPrefetchDistance = 8;
GABION_INLINE void PrefetchTokenEmbedding(const PackedEncoder& encoder, int64_t id) {
  const size_t bytes = encoder.hidden * (encoder.token_embeddings.bfloat16 ? sizeof(uint16_t) : sizeof(float));
  const char* row = static_cast<const char*>(encoder.token_embeddings.values) + static_cast<size_t>(id) * bytes;
  for (size_t at = 0; at < bytes; at += 64) {
    Prefetch<64, false>(row + at);
  }
}

/// Token, position and type embeddings, added and normalized.
GABION_NOINLINE inline void EmbedTokens(const PackedEncoder& encoder, const TokenSequence& input, float* state,
                                        size_t stride) {
  const auto [ids, tokens, types] = input;
  const size_t hidden = encoder.hidden;
  const int64_t padding = encoder.padding_id;
  int64_t counted = padding;
  for (size_t row = 0; row < Min(tokens, kPrefetchDistance); ++row) {
    PrefetchTokenEmbedding(encoder, ids[row]);
  }
  for (size_t row = 0; row < tokens; ++row) {
    if (row + kPrefetchDistance < tokens) {
      PrefetchTokenEmbedding(encoder, ids[row + kPrefetchDistance]);
    }
    const size_t offset = static_cast<size_t>(ids[row]) * hidden;
    const size_t at = padding < 0 ? row : static_cast<size_t>(ids[row] == padding ? padding : ++counted);
    const float* position = encoder.positions == nullptr ? nullptr : encoder.positions + at * hidden;
    float* to = state + row * stride;
    for (size_t i = 0; i < hidden; i += kLanes) {
      const Vec value =
          encoder.token_embeddings.bfloat16
              ? LoadPromoteBfloat16(static_cast<const uint16_t*>(encoder.token_embeddings.values) + offset + i)
              : Load(static_cast<const float*>(encoder.token_embeddings.values) + offset + i);
      Store(to + i, position == nullptr ? value : Add(value, Load(position + i)));
    }
    if (encoder.token_types != nullptr) {
      const float* type = encoder.token_types + (types == nullptr ? 0 : types[row]) * hidden;
      for (size_t i = 0; i < hidden; i += kLanes) {
        Store(to + i, Add(Load(to + i), Load(type + i)));
      }
    }
    LayerNormRow(to, hidden, encoder.norm_weight, encoder.norm_bias, encoder.epsilon, to);
  }
}

/// Rotates `count` rows of a C tile of queries or keys, biases added, by the angles of the tokens from `token` on.
GABION_NOINLINE inline void RotateRows(float* tile, size_t count, const float* bias, const float* rotary, size_t token,
                                       size_t width, size_t panel) {
  ForEachBiasedRow(tile, count, bias, [&](size_t i, Vec v0, Vec v1) __attribute__((always_inline)) {
    const float* cosines = rotary + (token + i) * width + panel * kLanes;
    const Vec cosine = Load(cosines);
    const Vec sine = Load(cosines + width / 2);
    Store(tile + i * kNR, Sub(Mul(v0, cosine), Mul(v1, sine)));
    Store(tile + i * kNR + kLanes, Add(Mul(v1, cosine), Mul(v0, sine)));
  });
}

/// Computes the queries, keys and values of one head from all rows and stores them for Attend.
template <typename F>
GABION_INLINE void ProjectHead(const PackedLayer& layer, size_t number, const MatrixA& a, size_t tokens, float* tile,
                               const AttentionOf<F>& head) {
  const PackedLinear& qkv = layer.qkv;
  const size_t panels = head.width / kNR;  // of each of the three
  for (size_t first = 0; first < tokens; first += kChunkRows) {
    const size_t count = Min(kChunkRows, tokens - first);
    Gemm<F>(qkv, 0, number * 3 * panels, 3 * panels, RowsOfA<F>(qkv, a, first), count, tile,
            [&](size_t panel, float* c, size_t row, size_t height) {
              const float* bias = qkv.bias + (number * 3 * panels + panel) * kNR;
              if (layer.rotary != nullptr && panel < 2 * panels) {
                RotateRows(c, height, bias, layer.rotary, first + row, head.width, panel % panels);
                bias = nullptr;
              }
              const size_t at = panel % panels * kNR;  // within the head's width
              ForEachBiasedRow(c, height, bias, [&](size_t i, Vec v0, Vec v1) __attribute__((always_inline)) {
                const size_t token = first + row + i;
                if (panel < panels) {
                  head.StoreQuery(token, at, v0, v1);
                } else if (panel < 2 * panels) {
                  head.StoreKey(token, at, v0, v1, c + i * kNR);  // a row of C is free once it is read
                } else {
                  head.StoreValue(token, at, v0, v1);
                }
              });
            });
  }
  head.Finish(tokens);
}

/// Gelu as exact as its use: formats that convert the result to 8 bits or bf16 take the approximation.
template <typename F>
GABION_INLINE Vec GeluFor(Vec x) {
  if constexpr (kQuantizesActivations<F> && !__is_same(F, Int16)) {
    return ApproxGelu(x);
  } else {
    return Gelu(x);
  }
}

/// A vector times its SmoothQuant scales, where the format has any.
template <typename F>
GABION_INLINE Vec ApplySmoothScales(Vec v, const float* smooth_scales, size_t at) {
  if constexpr (kUint8Activations<F> || __is_same(typename F::Activation, int16_t)) {
    return smooth_scales == nullptr ? v : Mul(v, Load(smooth_scales + at));
  } else {
    return v;
  }
}

/// Gated activation of `count` rows of a C tile into columns of the feed-forward's rows at `to`: the first half's
/// panels are activated and stored, those of the second half are multiplied with them.
template <typename F>
GABION_NOINLINE void GateRows(const PackedEncoder& encoder, bool second, const float* tile, size_t count,
                              const float* smooth_scales, float* to, size_t stride) {
  ForEachBiasedRow(tile, count, nullptr, [&](size_t i, Vec v0, Vec v1) __attribute__((always_inline)) {
    float* row = to + i * stride;
    if (second) {
      v0 = ApplySmoothScales<F>(Mul(v0, Load(row)), smooth_scales, 0);
      v1 = ApplySmoothScales<F>(Mul(v1, Load(row + kLanes)), smooth_scales, kLanes);
    } else if (encoder.feed_forward == FeedForward::kGatedSilu) {
      v0 = Silu(v0);
      v1 = Silu(v1);
    } else {
      v0 = GeluFor<F>(v0);
      v1 = GeluFor<F>(v1);
    }
    Store(row, v0);
    Store(row + kLanes, v1);
  });
}

GABION_INLINE float* AbsMaxOfLayer(const PackedEncoder& encoder, size_t index) {
  return encoder.absmax + index * InputsPerLayer(encoder.hidden, encoder.intermediate);
}

/// Calibration: updates the absmax of each column at `absmax + at`. Null: not calibrating.
GABION_INLINE void RecordAbsMax(float* absmax, size_t at, const float* rows, size_t stride, size_t count,
                                size_t columns) {
  if (absmax == nullptr) {
    return;
  }
  for (size_t row = 0; row < count; ++row) {
    for (size_t i = 0; i < columns; i += kLanes) {
      float* to = absmax + at + i;
      Store(to, Max(Load(to), Abs(Load(rows + row * stride + i))));
    }
  }
}

/// Everything of a layer after attention, for some rows: output projection, feed-forward, both layer normalizations.
template <typename F>
GABION_INLINE void FeedForwardRows(const PackedEncoder& encoder, size_t index, size_t first, size_t count,
                                   const SharedBuffers<F>& shared, const ThreadBuffers<F>& local) {
  const PackedLayer& layer = encoder.layer[index];
  const size_t hidden = encoder.hidden;
  const size_t stride = shared.stride;
  float* state = shared.state + first * stride;
  const size_t quantized_at = kQuantizesActivations<F> ? first * stride : 0;
  const size_t scales_at = kQuantizesActivations<F> ? first * ScalesPerRow<F>(layer.qkv) : 0;
  const auto to_matrix_a = [&](const PackedLinear& linear, const float* rows) {
    return ToMatrixA<F>(linear, linear.smooth_scales, rows, stride, count, shared.quantized + quantized_at,
                        shared.quantized_scales + scales_at, StrassenSumsFrom(shared.strassen_sums, first, hidden));
  };
  float* absmax = encoder.absmax == nullptr ? nullptr : AbsMaxOfLayer(encoder, index);
  const auto normalize = [&](float* from, const float* weight, const float* bias, float* to) {
    LayerNormRows({from, stride}, count, hidden, weight, bias, encoder.epsilon, {to, stride});
  };
  // Sums with the residual stream are normalized into it, or are the stream, which is then normalized for its readers.
  float* const sums = encoder.norm_first ? state : local.pre_norm;
  float* const ffn_rows = encoder.norm_first ? local.pre_norm : state;

  RecordAbsMax(absmax, hidden, shared.context + first * stride, stride, count, hidden);
  const MatrixA attended = to_matrix_a(layer.output, shared.context + first * stride);
  const size_t columns = hidden / kNR;
  Gemm<F>(layer.output, 0, 0, columns, attended, count, local.tile,
          [&](size_t panel, const float* tile, size_t row, size_t height) {
            const size_t at = panel * kNR;
            const size_t to = row * stride + at;
            AddBiasAndResidual(tile, height, layer.output.bias + at, state + to, sums + to, stride);
          });
  if (encoder.norm_first) {
    normalize(sums, layer.feed_forward_norm_weight, layer.feed_forward_norm_bias, ffn_rows);
  } else {
    normalize(sums, layer.attention_norm_weight, layer.attention_norm_bias, ffn_rows);
  }

  RecordAbsMax(absmax, 2 * hidden, ffn_rows, stride, count, hidden);
  const MatrixA ffn_input = to_matrix_a(layer.up, ffn_rows);
  const bool gated = encoder.feed_forward != FeedForward::kGelu;
  const size_t halves = gated ? 2 : 1;
  for (size_t k_block = 0; k_block < layer.down.k_blocks; ++k_block) {
    const size_t panels = layer.down.kc / kNR;
    const float* smooth_scales =
        layer.down.smooth_scales == nullptr ? nullptr : layer.down.smooth_scales + k_block * layer.down.kc;
    Gemm<F>(layer.up, 0, k_block * halves * panels, halves * panels, ffn_input, count, local.tile,
            [&](size_t panel, const float* tile, size_t row, size_t height) {
              if (gated) {
                const size_t column = panel / 2 * kNR;
                GateRows<F>(encoder, panel % 2 == 1, tile, height,
                            smooth_scales == nullptr ? nullptr : smooth_scales + column,
                            local.ffn + row * local.ffn_stride + column, local.ffn_stride);
                return;
              }
              const size_t at = panel * kNR;
              const float* bias = layer.up.bias + k_block * layer.down.kc + at;
              ForEachBiasedRow(tile, height, bias, [&](size_t i, Vec v0, Vec v1) __attribute__((always_inline)) {
                float* to = local.ffn + (row + i) * local.ffn_stride + at;
                Store(to, ApplySmoothScales<F>(GeluFor<F>(v0), smooth_scales, at));
                Store(to + kLanes, ApplySmoothScales<F>(GeluFor<F>(v1), smooth_scales, at + kLanes));
              });
            });
    RecordAbsMax(absmax, 3 * hidden + k_block * layer.down.kc, local.ffn, local.ffn_stride, count, layer.down.kc);
    const MatrixA ffn = ToMatrixA<F>(layer.down, nullptr, local.ffn, local.ffn_stride, count, local.ffn_quantized,
                                     local.ffn_scales, local.ffn_strassen_sums);
    Gemm<F>(layer.down, k_block, 0, columns, ffn, count, local.tile,
            [&](size_t panel, const float* tile, size_t row, size_t height) {
              const size_t at = panel * kNR;
              float* to = sums + row * stride + at;
              AddBiasAndResidual(tile, height, k_block == 0 ? layer.down.bias + at : nullptr,
                                 k_block == 0 ? state + row * stride + at : to, to, stride);
            });
  }
  if (!encoder.norm_first) {
    normalize(sums, layer.feed_forward_norm_weight, layer.feed_forward_norm_bias, state);
  }
}

/// The input of a layer's attention: the rows of the residual stream, or, where norms come first, `normed`.
GABION_NOINLINE inline const float* LayerInput(const PackedEncoder& encoder, const PackedLayer& layer, Rows state,
                                               size_t count, float* normed) {
  if (!encoder.norm_first) {
    return state.values;
  }
  if (layer.attention_norm_weight == nullptr) {
    // Copied, since all layers read the same buffer.
    __builtin_memcpy(normed, state.values, count * state.stride * sizeof(float));
  } else {
    LayerNormRows(state, count, encoder.hidden, layer.attention_norm_weight, layer.attention_norm_bias, encoder.epsilon,
                  {normed, state.stride});
  }
  return normed;
}

/// Rows from `first` on as the A operand of a layer's query, key and value projections.
template <typename F>
GABION_INLINE MatrixA PrepareLayerInput(const PackedEncoder& encoder, size_t index, size_t first, size_t count,
                                        const SharedBuffers<F>& shared) {
  const PackedLinear& qkv = encoder.layer[index].qkv;
  const size_t at = first * shared.stride;
  float* const normed = shared.normed == nullptr ? nullptr : shared.normed + at;
  const float* rows = LayerInput(encoder, encoder.layer[index], {shared.state + at, shared.stride}, count, normed);
  if (encoder.absmax != nullptr) {
    RecordAbsMax(AbsMaxOfLayer(encoder, index), 0, rows, shared.stride, count, encoder.hidden);
  }
  if constexpr (kQuantizesActivations<F>) {
    return ToMatrixA<F>(qkv, qkv.smooth_scales, rows, shared.stride, count, shared.quantized + first * shared.stride,
                        shared.quantized_scales + first * ScalesPerRow<F>(qkv), nullptr);
  } else {
    return ToMatrixA<F>(qkv, qkv.smooth_scales, rows, shared.stride, count, nullptr, nullptr,
                        StrassenSumsFrom(shared.strassen_sums, first, encoder.hidden));
  }
}

/// One attention head of a layer, from all rows into its columns of the context.
template <typename F>
GABION_INLINE void AttendHead(const PackedEncoder& encoder, size_t index, size_t head, const MatrixA& rows,
                              size_t tokens, const SharedBuffers<F>& shared, const ThreadBuffers<F>& local) {
  const float* biases = encoder.relative_biases == nullptr
                            ? nullptr
                            : encoder.relative_biases + head * encoder.relative_bias_stride + encoder.max_tokens - 1;
  const PackedLayer& layer = encoder.layer[index];
  ProjectHead<F>(layer, head, rows, tokens, local.tile, local.head);
  Attend(local.head, biases, layer.window, tokens, shared.context + head * local.head.width, shared.stride);
}

/// Runs `body(item, member)` for every item: on this thread alone, or on an intra-op team.
template <typename Body>
GABION_NOINLINE void RunTask(const void* body, size_t item, size_t member) {
  (*static_cast<const Body*>(body))(item, member);
}
template <typename Body>
GABION_INLINE void ParallelFor(const Team* team, size_t items, const Body& body) {
  if (team != nullptr) {
    team->parallel_for(team->context, items, RunTask<Body>, &body);
    return;
  }
  for (size_t item = 0; item < items; ++item) {
    RunTask<Body>(&body, item, 0);
  }
}

/// Divides the rows of a text into chunks: as many per team member, none above kChunkRows, starting at even rows where
/// the GEMM uses Strassen's algorithm.
class Chunks {
 public:
  GABION_INLINE Chunks(size_t tokens, size_t members, bool pairs)
      : tokens_(tokens), unit_(pairs ? 2 : 1), units_((tokens + unit_ - 1) / unit_) {
    const size_t rounds = (tokens + members * kChunkRows - 1) / (members * kChunkRows);
    count_ = Min(units_, rounds * members);
  }
  GABION_INLINE size_t count() const { return count_; }
  /// The first row of a chunk; the number of tokens for the chunk after the last.
  GABION_INLINE size_t Start(size_t chunk) const { return Min(tokens_, units_ * chunk / count_ * unit_); }

 private:
  size_t tokens_;
  size_t unit_;
  size_t units_;
  size_t count_;
};

template <typename F>
GABION_NOINLINE bool Forward(const PackedEncoder& encoder, const TokenSequence& input, void* workspace, StopCheck stop,
                             const Team* team, float* hidden) {
  const size_t tokens = input.tokens;
  const SharedBuffers<F> shared(encoder, tokens, workspace);
  const size_t local_bytes = ThreadBuffers<F>(encoder, tokens, nullptr).bytes;
  const size_t members = team == nullptr ? 1 : team->members;
  const auto local_of = [&](size_t member) {
    return ThreadBuffers<F>(encoder, tokens, static_cast<char*>(workspace) + shared.bytes + member * local_bytes);
  };
  for (size_t member = 0; member < members; ++member) {
    local_of(member).head.ClearPadding();
  }
  EmbedTokens(encoder, input, shared.state, shared.stride);
  const MatrixA rows = PrepareLayerInput<F>(encoder, 0, 0, tokens, shared);
  const Chunks chunks(tokens, members, UsesStrassen<F>(tokens));
  for (size_t index = 0; index < encoder.layers; ++index) {
    if (stop.requested(stop.context)) {
      return false;
    }
    ParallelFor(team, encoder.heads, [&](size_t head, size_t member) {
      AttendHead<F>(encoder, index, head, rows, tokens, shared, local_of(member));
    });
    ParallelFor(team, chunks.count(), [&](size_t chunk, size_t member) {
      const size_t first = chunks.Start(chunk);
      const size_t count = chunks.Start(chunk + 1) - first;
      FeedForwardRows<F>(encoder, index, first, count, shared, local_of(member));
      if (index + 1 < encoder.layers) {
        PrepareLayerInput<F>(encoder, index + 1, first, count, shared);
      }
    });
  }
  if (encoder.norm_first) {
    LayerNormRows({shared.state, shared.stride}, tokens, encoder.hidden, encoder.last_norm_weight,
                  encoder.last_norm_bias, encoder.epsilon, {hidden, encoder.hidden});
    return true;
  }
  for (size_t row = 0; row < tokens; ++row) {
    __builtin_memcpy(hidden + row * encoder.hidden, shared.state + row * shared.stride, encoder.hidden * sizeof(float));
  }
  return true;
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
