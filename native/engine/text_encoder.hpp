// The kernels' encoder with the sizes of its tables: checks ids before they are used as indexes, and runs with an
// intra-op team. Knows neither files nor what becomes of the hidden state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "../kernels/encoder.hpp"
#include "session.hpp"

namespace gabion {

/// Rows of an encoder's tables.
struct TableSizes {
  size_t vocabulary = 0;
  size_t positions = 0;  ///< tokens of the longest input
  size_t types = 1;
};

/// The samples whose ids and lengths are within the tables.
TokenSamples UsableSamples(const TokenSamples& samples, const TableSizes& sizes);

class TextEncoder {
 public:
  TextEncoder(std::unique_ptr<const kernels::Encoder> encoder, size_t width, const TableSizes& sizes);

  /// Writes the last hidden state to `scratch.hidden`, [tokens, width]. `types` has as many values as `ids`, or none
  /// where all tokens are of type 0. Throws kInferenceFailed for ids, types or a length beyond the tables, kAborted.
  void Run(std::span<const int64_t> ids, std::span<const uint8_t> types, Scratch& scratch) const;

  size_t width() const noexcept { return width_; }
  const std::vector<float>& smooth_scales() const noexcept { return encoder_->smooth_scales(); }
  const char* instruction_set() const noexcept { return encoder_->variant().name; }

 private:
  std::unique_ptr<const kernels::Encoder> encoder_;
  size_t width_;
  TableSizes sizes_;
};

}  // namespace gabion
