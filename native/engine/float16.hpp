// Conversion of IEEE 754 half-precision numbers.
#pragma once

#include <bit>
#include <cstdint>

namespace gabion {

inline float FromFloat16(uint16_t bits) noexcept {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16U;
  const uint32_t magnitude = bits & 0x7fffU;
  if (magnitude >= 0x7c00U) {  // infinity and NaN
    return std::bit_cast<float>(sign | 0x7f800000U | (magnitude & 0x3ffU) << 13U);
  }
  // Exact for subnormal numbers too: the exponent's bias is corrected by a multiplication with 2^112.
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << 13U) * 0x1p112F));
}

}  // namespace gabion
