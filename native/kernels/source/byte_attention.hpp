// Attention of one head over one text in bytes, for formats whose linear parts are bytes too.
//
// Keys share one scale a head: then what stands for zero in their bytes adds the same to all scores of a query, which
// softmax takes away again. Values have a scale a token, its logarithm added to the token's scores: a token that draws
// much attention to small values, as separators do, leaves the others their digits. Sums of shares are divided by the
// scales again.
#pragma once

#include "attention.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// The greatest magnitude of queries, keys and values in bytes.
constexpr float kByteLimit = 127.0F;
/// log2 of the greatest share, which is 255.
constexpr float kLogShareLimit = 7.99435344F;
/// What stands for zero in bytes that are not signed, before kByteOffset is taken away.
constexpr float kByteZero = 128.0F;

/// Rows of a tile. Without dot products of its own, arm64 needs the registers of two rows for what they are made of.
#if defined(__ARM_NEON) && !defined(__ARM_FEATURE_DOTPROD)
constexpr int kByteRows = kTileRows - 2;
#else
constexpr int kByteRows = kTileRows;
#endif

/// One head's projections as bytes, and room for its scores. Panels are those of Int8Dot: four values of depth side by
/// side in each column.
struct ByteHead {
  GABION_INLINE ByteHead(Cutter& cutter, size_t tokens, size_t width_of_head)
      : width(width_of_head),
        projected_stride(3 * width + kRowPadding),
        stride(width + kRowPadding),
        padded(PaddedTokens(tokens)) {
    projected = cutter.Take<float>(tokens * projected_stride);
    queries = cutter.Take<uint8_t>(tokens * stride);
    query_scales = cutter.Take<float>(tokens);
    keys = cutter.Take<uint8_t>(padded * width);
    values = cutter.Take<uint8_t>(padded * width);
    value_logs = cutter.Take<float>(padded);
    inverses = cutter.Take<float>(padded);
    starts = cutter.Take<int32_t>(width);
    scores = cutter.Take<float>(kByteRows * (padded + kPanel));
    shares = cutter.Take<uint8_t>(kByteRows * (padded + kPanel));
  }

  /// What is beyond the last token is computed with and then ignored.
  GABION_INLINE void Clear() const {
    __builtin_memset(keys, 0, padded * width);
    __builtin_memset(value_logs, 0, padded * sizeof(float));
    __builtin_memset(inverses, 0, padded * sizeof(float));
  }

  // kPanel of a token's numbers, from `at` within the width on.
  GABION_INLINE void PutQuery(size_t token, size_t at, Floats v0, Floats v1) const {
    StoreRow(projected + token * projected_stride + at, v0, v1);
  }
  GABION_INLINE void PutKey(size_t token, size_t at, Floats v0, Floats v1, float* /*room*/) const {
    PutQuery(token, width + at, v0, v1);
  }
  GABION_INLINE void PutValue(size_t token, size_t at, Floats v0, Floats v1) const {
    PutQuery(token, 2 * width + at, v0, v1);
  }
  /// Makes bytes of what was put.
  GABION_INLINE void LayOut(size_t tokens) const;

  size_t width;
  size_t projected_stride;
  size_t stride;
  size_t padded;
  float* projected;  ///< [tokens, projected_stride]: queries, keys and values
  uint8_t* queries;  ///< [tokens, stride], signed
  float* query_scales;
  uint8_t* keys;      ///< panels of kPanel tokens, `width` deep
  uint8_t* values;    ///< panels of kPanel of the width, as many tokens deep as are padded; signed
  float* value_logs;  ///< [padded]: log2 of the scale of each token's values
  float* inverses;    ///< [padded]: 1 / that scale
  int32_t* starts;    ///< [width]: what makes up for kByteOffset in the shares
  float* scores;      ///< kByteRows rows of padded + kPanel
  uint8_t* shares;    ///< the scores' softmax
};

/// log2 of a normal positive number, within 1.3e-4.
GABION_INLINE float LogarithmOf(float x) {
  uint32_t bits = 0;
  __builtin_memcpy(&bits, &x, sizeof bits);
  const auto exponent = static_cast<float>(static_cast<int>(bits >> 23U) - 127);
  bits = (bits & 0x7fffffU) | 0x3f800000U;
  float part = 0;
  __builtin_memcpy(&part, &bits, sizeof part);
  // Minimax polynomial of log2 on [1, 2] for the absolute error, exact at both ends.
  float sum = -0.082130365F * part + 0.6497097F;
  sum = sum * part - 2.1341302F;
  sum = sum * part + 4.0863786F;
  return exponent + (sum * part - 2.5198276F);
}

/// A vector of a token's queries (0), keys (1) or values (2).
GABION_INLINE Floats Projected(const ByteHead& head, size_t token, size_t part, size_t at) {
  return Load(head.projected + token * head.projected_stride + part * head.width + at);
}

/// What makes numbers up to `top` bytes up to kByteLimit.
GABION_INLINE float ByteFactor(float top) { return top > kTiny ? kByteLimit / top : 0; }

/// The greatest magnitude of each token's queries, into query_scales, and values, into inverses; returns that of all
/// keys. NaN if any number is not finite.
GABION_INLINE float MeasureHead(const ByteHead& head, size_t tokens) {
  Floats of_keys = Splat(0);
  Floats poison = Splat(0);
  for (size_t token = 0; token < tokens; ++token) {
    Floats of_queries = Splat(0);
    Floats of_values = Splat(0);
    for (size_t at = 0; at < head.width; at += kLanes) {
      const Floats query = Projected(head, token, 0, at);
      const Floats key = Projected(head, token, 1, at);
      const Floats value = Projected(head, token, 2, at);
      of_queries = Greater(of_queries, Magnitude(query));
      of_keys = Greater(of_keys, Magnitude(key));
      of_values = Greater(of_values, Magnitude(value));
      poison = MultiplyAdd(query, Splat(0), poison);
      poison = MultiplyAdd(key, Splat(0), poison);
      poison = MultiplyAdd(value, Splat(0), poison);
    }
    GreatestOfBoth(of_queries, of_values, head.query_scales + token, head.inverses + token);
  }
  return GreatestOf(of_keys) + SumOf(poison);
}

/// Queries as signed bytes. Their scales take in that of the keys and what softmax needs.
GABION_INLINE void PutQueries(const ByteHead& head, size_t tokens, float key_top) {
  // Softmax is computed with powers of two.
  const float scale =
      key_top / (kByteLimit * kByteLimit) * 1.44269504F / __builtin_sqrtf(static_cast<float>(head.width));
  for (size_t token = 0; token < tokens; ++token) {
    const Floats factor = Splat(ByteFactor(head.query_scales[token]));
    for (size_t at = 0; at < head.width; at += kLanes) {
      StoreInt8(head.queries + token * head.stride + at, Multiply(Projected(head, token, 0, at), factor));
    }
    head.query_scales[token] *= scale;
  }
}

/// Keys as bytes without a sign.
GABION_INLINE void PutKeys(const ByteHead& head, size_t tokens, float top) {
  const Floats factor = Splat(ByteFactor(top));
  for (size_t token = 0; token < tokens; ++token) {
    uint8_t* panel = head.keys + token / kPanel * kPanel * head.width + token % kPanel * 4;
    for (size_t at = 0; at < head.width; at += kLanes, panel += kLanes * kPanel) {
      uint8_t bytes[kLanes];
      StoreUint8(bytes, MultiplyAdd(Projected(head, token, 1, at), factor, Splat(kByteZero)));
      for (size_t i = 0; i < kLanes; i += 4) {
        __builtin_memcpy(panel + i * kPanel, bytes + i, 4);
      }
    }
  }
}

/// Values as signed bytes with a scale a token.
GABION_INLINE void PutValues(const ByteHead& head, size_t tokens) {
  for (size_t token = 0; token < tokens; ++token) {
    const float top = Larger(head.inverses[token], kTiny);
    head.value_logs[token] = LogarithmOf(top);
    head.inverses[token] = 1.0F / top;
  }
  for (size_t first = 0; first < tokens; first += 4) {
    for (size_t at = 0; at < head.width; at += kLanes) {
      const auto of = [&](size_t token) __attribute__((always_inline)) {
        return token < tokens ? Multiply(Projected(head, token, 2, at), Splat(kByteLimit * head.inverses[token]))
                              : Splat(0);
      };
      StoreFourInt8(head.values + at / kPanel * kPanel * head.padded + first * kPanel + at % kPanel * 4, of(first),
                    of(first + 1), of(first + 2), of(first + 3));
    }
  }
}

/// What makes up for shares that are stored less kByteOffset: so many times each column's sum of values.
GABION_INLINE void PutStarts(const ByteHead& head, size_t tokens) {
  if constexpr (kByteOffset != 0) {
    const uint8_t half[4] = {kByteOffset / 2, kByteOffset / 2, kByteOffset / 2, kByteOffset / 2};
    for (size_t at = 0; at < head.width; at += kLanes) {
      const auto* values =
          reinterpret_cast<const int8_t*>(head.values) + at / kPanel * kPanel * head.padded + at % kPanel * 4;
      Ints sum = NoInts();
      for (size_t token = 0; token < tokens; token += 4, values += 4 * kPanel) {
        const Ints v = LoadByteWeights(values);
        sum = DotBytes(DotBytes(sum, SplatBytes(half), v), SplatBytes(half), v);
      }
      StoreInts(head.starts + at, sum);
    }
  }
}

GABION_INLINE void ByteHead::LayOut(size_t tokens) const {
  const float key_top = MeasureHead(*this, tokens);
  PutQueries(*this, tokens, key_top);
  PutKeys(*this, tokens, key_top);
  PutValues(*this, tokens);
  PutStarts(*this, tokens);
}

/// Adds a tile's products to its sums. Only one side has signs: the rows, or the panel.
template <int rows, bool signed_rows>
GABION_INLINE void AddBytes(const TileWork& work, Ints (&sum)[rows][2]) {
  const auto* x = static_cast<const uint8_t*>(work.rows.values);
  const auto* w = static_cast<const int8_t*>(work.panel);
  const size_t stride = work.rows.stride;
  for (size_t left = work.depth / 4; left > 0; --left, x += 4, w += 4 * kPanel) {
    const Ints w0 = LoadByteWeights(w);
    const Ints w1 = LoadByteWeights(w + 2 * kPanel);
    Repeat<rows>(GABION_EACH {
      constexpr int kRow = decltype(index)::value;
      const Ints a = SplatBytes(x + kRow * stride);
      sum[kRow][0] = signed_rows ? DotBytes(sum[kRow][0], w0, a) : DotBytes(sum[kRow][0], a, w0);
      sum[kRow][1] = signed_rows ? DotBytes(sum[kRow][1], w1, a) : DotBytes(sum[kRow][1], a, w1);
      Hold(sum[kRow][0], sum[kRow][1]);
    });
  }
}

/// Queries times a panel of keys: scale of the row · sum + logarithm of the column, at `work.scales`.
struct ByteScores {
  static constexpr int kRows = kByteRows;

  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    Ints sum[rows][2];
    Repeat<rows>(GABION_EACH { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = NoInts(); });
    AddBytes<rows, true>(work, sum);
    const Floats log0 = Load(work.scales);
    const Floats log1 = Load(work.scales + kLanes);
    Repeat<rows>(GABION_EACH {
      constexpr int kRow = decltype(index)::value;
      float* to = work.result + kRow * work.result_stride;
      const Floats scale = Splat(work.rows.scales[kRow]);
      Store(to, MultiplyAdd(ToFloats(sum[kRow][0]), scale, log0));
      Store(to + kLanes, MultiplyAdd(ToFloats(sum[kRow][1]), scale, log1));
    });
  }
};

/// Shares times a panel of values: scale of the row · sum. Sums start with the words at `work.scales`.
struct ByteMix {
  static constexpr int kRows = kByteRows;

  template <int rows>
  static GABION_NOINLINE void Tile(const TileWork& work) {
    Ints sum[rows][2];
    Repeat<rows>(GABION_EACH {
      constexpr int kRow = decltype(index)::value;
      sum[kRow][0] = kByteOffset == 0 ? NoInts() : LoadInts(work.scales);
      sum[kRow][1] = kByteOffset == 0 ? NoInts() : LoadInts(work.scales + kLanes);
    });
    AddBytes<rows, false>(work, sum);
    Repeat<rows>(GABION_EACH {
      constexpr int kRow = decltype(index)::value;
      float* to = work.result + kRow * work.result_stride;
      const Floats scale = Splat(work.rows.scales[kRow]);
      Store(to, Multiply(ToFloats(sum[kRow][0]), scale));
      Store(to + kLanes, Multiply(ToFloats(sum[kRow][1]), scale));
    });
  }
};

/// Writes 255 · 2^(score - greatest) of a row as bytes, zeros up to a whole step behind its end, and returns
/// the sum of these powers, each times the inverse of its token's scale. Lanes of scores beyond the tokens may hold
/// anything.
GABION_INLINE float SharesOfRow(const float* scores, const float* inverses, size_t tokens, uint8_t* shares) {
  const size_t whole = tokens / kLanes * kLanes;
  const int rest = static_cast<int>(tokens - whole);
  const Floats top = Splat(GreatestOfRow(scores, tokens) - kLogShareLimit);
  Floats sum = Splat(0);
  for (size_t i = 0; i < whole; i += kLanes) {
    const Floats power = RoughPowerOf2(Subtract(Load(scores + i), top));
    sum = MultiplyAdd(power, Load(inverses + i), sum);
    StoreUint8(shares + i, power);
  }
  if (rest > 0) {
    const Floats power = KeepFirst(RoughPowerOf2(Subtract(Load(scores + whole), top)), rest, Splat(0));
    sum = MultiplyAdd(power, KeepFirst(Load(inverses + whole), rest, Splat(0)), sum);
    StoreUint8(shares + whole, power);
  }
  return SumOf(sum);
}

GABION_INLINE void Attend(const ByteHead& head, const float* distance_biases, size_t tokens, float* context,
                          size_t context_stride) {
  float* scores = head.scores;
  uint8_t* shares = head.shares;
  const size_t row_stride = head.padded + kPanel;
  for (size_t row = 0, count = 0; row < tokens; row += count) {
    count = HeightOfTile(tokens - row, kByteRows);
    TileWork work{};
    work.rows = {head.queries + row * head.stride, head.stride, head.query_scales + row, 1};
    work.depth = head.width;
    work.result_stride = row_stride;
    for (size_t key = 0; key < head.padded; key += kPanel) {
      work.panel = head.keys + key * head.width;
      work.scales = head.value_logs + key;
      work.result = scores + key;
      Tiles<ByteScores>::kOf[count - 1](work);
    }
    AddBiases(distance_biases, row, count, head.padded, scores, row_stride);
    float factors[kByteRows];
    for (size_t i = 0; i < count; ++i) {
      const float sum = SharesOfRow(scores + i * row_stride, head.inverses, tokens, shares + i * row_stride);
      factors[i] = 1.0F / (kByteLimit * sum);
    }
    work.rows = {shares, row_stride, factors, 1};
    work.depth = (tokens + 3) / 4 * 4;
    work.result_stride = context_stride;
    for (size_t at = 0; at < head.width; at += kPanel) {
      work.panel = head.values + at * head.padded;
      work.scales = reinterpret_cast<const float*>(head.starts + at);
      work.result = context + row * context_stride + at;
      Tiles<ByteMix>::kOf[count - 1](work);
    }
  }
}

/// The attention that goes with the linear parts of a format: in bytes where these are, in bf16 where they round
/// activations to it and its products are native.
template <typename F, typename Activation = typename F::Activation>
struct AttentionFor {
  using Type = Head<Float32>;
};
template <typename F>
struct AttentionFor<F, uint8_t> {
  using Type = ByteHead;
};
#if defined(__AVX512BF16__) || defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
template <typename F>
struct AttentionFor<F, uint16_t> {
  using Type = Head<Bfloat16Dot>;
};
#endif
template <typename F>
using AttentionOf = typename AttentionFor<F>::Type;

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
