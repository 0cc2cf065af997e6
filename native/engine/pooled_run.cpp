#include "pooled_run.hpp"

#include <algorithm>
#include <cmath>

#include "status.hpp"

namespace gabion {

void RunPooled(const TextEncoder& encoder, const PoolingOptions& pooling, std::span<TextTask* const> tasks,
               Scratch& scratch) {
  const size_t width = FinishedWidth(pooling, encoder.width());
  for (TextTask* task : tasks) {
    float* vector = task->vectors;
    for (const TokenWindow& window : task->windows) {
      encoder.Run(std::span(scratch.ids).subspan(window.first_id, window.id_count), {}, scratch);
      PoolAndFinish(pooling, scratch.hidden.data(), window.id_count, task->skipped_tokens, encoder.width(), vector);
      if (!std::all_of(vector, vector + width, [](float value) { return std::isfinite(value); })) {
        throw Error(Code::kInferenceFailed, "the text's vector is not finite");
      }
      vector += width;
    }
  }
}

}  // namespace gabion
