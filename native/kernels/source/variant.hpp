// The table of one instruction set's functions; included last by each target's file.
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
    const Arrays<F> shared(encoder, tokens, nullptr);
    return shared.used + members * OwnArrays<F>(encoder, tokens, nullptr).used;
  });
}

inline bool Encode(const PackedEncoder& encoder, const int64_t* ids, size_t tokens, void* workspace, StopQuestion stop,
                   const Crew* crew, float* hidden) {
  return WithFormat(encoder.format, [&](auto format) {
    return Forward<decltype(format)>(encoder, ids, tokens, workspace, stop, crew, hidden);
  });
}

template <typename F>
void RunLinear(const PackedLinear& linear, const float* x, size_t rows, void* workspace, float* y) {
  Cutter cutter(workspace);
  auto* tile = cutter.Take<float>(kTileFloats<F>);
  typename F::Activation* narrow = nullptr;
  float* scales = nullptr;
  float* sums = nullptr;
  const size_t inputs = linear.depth * linear.slices;
  if (GoesInPairs<F>(rows)) {
    sums = cutter.Take<float>(CountOfSums(rows, linear.depth));
  }
  if constexpr (kNarrows<F>) {
    narrow = cutter.Take<typename F::Activation>(rows * linear.depth);
    scales = cutter.Take<float>(rows * ScalesOfRow<F>(linear));
  }
  for (size_t slice = 0; slice < linear.slices; ++slice) {
    Operand operand{x + slice * linear.depth, inputs, nullptr, 0, sums};
    if (sums != nullptr) {
      SumPairs(x + slice * linear.depth, inputs, rows, linear.depth, sums);
    }
    if constexpr (kNarrows<F>) {
      operand = {narrow, linear.depth, scales, ScalesOfRow<F>(linear)};
      for (size_t row = 0; row < rows; ++row) {
        const float* factors = linear.input_factors == nullptr ? nullptr : linear.input_factors + slice * linear.depth;
        F::Narrow(x + row * inputs + slice * linear.depth, factors, linear.depth, linear.group,
                  narrow + row * linear.depth, scales + row * ScalesOfRow<F>(linear));
      }
    }
    Products<F>(linear, slice, 0, linear.outputs / kPanel, operand, rows, tile,
                [&](size_t panel, const float* result, size_t row, size_t height) {
                  const size_t at = panel * kPanel;
                  float* to = y + row * linear.outputs + at;
                  if (slice > 0) {
                    AddTile(result, height, nullptr, to, linear.outputs, to, linear.outputs);
                    return;
                  }
                  for (size_t i = 0; i < height; ++i) {
                    Store(to + i * linear.outputs, Add(Load(result + i * kPanel), Load(linear.bias + at)));
                    Store(to + i * linear.outputs + kLanes,
                          Add(Load(result + i * kPanel + kLanes), Load(linear.bias + at + kLanes)));
                  }
                });
  }
}

inline void Linear(Format format, const PackedLinear& linear, const float* x, size_t rows, void* workspace, float* y) {
  WithFormat(format, [&](auto value) { RunLinear<decltype(value)>(linear, x, rows, workspace, y); });
}

inline void GeluOfAll(float* values, size_t n) {
  for (size_t i = 0; i < n; i += kLanes) {
    Store(values + i, Gelu(Load(values + i)));
  }
}

inline void LayerNorm(float* row, size_t n, const float* weight, const float* bias, float epsilon) {
  NormalizeRow(row, n, weight, bias, epsilon, row);
}

constexpr Variant MakeVariant(const char* name, Format int8, Format bfloat16) {
  return {name, int8, bfloat16, kPanel, WorkspaceBytes, Encode, Linear, GeluOfAll, LayerNorm};
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
