// The function table of one instruction set; included last by each target_*.cpp.
#pragma once

#include "forward.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Calls `body` with a value of the format's type.
template <typename Body>
GABION_INLINE auto WithFormat(Format format, const Body& body) {
  switch (format) {
    case Format::kFloat32:
      return body(Float32{});
    case Format::kBfloat16Wide:
      return body(Bfloat16Wide{});
#ifdef GABION_TILES
    case Format::kBfloat16Dot:
      return body(Bfloat16Tiles{});
    case Format::kInt8Dot:
      return body(Int8Tiles{});
#else
    case Format::kBfloat16Dot:
      return body(Bfloat16Dot{});
#endif
    case Format::kInt16:
      return body(Int16{});
    case Format::kInt8Wide:
      return body(Int8Wide{});
#ifdef __ARM_FEATURE_MATMUL_INT8
    case Format::kInt8Matrix:
      return body(Int8Matrix{});
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
    case Format::kBfloat16Matrix:
      return body(Bfloat16Matrix{});
#endif
#endif
    default:
      break;
  }
  return body(Int8Dot{});
}

inline size_t WorkspaceBytes(const PackedEncoder& encoder, size_t tokens, size_t members) {
  return WithFormat(encoder.format, [&](auto format) {
    using F = decltype(format);
    const SharedBuffers<F> shared(encoder, tokens, nullptr);
    return shared.bytes + members * ThreadBuffers<F>(encoder, tokens, nullptr).bytes;
  });
}

inline bool Encode(const PackedEncoder& encoder, const TokenSequence& input, void* workspace, StopCheck stop,
                   const Team* team, float* hidden) {
  return WithFormat(encoder.format, [&](auto format) {
    return Forward<decltype(format)>(encoder, input, workspace, stop, team, hidden);
  });
}

template <typename F>
void RunLinear(const PackedLinear& linear, const float* x, size_t m, void* workspace, float* y) {
  Arena arena(workspace);
  auto* tile = arena.Allocate<float>(kTileFloats<F>);
  typename F::Activation* quantized = nullptr;
  float* scales = nullptr;
  float* strassen_sums = nullptr;
  const size_t k = linear.kc * linear.k_blocks;
  if (UsesStrassen<F>(m)) {
    strassen_sums = arena.Allocate<float>(StrassenSumCount(m, linear.kc));
  }
  if constexpr (kQuantizesActivations<F>) {
    quantized = arena.Allocate<typename F::Activation>(m * linear.kc);
    scales = arena.Allocate<float>(m * ScalesPerRow<F>(linear));
  }
  for (size_t k_block = 0; k_block < linear.k_blocks; ++k_block) {
    MatrixA a{x + k_block * linear.kc, k, nullptr, 0, strassen_sums};
    if (strassen_sums != nullptr) {
      FormStrassenSums(x + k_block * linear.kc, k, m, linear.kc, strassen_sums);
    }
    if constexpr (kQuantizesActivations<F>) {
      a = {quantized, linear.kc, scales, ScalesPerRow<F>(linear)};
      for (size_t row = 0; row < m; ++row) {
        const float* smooth_scales =
            linear.smooth_scales == nullptr ? nullptr : linear.smooth_scales + k_block * linear.kc;
        F::Quantize(x + row * k + k_block * linear.kc, smooth_scales, linear.kc, linear.group,
                    quantized + row * linear.kc, scales + row * ScalesPerRow<F>(linear));
      }
    }
    Gemm<F>(
        linear, k_block, 0, linear.n / kNR, a, m, tile, [&](size_t panel, const float* c, size_t row, size_t height) {
          const size_t at = panel * kNR;
          float* to = y + row * linear.n + at;
          if (k_block > 0) {
            AddBiasAndResidual(c, height, nullptr, to, to, linear.n);
            return;
          }
          ForEachBiasedRow(c, height, linear.bias + at, [&](size_t i, Vec v0, Vec v1) __attribute__((always_inline)) {
            Store(to + i * linear.n, v0);
            Store(to + i * linear.n + kLanes, v1);
          });
        });
  }
}

inline void Linear(Format format, const PackedLinear& linear, const float* x, size_t m, void* workspace, float* y) {
  WithFormat(format, [&](auto value) { RunLinear<decltype(value)>(linear, x, m, workspace, y); });
}

inline void GeluAll(float* values, size_t n) {
  for (size_t i = 0; i < n; i += kLanes) {
    Store(values + i, Gelu(Load(values + i)));
  }
}

inline void LayerNorm(float* row, size_t n, const float* weight, const float* bias, float epsilon) {
  LayerNormRow(row, n, weight, bias, epsilon, row);
}

constexpr Variant MakeVariant(const char* name, Format int8, Format bfloat16) {
  return {name, int8, bfloat16, kNR, WorkspaceBytes, Encode, Linear, GeluAll, LayerNorm};
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
