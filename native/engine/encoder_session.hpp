// gabion's own encoder as a session: the single node of an EncoderGraph, computed by native/kernels.
//
// Lifetime: the session packs the linear weights when it is opened. The file stays mapped, since tables and norms are
// read from it, but the pages of packed weights are released to the system's page cache.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "../kernels/encoder.hpp"
#include "encoder_graph.hpp"
#include "mapped_file.hpp"
#include "pooling.hpp"
#include "session.hpp"
#include "text_encoder.hpp"

namespace gabion {

/// The kernels that this process uses: the best that the processor runs, or what GABION_ISA names; null without any.
/// Throws kInvalidArgument if GABION_ISA names none that runs here.
const kernels::Variant* EncoderVariant();

class WeightReader;

class EncoderSession final : public Session {
 public:
  /// `graph` was read from `options.graph_file`; the weights are stored next to it. Throws kModelInvalid when one
  /// contradicts the other or the processor has none of the kernels' instruction sets, kModelNotFound without the
  /// weights.
  EncoderSession(const SessionOptions& options, const EncoderGraph& graph, const TokenSamples& samples);

  const SessionInfo& info() const noexcept override { return info_; }
  void Run(std::span<TextTask* const> tasks, Scratch& scratch) const override;

 private:
  kernels::StoredEncoder ReadWeights(const WeightReader& weights, const kernels::EncoderShape& shape,
                                     int64_t padding_id);
  void HandBackLinears(const kernels::StoredEncoder& stored, const kernels::EncoderShape& shape) const;

  const PoolingOptions pooling_;
  SessionInfo info_;
  TableSizes sizes_;
  std::unique_ptr<const MappedFile> file_;
  std::optional<const TextEncoder> encoder_;
};

}  // namespace gabion
