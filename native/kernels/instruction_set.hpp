// The instruction sets that the kernels are compiled for, and which of them this processor supports.
#pragma once

#include <string>
#include <vector>

#include "packed.hpp"

namespace gabion::kernels {

enum class Precision {
  kFp32,  ///< float arithmetic on the weights as given
  kBf16,  ///< bf16 weights; bf16 arithmetic where the processor has it, else float arithmetic on them
  kInt8,  ///< 8-bit weights, quantized in groups along K
};

/// The compiled variants that this processor supports, fastest proven one first; empty if it supports none.
std::vector<const Variant*> UsableVariants();

/// The first usable variant, or the one named by the environment variable GABION_ISA. Null if there is none; throws
/// std::invalid_argument if GABION_ISA names one that cannot run here.
const Variant* ChosenVariant();

/// The number format that a variant uses for a precision, given weights in bf16 or in float.
Format FormatFor(const Variant& variant, Precision precision, bool bfloat16_weights);

}  // namespace gabion::kernels
