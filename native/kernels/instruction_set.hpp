// The instruction sets that the kernels are compiled for, and which of them this processor runs.
#pragma once

#include <string>
#include <vector>

#include "packed.hpp"

namespace gabion::kernels {

enum class Precision {
  kFp32,  ///< float arithmetic on the weights as they are given
  kBf16,  ///< bf16 arithmetic where the processor has it, else float arithmetic on the given weights
  kInt8,  ///< 8-bit weights with scale groups
};

/// The compiled variants that this processor runs, the best proven first; empty on a processor without any.
std::vector<const Variant*> UsableVariants();

/// The best usable variant, or the one that the environment variable GABION_ISA names. Null if there is none; throws
/// std::invalid_argument if GABION_ISA names one that cannot run here.
const Variant* ChosenVariant();

/// The number format that a variant uses for a precision, given weights in bf16 or in float.
Format FormatFor(const Variant& variant, Precision precision, bool bfloat16_weights);

}  // namespace gabion::kernels
