// The GEMM microkernel of every number format: C[MR×NR] from up to MR rows of A and one packed panel of B.
//
// The loops over rows are unrolled by Unroll, and each row's accumulators pass through OptimizationBarrier: otherwise
// compilers move the loads of all rows to the top of the loop, where they run out of registers.
#pragma once

#include "../packed.hpp"
#include "row_ops.hpp"

namespace gabion::kernels {
namespace GABION_VARIANT {

/// Columns per panel: two vectors.
constexpr size_t kNR = 2 * kLanes;

/// Rows of A in a format's element type.
struct MatrixA {
  const void* values;
  size_t stride;        ///< in values
  const float* scales;  ///< 16-bit activations: one per row; 8-bit: pairs of scale and zero point, one per group
  size_t scale_stride;
  const float* strassen_sums = nullptr;  ///< the rows' FormStrassenSums, where the GEMM uses Strassen's algorithm
};

/// C[MR×NR] = A[MR×K] · B[K×NR].
struct UkernelArgs {
  MatrixA a;
  const void* b;          ///< a packed panel
  const float* b_scales;  ///< of the panel
  size_t k;
  size_t group;
  size_t prefetch_offset;  ///< bytes from the panel to what is prefetched while it is read
  size_t second_block;     ///< BlockSum: bytes from the panel to the other block
  float* c;
  size_t ldc;
};

template <int mr>
GABION_INLINE void StoreAccumulators(const UkernelArgs& args, const Vec (&sum)[mr][2]) {
  Unroll<mr>(GABION_UNROLL_BODY {
    constexpr int kRow = decltype(index)::value;
    Store(args.c + kRow * args.ldc, sum[kRow][0]);
    Store(args.c + kRow * args.ldc + kLanes, sum[kRow][1]);
  });
}

/// B operand of one step of K of a float microkernel: the two vectors of the panel or, with a sign, their sum with or
/// difference from those of another block.
template <typename F, int sign>
struct FloatWeights {
  /// Parts of one or two instructions each.
  static constexpr int kParts = sign == 0 ? 2 : 6;

  Vec left;
  Vec right;
  Vec other_left;
  Vec other_right;

  /// Executes parts `from…to` for the step at `w`.
  template <int from, int to>
  GABION_INLINE void Form(const char* w, size_t second_block) {
    if constexpr (from < to && from < kParts) {
      if constexpr (from == 0) {
        Assign(left, F::LoadLeft(w));
      } else if constexpr (from == 1) {
        Assign(right, F::LoadRight(w));
      } else if constexpr (from == 2) {
        Assign(other_left, F::LoadLeft(w + second_block));
      } else if constexpr (from == 3) {
        Assign(other_right, F::LoadRight(w + second_block));
      } else if constexpr (from == 4) {
        Assign(left, sign > 0 ? Add(left, other_left) : Sub(left, other_left));
      } else {
        Assign(right, sign > 0 ? Add(right, other_right) : Sub(right, other_right));
      }
      Form<from + 1, to>(w, second_block);
    }
  }

 private:
  static GABION_INLINE void Assign(Vec& part, Vec value) {
    part = value;
    if constexpr (kPipelinesWeights || sign != 0) {
      OptimizationBarrier(part);
    }
  }
};

/// The float microkernel over FloatWeights<F, sign>. Given enough registers, the weights of a step are formed one part
/// at a time between the multiply-adds of the previous step: formed together they occupy the multipliers' ports, which
/// costs sums of bf16 weights 10 %.
template <typename F, int mr, int sign>
GABION_INLINE void FloatUkernel(const UkernelArgs& args) {
  using Weights = FloatWeights<F, sign>;
  constexpr int kParts = Weights::kParts;
  constexpr bool kPipelined = kPipelinesWeights && (sign != 0 || F::kWeightBytes == 2);
  constexpr int kStep = kNR * F::kWeightBytes;
  Vec sum[mr][2];
  Unroll<mr>(GABION_UNROLL_BODY { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = Set(0); });
  const auto* x = static_cast<const float*>(args.a.values);
  const auto* w = static_cast<const char*>(args.b);
  const size_t stride = args.a.stride;
  const size_t prefetch_offset = args.prefetch_offset;
  const size_t second_block = args.second_block;
  Weights next;
  if constexpr (kPipelined) {
    next.template Form<0, kParts>(w, second_block);
  }
  for (size_t left = args.k; left > 0; --left, ++x) {
    if constexpr (!kPipelined) {
      next.template Form<0, kParts>(w, second_block);
    }
    const Vec w0 = next.left;
    const Vec w1 = next.right;
    Prefetch<kStep, false>(w + prefetch_offset);
    w += kPipelined && left == 1 ? 0 : kStep;  // never reads beyond the end
    Unroll<mr>(GABION_UNROLL_BODY {
      constexpr int kRow = decltype(index)::value;
      const Vec a = Set(x[kRow * stride]);
      sum[kRow][0] = MulAdd(a, w0, sum[kRow][0]);
      sum[kRow][1] = MulAdd(a, w1, sum[kRow][1]);
      OptimizationBarrier(sum[kRow][0], sum[kRow][1]);
      if constexpr (kPipelined) {
        next.template Form<kRow, kRow + 1 == mr ? kParts : kRow + 1>(w, second_block);
      }
    });
  }
  StoreAccumulators<mr>(args, sum);
}

struct Float32 {
  using Activation = float;
  static constexpr int kMR = kVectorMR;
  static constexpr size_t kWeightBytes = 4;

  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    FloatUkernel<Float32, mr, 0>(args);
  }

  /// The two vectors of one step of K.
  static GABION_INLINE Vec LoadLeft(const char* from) { return Load(reinterpret_cast<const float*>(from)); }
  static GABION_INLINE Vec LoadRight(const char* from) { return Load(reinterpret_cast<const float*>(from) + kLanes); }
};

struct Bfloat16Wide {
  using Activation = float;
  static constexpr int kMR = kVectorMR;
  static constexpr size_t kWeightBytes = 2;

  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    FloatUkernel<Bfloat16Wide, mr, 0>(args);
  }

  static GABION_INLINE Vec LoadLeft(const char* from) { return PromoteEvenBfloat16(LoadI32(from)); }
  static GABION_INLINE Vec LoadRight(const char* from) { return PromoteOddBfloat16(LoadI32(from)); }
};

struct Bfloat16Dot {
  using Activation = uint16_t;
  static constexpr int kMR = kVectorMR;
  static constexpr size_t kWeightBytes = 2;

  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    Vec sum[mr][2];
    Unroll<mr>(GABION_UNROLL_BODY { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = Set(0); });
    const auto* x = static_cast<const uint16_t*>(args.a.values);
    const auto* w = static_cast<const uint16_t*>(args.b);
    const size_t stride = args.a.stride;
    const size_t prefetch_offset = args.prefetch_offset;
    for (size_t left = args.k / 2; left > 0; --left, x += 2, w += 2 * kNR) {
      const VecI32 w0 = LoadI32(w);
      const VecI32 w1 = LoadI32(w + kNR);
      Prefetch<2 * kNR * sizeof(uint16_t), false>(reinterpret_cast<const char*>(w) + prefetch_offset);
      Unroll<mr>(GABION_UNROLL_BODY {
        constexpr int kRow = decltype(index)::value;
        const VecI32 a = Broadcast32(x + kRow * stride);
        sum[kRow][0] = DotBfloat16(sum[kRow][0], a, w0);
        sum[kRow][1] = DotBfloat16(sum[kRow][1], a, w1);
        OptimizationBarrier(sum[kRow][0], sum[kRow][1]);
      });
    }
    StoreAccumulators<mr>(args, sum);
  }

  static GABION_INLINE void Quantize(const float* row, const float* /*smooth_scales*/, size_t n, size_t /*group*/,
                                     uint16_t* to, float* /*scales*/) {
    for (size_t i = 0; i < n; i += kLanes) {
      StoreBfloat16(to + i, Load(row + i));
    }
  }
};

/// Dequantizes the integer sums of a group into C: C += (column scale · row scale) · sum. The `first` group starts C.
template <int mr>
GABION_INLINE void AccumulateGroup(const UkernelArgs& args, const VecI32 (&sum)[mr][2], const float* scales,
                                   bool first) {
  const Vec s0 = Load(scales);
  const Vec s1 = Load(scales + kLanes);
  Unroll<mr>(GABION_UNROLL_BODY {
    constexpr int kRow = decltype(index)::value;
    float* to = args.c + kRow * args.ldc;
    const Vec row_scale = Set(args.a.scales[kRow * args.a.scale_stride]);
    const Vec before0 = first ? Set(0) : Load(to);
    const Vec before1 = first ? Set(0) : Load(to + kLanes);
    Store(to, MulAdd(ConvertToF32(sum[kRow][0]), Mul(s0, row_scale), before0));
    Store(to + kLanes, MulAdd(ConvertToF32(sum[kRow][1]), Mul(s1, row_scale), before1));
  });
}

/// 16-bit activations with weights of 16 bits, or of 8 bits that are promoted when loaded.
template <typename Weight, int limit>
struct Integer16 {
  using Activation = int16_t;
  static constexpr int kMR = kVectorMR;
  static constexpr size_t kWeightBytes = sizeof(Weight);

  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    const auto* x = static_cast<const int16_t*>(args.a.values);
    const auto* w = static_cast<const Weight*>(args.b);
    const float* scales = args.b_scales;
    const size_t stride = args.a.stride;
    const size_t prefetch_offset = args.prefetch_offset;
    for (size_t done = 0; done < args.k; done += args.group, scales += kNR) {
      VecI32 sum[mr][2];
      Unroll<mr>(GABION_UNROLL_BODY { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = ZeroI32(); });
      for (size_t left = args.group / 2; left > 0; --left, x += 2, w += 2 * kNR) {
        const VecI32 w0 = LoadWeights(w);
        const VecI32 w1 = LoadWeights(w + kNR);
        Prefetch<2 * kNR * sizeof(Weight), sizeof(Weight) == 1>(reinterpret_cast<const char*>(w) + prefetch_offset);
        Unroll<mr>(GABION_UNROLL_BODY {
          constexpr int kRow = decltype(index)::value;
          const VecI32 a = Broadcast32(x + kRow * stride);
          sum[kRow][0] = DotInt16(sum[kRow][0], a, w0);
          sum[kRow][1] = DotInt16(sum[kRow][1], a, w1);
          OptimizationBarrier(sum[kRow][0], sum[kRow][1]);
        });
      }
      AccumulateGroup<mr>(args, sum, scales, done == 0);
    }
  }

  static GABION_INLINE void Quantize(const float* row, const float* smooth_scales, size_t n, size_t /*group*/,
                                     int16_t* to, float* scales) {
    *scales = QuantizeRowToInt16(row, smooth_scales, n, limit, to);
  }

 private:
  static GABION_INLINE VecI32 LoadWeights(const int16_t* from) { return LoadI32(from); }
  static GABION_INLINE VecI32 LoadWeights(const int8_t* from) { return LoadPromoteInt8(from); }
};
using Int16 = Integer16<int16_t, kInt16Limit>;
using Int8Wide = Integer16<int8_t, kInt8WideLimit>;

/// Dequantized sum of a group before the row scale: column scale · sum - zero point · compensation.
GABION_INLINE Vec SubtractZeroPoint(VecI32 sum, Vec zero_point, const float* scales) {
  return NegMulAdd(zero_point, Load(scales + kNR), Mul(ConvertToF32(sum), Load(scales)));
}

struct Int8Dot {
  using Activation = uint8_t;
  static constexpr size_t kWeightBytes = 1;
#if defined(__AVX512F__)
  /// Half of the other formats' MR, so that integer and float accumulators all fit into registers.
  static constexpr int kMR = kVectorMR / 2;
  static constexpr bool kTotalsInRegisters = true;
#else
  static constexpr int kMR = kVectorMR;
  static constexpr bool kTotalsInRegisters = false;
#endif

  template <int mr>
  static GABION_NOINLINE void Ukernel(const UkernelArgs& args) {
    const auto* x = static_cast<const uint8_t*>(args.a.values);
    const auto* w = static_cast<const int8_t*>(args.b);
    const float* scales = args.b_scales;
    const float* row_scales = args.a.scales;
    const size_t stride = args.a.stride;
    const size_t prefetch_offset = args.prefetch_offset;
    Vec total[mr][2];
    Unroll<mr>(GABION_UNROLL_BODY { total[decltype(index)::value][0] = total[decltype(index)::value][1] = Set(0); });
    for (size_t done = 0; done < args.k; done += args.group, scales += 2 * kNR, row_scales += 2) {
      VecI32 sum[mr][2];
      Unroll<mr>(GABION_UNROLL_BODY { sum[decltype(index)::value][0] = sum[decltype(index)::value][1] = ZeroI32(); });
      for (size_t left = args.group / 4; left > 0; --left, x += 4, w += 4 * kNR) {
        const VecI32 w0 = LoadByteWeights(w);
        const VecI32 w1 = LoadByteWeights(w + 2 * kNR);
        Prefetch<4 * kNR, false>(reinterpret_cast<const char*>(w) + prefetch_offset);
        Unroll<mr>(GABION_UNROLL_BODY {
          constexpr int kRow = decltype(index)::value;
          const VecI32 a = BroadcastBytes4(x + kRow * stride);
          sum[kRow][0] = DotBytes(sum[kRow][0], a, w0);
          sum[kRow][1] = DotBytes(sum[kRow][1], a, w1);
          OptimizationBarrier(sum[kRow][0], sum[kRow][1]);
        });
      }
      const bool first = done == 0;
      Unroll<mr>(GABION_UNROLL_BODY {
        constexpr int kRow = decltype(index)::value;
        const float* quantization = row_scales + kRow * args.a.scale_stride;
        const Vec scale = Set(quantization[0]);
        const Vec zero_point = Set(quantization[1]);
        Unroll<2>([&](auto half) __attribute__((always_inline)) {
          constexpr int kHalf = decltype(half)::value;
          const Vec value = SubtractZeroPoint(sum[kRow][kHalf], zero_point, scales + kHalf * kLanes);
          if constexpr (kTotalsInRegisters) {
            total[kRow][kHalf] = MulAdd(scale, value, total[kRow][kHalf]);
          } else {
            float* to = args.c + kRow * args.ldc + kHalf * kLanes;
            Store(to, MulAdd(scale, value, first ? Set(0) : Load(to)));
          }
        });
      });
    }
    if constexpr (kTotalsInRegisters) {
      StoreAccumulators<mr>(args, total);
    }
  }

  static GABION_INLINE void Quantize(const float* row, const float* smooth_scales, size_t n, size_t group, uint8_t* to,
                                     float* scales) {
    Vec nan_mask = Set(0);
    float* first = scales;
    for (size_t at = 0; at < n; at += group, scales += 2) {
      QuantizeGroupToUint8(row + at, smooth_scales == nullptr ? nullptr : smooth_scales + at, group, to + at, scales,
                           scales + 1, nan_mask);
    }
    *first += ReduceSum(nan_mask);  // NaN if a value is not finite, else 0
  }
};

using UkernelFunction = void (*)(const UkernelArgs&);

/// The microkernels of a format by MR; the first entry is for one row.
template <typename F, int... row>
struct UkernelTable {
  static constexpr UkernelFunction kByRows[] = {&F::template Ukernel<row>...};
};
template <typename F, int mr, int... before>
struct UkernelsUpTo : UkernelsUpTo<F, mr - 1, mr, before...> {};
template <typename F, int... all>
struct UkernelsUpTo<F, 0, all...> : UkernelTable<F, all...> {};
template <typename F>
using Ukernels = UkernelsUpTo<F, F::kMR>;

/// MR of the next tile of `left` rows, at most `max_mr`. Tiles have nearly equal height, even where possible, which
/// suits processors with two FMA units.
GABION_INLINE size_t TileHeight(size_t left, size_t max_mr) {
  const size_t tiles = (left + max_mr - 1) / max_mr;
  return tiles == 1 ? left : (left + tiles - 1) / tiles / 2 * 2;
}

}  // namespace GABION_VARIANT
}  // namespace gabion::kernels
