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
  size_t kept = 0;  ///< leading values of the finished vector that are kept; 0 for all
};

/// Width of a finished vector.
size_t FinishedWidth(const PoolingOptions& options, size_t width) noexcept;

/// Reduces `hidden` [tokens, width], row-major, to `vector` [width]. The order of summation is fixed: token by token.
void Pool(Pooling mode, const float* hidden, size_t tokens, size_t width, float* vector) noexcept;

/// Divides by the Euclidean length, floored at 1e-12 as torch.nn.functional.normalize does.
void NormalizeL2(float* vector, size_t width) noexcept;

/// Normalizes the vector [width] of `whole` if the options say so, and writes what is kept of it to `vector`.
void Finish(const PoolingOptions& options, float* whole, size_t width, float* vector) noexcept;

/// Throws kInvalidArgument where no token is left besides the `skipped` ones of a prompt.
void RequirePooled(size_t tokens, size_t skipped);

/// Pool, then Finish. The first `skipped` tokens, those of a prompt, are left out. Throws as
/// RequirePooled.
void PoolAndFinish(const PoolingOptions& options, const float* hidden, size_t tokens, size_t skipped, size_t width,
                   float* vector);

}  // namespace gabion
