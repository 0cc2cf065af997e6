#include "text_encoder.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "intra_op_team.hpp"
#include "status.hpp"

namespace gabion {

TokenSamples UsableSamples(const TokenSamples& samples, const TableSizes& sizes) {
  TokenSamples usable;
  for (const kernels::TokenSample& sample : samples) {
    const auto& ids = sample.ids;
    const bool known = std::all_of(ids.begin(), ids.end(),
                                   [&](int64_t id) { return id >= 0 && static_cast<uint64_t>(id) < sizes.vocabulary; });
    const bool typed =
        std::all_of(sample.types.begin(), sample.types.end(), [&](uint8_t type) { return type < sizes.types; });
    if (known && typed && !ids.empty() && ids.size() <= sizes.positions) {
      usable.push_back(sample);
    }
  }
  return usable;
}

TextEncoder::TextEncoder(std::unique_ptr<const kernels::Encoder> encoder, size_t width, const TableSizes& sizes)
    : encoder_(std::move(encoder)), width_(width), sizes_(sizes) {}

void TextEncoder::Run(std::span<const int64_t> ids, std::span<const uint8_t> types, Scratch& scratch) const {
  const size_t tokens = ids.size();
  if (tokens == 0 || tokens > sizes_.positions) {
    throw Error(Code::kInferenceFailed, "a text of " + std::to_string(tokens) + " tokens; the model takes 1 to " +
                                            std::to_string(sizes_.positions));
  }
  for (const int64_t id : ids) {
    if (id < 0 || static_cast<uint64_t>(id) >= sizes_.vocabulary) {
      throw Error(Code::kInferenceFailed, "token id " + std::to_string(id) + " is beyond the model's vocabulary");
    }
  }
  if (!types.empty() && (types.size() != tokens || *std::max_element(types.begin(), types.end()) >= sizes_.types)) {
    throw Error(Code::kInferenceFailed, "the tokenizer gives a token type that the model has no vector for");
  }
  if (scratch.hidden.size() < tokens * width_) {
    scratch.hidden.resize(tokens * width_);
  }
  scratch.ThrowIfStopped();  // a stop while the text was tokenized
  const IntraOpTeam::Lease team(IntraOpTeam::Process(), scratch.helpers, encoder_->MultiplyAdds(tokens));
  if (!encoder_->Run({ids.data(), tokens, types.empty() ? nullptr : types.data()}, scratch.workspace,
                     scratch.stop_flag(), team.team(), scratch.hidden.data())) {
    throw Error(Code::kAborted, "the run was stopped");
  }
}

}  // namespace gabion
