// One text through the encoder: embeddings, layers, last hidden state. No allocation.
//
// Rows go through everything that is done row by row in chunks, so that a chunk's activations stay in the second-level
// cache while the weights pass by. A text's numbers depend on its ids alone.
//
// A layer has two parts, each of which several threads may share: the heads of attention, and then chunks of rows
// through all that is behind it. A row's numbers do not depend on which rows are computed with it, beyond the neighbour
// that it is paired with in strassen.hpp: chunks are cut between pairs.
#pragma once

#include "byte_attention.hpp"
#include "strassen.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

constexpr size_t kChunkRows = 96;
template <typename F>
constexpr bool kNarrows = !__is_same(typename F::Activation, float);

/// Whether activations are bytes with a scale and a zero a group.
template <typename F>
constexpr bool kBytes = __is_same(typename F::Activation, uint8_t);

/// Scales that Narrow writes for one row.
template <typename F>
GABION_INLINE size_t ScalesOfRow(const PackedLinear& linear) {
  return kBytes<F> ? 2 * (linear.depth / linear.group) : 1;
}

/// What all threads on a text see.
template <typename F>
struct Arrays {
  using Activation = typename F::Activation;
  GABION_INLINE Arrays(const PackedEncoder& encoder, size_t tokens, void* workspace) {
    Cutter cutter(workspace);
    stride = encoder.hidden + kRowPadding;
    state = cutter.Take<float>(tokens * stride);
    context = cutter.Take<float>(tokens * stride);
    if constexpr (kNarrows<F>) {
      narrow = cutter.Take<Activation>(tokens * stride);
      narrow_scales = cutter.Take<float>(tokens * ScalesOfRow<F>(encoder.layer[0].qkv));
    }
    if (GoesInPairs<F>(tokens)) {
      sums = cutter.Take<float>(CountOfSums(tokens, encoder.hidden));
    }
    used = cutter.used();
  }

  size_t stride;
  float* state;                  ///< [tokens, hidden]: the residual stream
  float* context;                ///< [tokens, hidden]
  Activation* narrow = nullptr;  ///< [tokens, hidden] in the format's numbers
  float* narrow_scales = nullptr;
  float* sums = nullptr;  ///< of pairs of rows, where products go that way
  size_t used;
};

/// What each thread has for itself.
template <typename F>
struct OwnArrays {
  using Activation = typename F::Activation;
  GABION_INLINE OwnArrays(const PackedEncoder& encoder, size_t tokens, void* workspace)
      : OwnArrays(encoder, tokens, Cutter(workspace)) {}

  AttentionOf<F> head;
  size_t wide_stride;
  float* sum;   ///< [chunk, hidden]: before a normalisation
  float* wide;  ///< [chunk, a slice of the intermediate width]
  float* tile;
  Activation* narrow_wide = nullptr;
  float* narrow_wide_scales = nullptr;
  float* wide_sums = nullptr;
  size_t used;

 private:
  GABION_INLINE OwnArrays(const PackedEncoder& encoder, size_t tokens, Cutter cutter)
      : head(cutter, tokens, encoder.hidden / encoder.heads) {
    const size_t chunk = Smaller(tokens, kChunkRows);
    const PackedLinear& down = encoder.layer[0].down;
    wide_stride = down.depth + kRowPadding;
    sum = cutter.Take<float>(chunk * (encoder.hidden + kRowPadding));
    wide = cutter.Take<float>(chunk * wide_stride);
    tile = cutter.Take<float>(kTileFloats<F>);
    if constexpr (kNarrows<F>) {
      narrow_wide = cutter.Take<Activation>(chunk * wide_stride);
      narrow_wide_scales = cutter.Take<float>(chunk * ScalesOfRow<F>(down));
    }
    if (GoesInPairs<F>(tokens)) {
      wide_sums = cutter.Take<float>(CountOfSums(chunk, down.depth));
    }
    used = cutter.used();
  }
};

/// Rows of floats as the format's operand; narrowed into the given memory where the format needs it, times `factors`
/// (which may be null) where it takes any. With `sums`, those of pairs of rows are written there.
template <typename F>
GABION_INLINE Operand AsOperand(const PackedLinear& linear, const float* factors, const float* rows, size_t stride,
                                size_t count, typename F::Activation* narrow, float* scales, float* sums) {
  if constexpr (kNarrows<F>) {
    const size_t of_row = ScalesOfRow<F>(linear);
    for (size_t row = 0; row < count; ++row) {
      F::Narrow(rows + row * stride, factors, linear.depth, linear.group, narrow + row * stride, scales + row * of_row);
    }
    return {narrow, stride, scales, of_row};
  } else {
    if (kMayPair<F> && sums != nullptr) {
      SumPairs(rows, stride, count, linear.depth, sums);
    }
    return {rows, stride, nullptr, 0, sums};
  }
}

/// Sums of the pairs from row `first` on; null stays null.
template <typename Value>
GABION_INLINE Value* SumsFrom(Value* sums, size_t first, size_t depth) {
  return sums == nullptr ? nullptr : sums + CountOfSums(first, depth);
}

/// Rows `first…` of an operand of `linear`.
template <typename F>
GABION_INLINE Operand RowsFrom(const PackedLinear& linear, const Operand& all, size_t first) {
  const auto* values = static_cast<const typename F::Activation*>(all.values) + first * all.stride;
  return {values, all.stride, all.scales == nullptr ? nullptr : all.scales + first * all.scale_stride, all.scale_stride,
          all.sums == nullptr ? nullptr : all.sums + CountOfSums(first, linear.depth)};
}

/// The products of rows with `panels` panels of a slice from `first` on, in tiles; `use(panel, tile, first row, rows)`
/// gets each, counted from the first panel. `memory` has room for kTileFloats.
template <typename F, typename Use>
GABION_INLINE void Products(const PackedLinear& linear, size_t slice, size_t first, size_t panels, const Operand& rows,
                            size_t count, float* memory, const Use& use) {
  const size_t bytes = linear.depth * kPanel * F::kWeightBytes;
  const size_t of_group = kBytes<F> ? 2 * kPanel : kPanel;
  const bool pairs = kMayPair<F> && rows.sums != nullptr;
  TileWork work{};
  work.depth = linear.depth;
  work.group = linear.group;
  work.result = memory;
  work.result_stride = kPanel;
  for (size_t panel = 0, width = 0; panel < panels; panel += width) {
    width = pairs && panel + 1 < panels ? 2 : 1;
    const size_t number = slice * (linear.outputs / kPanel) + first + panel;
    work.panel = static_cast<const char*>(linear.panels) + number * bytes;
    work.scales =
        linear.scales == nullptr ? nullptr : linear.scales + number * (linear.depth / linear.group) * of_group;
    // The first tile's pass over a panel fetches the one that is read next, or next but one where two are read at once.
    work.ahead = pairs ? 2 * bytes : bytes;
    for (size_t row = 0, height = 0; row < count; row += height) {
      work.rows = RowsFrom<F>(linear, rows, row);
      if (width == 1) {
        height = HeightOfTile(count - row, F::kRows);
        Tiles<F>::kOf[height - 1](work);
      } else if constexpr (kMayPair<F>) {
        const size_t of_tile = HeightOfTile((count - row + 1) / 2, F::kRows);
        height = Smaller(2 * of_tile, count - row);
        PairTile<F>(work, of_tile, bytes, memory);
      }
      for (size_t side = 0; side < width; ++side) {
        use(panel + side, memory + side * 2 * F::kRows * kPanel, row, height);
      }
      work.ahead = 0;
    }
  }
}

/// to [count, kPanel] = tile + bias + from; `from` may be `to`.
GABION_INLINE void AddTile(const float* tile, size_t count, const float* bias, const float* from, size_t from_stride,
                           float* to, size_t to_stride) {
  const Floats b0 = bias == nullptr ? Splat(0) : Load(bias);
  const Floats b1 = bias == nullptr ? Splat(0) : Load(bias + kLanes);
  for (size_t i = 0; i < count; ++i) {
    const Floats v0 = Add(Load(tile + i * kPanel), b0);
    const Floats v1 = Add(Load(tile + i * kPanel + kLanes), b1);
    Store(to + i * to_stride, Add(v0, Load(from + i * from_stride)));
    Store(to + i * to_stride + kLanes, Add(v1, Load(from + i * from_stride + kLanes)));
  }
}

/// Words lie far apart in a table of many megabytes, and waiting for each would take longer than all else here.
constexpr size_t kWordsAhead = 8;
GABION_INLINE void AskForWord(const PackedEncoder& encoder, int64_t id) {
  const size_t bytes = encoder.hidden * (encoder.words.bfloat16 ? sizeof(uint16_t) : sizeof(float));
  const char* word = static_cast<const char*>(encoder.words.values) + static_cast<size_t>(id) * bytes;
  for (size_t at = 0; at < bytes; at += 64) {
    Prefetch<64, false>(word + at);
  }
}

/// Word and position vectors, added and normalised.
GABION_INLINE void EmbedTokens(const PackedEncoder& encoder, const int64_t* ids, size_t tokens, float* state,
                               size_t stride) {
  const size_t hidden = encoder.hidden;
  const int64_t padding = encoder.padding_id;
  int64_t counted = padding;
  for (size_t row = 0; row < Smaller(tokens, kWordsAhead); ++row) {
    AskForWord(encoder, ids[row]);
  }
  for (size_t row = 0; row < tokens; ++row) {
    if (row + kWordsAhead < tokens) {
      AskForWord(encoder, ids[row + kWordsAhead]);
    }
    const size_t word = static_cast<size_t>(ids[row]) * hidden;
    const size_t at = padding < 0 ? row : static_cast<size_t>(ids[row] == padding ? padding : ++counted);
    const float* position = encoder.positions + at * hidden;
    float* to = state + row * stride;
    for (size_t i = 0; i < hidden; i += kLanes) {
      const Floats value = encoder.words.bfloat16
                               ? LoadBfloat16(static_cast<const uint16_t*>(encoder.words.values) + word + i)
                               : Load(static_cast<const float*>(encoder.words.values) + word + i);
      Store(to + i, Add(value, Load(position + i)));
    }
    NormalizeRow(to, hidden, encoder.norm_weight, encoder.norm_bias, encoder.epsilon, to);
  }
}

/// Computes one head's queries, keys and values from all rows, for the head that Attend then takes.
template <typename F>
GABION_INLINE void ProjectHead(const PackedLinear& qkv, size_t number, const Operand& rows, size_t tokens,
                               float* memory, const AttentionOf<F>& head) {
  const size_t panels = head.width / kPanel;  // of each of the three
  for (size_t first = 0; first < tokens; first += kChunkRows) {
    const size_t count = Smaller(kChunkRows, tokens - first);
    Products<F>(qkv, 0, number * 3 * panels, 3 * panels, RowsFrom<F>(qkv, rows, first), count, memory,
                [&](size_t part, float* tile, size_t tile_row, size_t height) {
                  const float* bias = qkv.bias + (number * 3 * panels + part) * kPanel;
                  const size_t at = part % panels * kPanel;  // within the head's width
                  const Floats b0 = Load(bias);
                  const Floats b1 = Load(bias + kLanes);
                  for (size_t i = 0; i < height; ++i) {
                    const size_t token = first + tile_row + i;
                    float* from = tile + i * kPanel;  // free for use once it is read
                    const Floats v0 = Add(Load(from), b0);
                    const Floats v1 = Add(Load(from + kLanes), b1);
                    if (part < panels) {
                      head.PutQuery(token, at, v0, v1);
                    } else if (part < 2 * panels) {
                      head.PutKey(token, at, v0, v1, from);
                    } else {
                      head.PutValue(token, at, v0, v1);
                    }
                  }
                });
  }
  head.LayOut(tokens);
}

/// Gelu as exact as what follows: formats that round its results need no more.
template <typename F>
GABION_INLINE Floats GeluFor(Floats x) {
  if constexpr (kNarrows<F> && !__is_same(F, Int16)) {
    return RoughGelu(x);
  } else {
    return Gelu(x);
  }
}

/// A vector times its input factors, where the format has any.
template <typename F>
GABION_INLINE Floats Factored(Floats v, const float* factors, size_t at) {
  if constexpr (kBytes<F> || __is_same(typename F::Activation, int16_t)) {
    return factors == nullptr ? v : Multiply(v, Load(factors + at));
  } else {
    return v;
  }
}

GABION_INLINE float* GreatestOfLayer(const PackedEncoder& encoder, size_t index) {
  return encoder.greatest + index * InputsOfLayer(encoder.hidden, encoder.intermediate);
}

/// Keeps the greatest magnitude of each column at `greatest + at`; nothing where nobody asked for it.
GABION_INLINE void NoteGreatest(float* greatest, size_t at, const float* rows, size_t stride, size_t count,
                                size_t columns) {
  if (greatest == nullptr) {
    return;
  }
  for (size_t row = 0; row < count; ++row) {
    for (size_t i = 0; i < columns; i += kLanes) {
      float* to = greatest + at + i;
      Store(to, Greater(Load(to), Magnitude(Load(rows + row * stride + i))));
    }
  }
}

/// Everything of a layer behind the attention, for some rows: output projection, feed-forward, both normalisations.
template <typename F>
GABION_INLINE void FinishRows(const PackedEncoder& encoder, size_t index, size_t first, size_t count,
                              const Arrays<F>& arrays, const OwnArrays<F>& own) {
  const PackedLayer& layer = encoder.layer[index];
  const size_t hidden = encoder.hidden;
  const size_t stride = arrays.stride;
  float* state = arrays.state + first * stride;
  const size_t narrow_at = kNarrows<F> ? first * stride : 0;
  const size_t scales_at = kNarrows<F> ? first * ScalesOfRow<F>(layer.qkv) : 0;
  const auto operand = [&](const PackedLinear& linear, const float* rows) {
    return AsOperand<F>(linear, linear.input_factors, rows, stride, count, arrays.narrow + narrow_at,
                        arrays.narrow_scales + scales_at, SumsFrom(arrays.sums, first, hidden));
  };
  float* greatest = encoder.greatest == nullptr ? nullptr : GreatestOfLayer(encoder, index);
  const auto normalize = [&](const float* weight, const float* bias) {
    for (size_t row = 0; row < count; ++row) {
      NormalizeRow(own.sum + row * stride, hidden, weight, bias, encoder.epsilon, state + row * stride);
    }
  };

  NoteGreatest(greatest, hidden, arrays.context + first * stride, stride, count, hidden);
  const Operand attended = operand(layer.output, arrays.context + first * stride);
  const size_t columns = hidden / kPanel;
  Products<F>(layer.output, 0, 0, columns, attended, count, own.tile,
              [&](size_t panel, const float* tile, size_t row, size_t height) {
                const size_t at = panel * kPanel;
                const size_t to = row * stride + at;
                AddTile(tile, height, layer.output.bias + at, state + to, stride, own.sum + to, stride);
              });
  normalize(layer.attention_norm_weight, layer.attention_norm_bias);

  NoteGreatest(greatest, 2 * hidden, state, stride, count, hidden);
  const Operand middle = operand(layer.up, state);
  for (size_t slice = 0; slice < layer.down.slices; ++slice) {
    const size_t panels = layer.down.depth / kPanel;
    const float* factors =
        layer.down.input_factors == nullptr ? nullptr : layer.down.input_factors + slice * layer.down.depth;
    Products<F>(layer.up, 0, slice * panels, panels, middle, count, own.tile,
                [&](size_t panel, const float* tile, size_t row, size_t height) {
                  const size_t at = panel * kPanel;
                  const float* bias = layer.up.bias + slice * layer.down.depth + at;
                  const Floats b0 = Load(bias);
                  const Floats b1 = Load(bias + kLanes);
                  for (size_t i = 0; i < height; ++i) {
                    float* to = own.wide + (row + i) * own.wide_stride + at;
                    const Floats v0 = Add(Load(tile + i * kPanel), b0);
                    const Floats v1 = Add(Load(tile + i * kPanel + kLanes), b1);
                    Store(to, Factored<F>(GeluFor<F>(v0), factors, at));
                    Store(to + kLanes, Factored<F>(GeluFor<F>(v1), factors, at + kLanes));
                  }
                });
    NoteGreatest(greatest, 3 * hidden + slice * layer.down.depth, own.wide, own.wide_stride, count, layer.down.depth);
    const Operand wide = AsOperand<F>(layer.down, nullptr, own.wide, own.wide_stride, count, own.narrow_wide,
                                      own.narrow_wide_scales, own.wide_sums);
    Products<F>(layer.down, slice, 0, columns, wide, count, own.tile,
                [&](size_t panel, const float* tile, size_t row, size_t height) {
                  const size_t at = panel * kPanel;
                  float* to = own.sum + row * stride + at;
                  AddTile(tile, height, slice == 0 ? layer.down.bias + at : nullptr,
                          slice == 0 ? state + row * stride + at : to, stride, to, stride);
                });
  }
  normalize(layer.feed_forward_norm_weight, layer.feed_forward_norm_bias);
}

/// Rows `first…` in the numbers that a layer's queries, keys and values are computed from.
template <typename F>
GABION_INLINE Operand EnterLayer(const PackedEncoder& encoder, size_t index, size_t first, size_t count,
                                 const Arrays<F>& arrays) {
  const PackedLinear& qkv = encoder.layer[index].qkv;
  const float* rows = arrays.state + first * arrays.stride;
  if (encoder.greatest != nullptr) {
    NoteGreatest(GreatestOfLayer(encoder, index), 0, rows, arrays.stride, count, encoder.hidden);
  }
  if constexpr (kNarrows<F>) {
    return AsOperand<F>(qkv, qkv.input_factors, rows, arrays.stride, count, arrays.narrow + first * arrays.stride,
                        arrays.narrow_scales + first * ScalesOfRow<F>(qkv), nullptr);
  } else {
    return AsOperand<F>(qkv, qkv.input_factors, rows, arrays.stride, count, nullptr, nullptr,
                        SumsFrom(arrays.sums, first, encoder.hidden));
  }
}

/// One head of a layer, from all rows into its columns of the context.
template <typename F>
GABION_INLINE void RunHead(const PackedEncoder& encoder, size_t index, size_t head, const Operand& rows, size_t tokens,
                           const Arrays<F>& arrays, const OwnArrays<F>& own) {
  const float* biases = encoder.distance_biases == nullptr
                            ? nullptr
                            : encoder.distance_biases + head * encoder.distance_stride + encoder.longest - 1;
  ProjectHead<F>(encoder.layer[index].qkv, head, rows, tokens, own.tile, own.head);
  Attend(own.head, biases, tokens, arrays.context + head * own.head.width, arrays.stride);
}

/// Runs `body(item, member)` for every item: on this thread alone, or shared among a crew.
template <typename Body>
GABION_NOINLINE void RunItem(const void* body, size_t item, size_t member) {
  (*static_cast<const Body*>(body))(item, member);
}
template <typename Body>
GABION_INLINE void ForItems(const Crew* crew, size_t items, const Body& body) {
  if (crew != nullptr) {
    crew->share(crew->who, items, RunItem<Body>, &body);
    return;
  }
  for (size_t item = 0; item < items; ++item) {
    RunItem<Body>(&body, item, 0);
  }
}

/// Cuts a text's rows into chunks that give each member of a crew as many, none above kChunkRows, between pairs where
/// products go in pairs.
class Chunks {
 public:
  GABION_INLINE Chunks(size_t tokens, size_t members, bool pairs)
      : tokens_(tokens), unit_(pairs ? 2 : 1), units_((tokens + unit_ - 1) / unit_) {
    const size_t rounds = (tokens + members * kChunkRows - 1) / (members * kChunkRows);
    count_ = Smaller(units_, rounds * members);
  }
  GABION_INLINE size_t count() const { return count_; }
  /// The first row of a chunk; all tokens for the one behind the last.
  GABION_INLINE size_t Start(size_t chunk) const { return Smaller(tokens_, units_ * chunk / count_ * unit_); }

 private:
  size_t tokens_;
  size_t unit_;
  size_t units_;
  size_t count_;
};

template <typename F>
GABION_NOINLINE bool Forward(const PackedEncoder& encoder, const int64_t* ids, size_t tokens, void* workspace,
                             StopQuestion stop, const Crew* crew, float* hidden) {
  const Arrays<F> arrays(encoder, tokens, workspace);
  const size_t own_bytes = OwnArrays<F>(encoder, tokens, nullptr).used;
  const size_t members = crew == nullptr ? 1 : crew->members;
  const auto own_of = [&](size_t member) {
    return OwnArrays<F>(encoder, tokens, static_cast<char*>(workspace) + arrays.used + member * own_bytes);
  };
  for (size_t member = 0; member < members; ++member) {
    own_of(member).head.Clear();
  }
  EmbedTokens(encoder, ids, tokens, arrays.state, arrays.stride);
  const Operand rows = EnterLayer<F>(encoder, 0, 0, tokens, arrays);
  const Chunks chunks(tokens, members, GoesInPairs<F>(tokens));
  for (size_t index = 0; index < encoder.layers; ++index) {
    if (stop.ask(stop.who)) {
      return false;
    }
    ForItems(crew, encoder.heads, [&](size_t head, size_t member) {
      RunHead<F>(encoder, index, head, rows, tokens, arrays, own_of(member));
    });
    ForItems(crew, chunks.count(), [&](size_t chunk, size_t member) {
      const size_t first = chunks.Start(chunk);
      const size_t count = chunks.Start(chunk + 1) - first;
      FinishRows<F>(encoder, index, first, count, arrays, own_of(member));
      if (index + 1 < encoder.layers) {
        EnterLayer<F>(encoder, index + 1, first, count, arrays);
      }
    });
  }
  for (size_t row = 0; row < tokens; ++row) {
    __builtin_memcpy(hidden + row * encoder.hidden, arrays.state + row * arrays.stride, encoder.hidden * sizeof(float));
  }
  return true;
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
