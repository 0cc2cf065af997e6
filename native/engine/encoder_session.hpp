// gabion's own encoder as a session: the one node of an EncoderGraph, computed by native/kernels.
//
// Lifetime: the session packs the linear weights when it is made; the originals stay mapped from the file, as tables
// and norms are read from there, but the pages of what was packed are handed back to the system's page cache.
#pragma once

#include <memory>
#include <string>

#include "../kernels/encoder.hpp"
#include "encoder_graph.hpp"
#include "mapped_file.hpp"
#include "pooling.hpp"
#include "session.hpp"

namespace gabion {

/// The kernels that this process uses: the best that the processor runs, or what GABION_ISA names; null without any.
/// Throws kInvalidArgument if GABION_ISA names none that runs here.
const kernels::Variant* EncoderVariant();

class WeightReader;

class EncoderSession final : public Session {
 public:
  /// `graph` was read from `graph_file`, beside which the weights lie. Throws kModelInvalid when one contradicts the
  /// other or the processor has none of the kernels' instruction sets, kModelNotFound without the weights.
  EncoderSession(const std::string& graph_file, const EncoderGraph& graph, kernels::Precision precision,
                 const TokenSamples& samples);

  void Run(size_t tokens, Scratch& scratch) const override;
  std::string encoder_instruction_set() const override { return encoder_->variant().name; }

 private:
  kernels::StoredEncoder ReadWeights(const WeightReader& weights, const kernels::EncoderShape& shape,
                                     int64_t padding_id);
  TokenSamples Usable(const TokenSamples& samples) const;
  void HandBackLinears(const kernels::StoredEncoder& stored, const kernels::EncoderShape& shape) const;

  Pooling pooling_ = Pooling::kMean;
  bool normalize_ = true;
  size_t vocabulary_ = 0;
  size_t positions_ = 0;
  std::unique_ptr<const MappedFile> file_;
  std::unique_ptr<const kernels::Encoder> encoder_;
};

}  // namespace gabion
