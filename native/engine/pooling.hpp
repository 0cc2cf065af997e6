// Token vectors to one text vector: pooling and L2 normalization, as the model's folder says. Plain functions on caller
// memory.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace gabion {

/// The pooling modes of sentence-transformers' `1_Pooling/config.json`, without padding to mask (texts run unpadded).
enum class Pooling { kMean, kCls, kMax, kMeanSqrtLength, kLastToken };

/// The mode that `1_Pooling/config.json` calls so; none for an unknown name.
std::optional<Pooling> PoolingNamed(std::string_view name) noexcept;

/// What a session does with token vectors.
struct PoolingOptions {
  Pooling mode = Pooling::kMean;
  bool normalize = true;
};

/// Reduces `hidden` [tokens, width], row-major, to `vector` [width]. The order of summation is fixed: token by token.
void Pool(Pooling mode, const float* hidden, size_t tokens, size_t width, float* vector) noexcept;

/// Divides by the Euclidean length, floored at 1e-12 as torch.nn.functional.normalize does.
void NormalizeL2(float* vector, size_t width) noexcept;

/// Pool, then NormalizeL2 if the options say so.
void PoolAndNormalize(const PoolingOptions& options, const float* hidden, size_t tokens, size_t width,
                      float* vector) noexcept;

}  // namespace gabion
