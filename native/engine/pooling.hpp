// Token vectors to one text vector: pooling and L2 normalisation. Plain functions on caller memory.
#pragma once

#include <cstddef>

namespace gabion {

/// The pooling modes of sentence-transformers' `1_Pooling/config.json`, without padding to mask (texts run unpadded).
enum class Pooling { kMean, kCls, kMax, kMeanSqrtLength, kLastToken };

/// Reduces `hidden` [tokens, width], row-major, to `output` [width]. The order of summation is fixed: token by token.
void Pool(Pooling mode, const float* hidden, size_t tokens, size_t width, float* output) noexcept;

/// Divides by the Euclidean length, floored at 1e-12 as torch.nn.functional.normalize does.
void NormalizeL2(float* vector, size_t width) noexcept;

}  // namespace gabion
