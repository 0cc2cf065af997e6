#include "encoder.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

#include "../system/thread.hpp"

namespace gabion::kernels {
namespace {

constexpr size_t kCacheLine = 64;
// Packing is bound by memory bandwidth; more threads than this do not help.
constexpr size_t kPackingThreads = 8;

size_t RoundUp(size_t bytes) { return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine; }

/// A task with its offsets in the buffer of all panels.
struct PlacedTask {
  PackingTask task;
  PackedLinear* packed;
  size_t panels_offset;
  size_t scales_offset;
};

std::vector<size_t> InOrder(size_t n, size_t nr) {
  std::vector<size_t> columns(n / nr);
  for (size_t i = 0; i < columns.size(); ++i) {
    columns[i] = i * nr;
  }
  return columns;
}

/// The first columns of panels, and the gaps between their halves (PackingTask).
struct PanelColumns {
  std::vector<size_t> columns;
  std::vector<size_t> gaps{};
};

/// Panels of query | key | value regrouped by head. With rotary embeddings, a panel of queries or keys has columns of
/// the first half of the head and then the columns that are paired with them, from its second half.
PanelColumns ByHead(const EncoderShape& shape, size_t nr, bool rotary) {
  const size_t width = shape.hidden / shape.heads;
  PanelColumns panels;
  for (size_t head = 0; head < shape.heads; ++head) {
    for (size_t part = 0; part < 3; ++part) {
      const bool paired = rotary && part < 2;
      for (size_t at = 0; at < width; at += nr) {
        panels.columns.push_back(part * shape.hidden + head * width + (paired ? at / 2 : at));
        panels.gaps.push_back(paired ? width / 2 - nr / 2 : 0);
      }
    }
  }
  if (!rotary) {
    panels.gaps.clear();
  }
  return panels;
}

/// Panels of both halves of a gated layer's outputs interleaved.
std::vector<size_t> Interleaved(size_t half, size_t nr) {
  std::vector<size_t> columns;
  for (size_t at = 0; at < half; at += nr) {
    columns.push_back(at);
    columns.push_back(half + at);
  }
  return columns;
}

/// Outputs of the first feed-forward layer, both halves of a gated one.
size_t UpOutputs(const EncoderShape& shape, const StoredEncoder& stored) {
  return (stored.feed_forward == FeedForward::kGelu ? 1 : 2) * shape.intermediate;
}

/// See PackedLayer::rotary. Angles are float products, as transformers computes them.
std::vector<float> RotaryTable(const std::vector<float>& inverse_frequencies, size_t tokens) {
  std::vector<float> table;
  table.reserve(2 * tokens * inverse_frequencies.size());
  for (size_t token = 0; token < tokens; ++token) {
    for (const auto function : {static_cast<double (*)(double)>(std::cos), static_cast<double (*)(double)>(std::sin)}) {
      for (const float frequency : inverse_frequencies) {
        table.push_back(static_cast<float>(function(static_cast<float>(token) * frequency)));
      }
    }
  }
  return table;
}

/// Calls `work(number)` for all numbers below `count`, on a few threads. After a failure no further calls start, and
/// the failure is rethrown.
template <typename Work>
void ForEach(size_t count, const Work& work) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  const auto run = [&] {
    for (size_t number = next++; number < count; number = next++) {
      try {
        work(number);
      } catch (...) {
        const std::lock_guard lock(mutex);
        failure = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<Thread> threads;
  const size_t thread_count =
      std::min(count, std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kPackingThreads));
  try {
    while (threads.size() + 1 < thread_count) {
      threads.emplace_back(run);
    }
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
    // Fewer threads only take longer.
  }
  run();
  for (Thread& thread : threads) {
    thread.join();
  }
  if (failure != nullptr) {
    std::rethrow_exception(failure);
  }
}

/// Packs all panels of all tasks. Throws std::invalid_argument if a weight is not finite.
void PackAll(const std::vector<PlacedTask>& tasks, Format format, size_t nr, char* memory) {
  std::vector<size_t> ends;
  for (const PlacedTask& placed : tasks) {
    ends.push_back((ends.empty() ? 0 : ends.back()) + PanelCount(placed.task));
  }
  ForEach(ends.back(), [&](size_t number) {
    const auto index = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), number) - ends.begin());
    const PlacedTask& placed = tasks[index];
    const size_t panel_number = number - (index == 0 ? 0 : ends[index - 1]);
    if (!PackPanel(placed.task, format, nr, panel_number, memory + placed.panels_offset,
                   reinterpret_cast<float*>(memory + placed.scales_offset))) {
      throw std::invalid_argument("the encoder's weights hold values that are not finite");
    }
  });
}

/// Relative position biases transposed to [heads][distances] and scaled for the softmax, which is computed in powers of
/// two. Each row is padded for the vector load that begins at its last bias.
std::vector<float> RelativeBiasesByHead(const StoredEncoder& stored, size_t heads) {
  constexpr size_t kPadding = 64;
  const size_t distances = 2 * stored.max_tokens - 1;
  std::vector<float> by_head(heads * (distances + kPadding));
  for (size_t head = 0; head < heads; ++head) {
    for (size_t i = 0; i < distances; ++i) {
      by_head[head * (distances + kPadding) + i] = stored.relative_biases[i * heads + head] * 1.44269504F;
    }
  }
  return by_head;
}

}  // namespace

void* Workspace::Reserve(size_t bytes) {
  if (bytes_.size() < bytes) {
    bytes_ = AlignedBuffer();  // frees before it allocates: the contents are not needed
    bytes_ = AlignedBuffer(bytes);
  }
  return bytes_.get();
}

bool Encoder::Fits(const EncoderShape& shape, size_t nr) {
  return shape.layers > 0 && shape.heads > 0 && shape.hidden % shape.heads == 0 &&
         (shape.hidden / shape.heads) % nr == 0 && shape.hidden <= 1024 && shape.hidden % 32 == 0 &&
         shape.intermediate % 32 == 0 && KBlocksOf(shape.intermediate, nr) > 0;
}

Encoder::Encoder(const EncoderShape& shape, const StoredEncoder& stored, Precision precision, const Variant& variant,
                 const std::vector<TokenSample>& samples, std::vector<float> smooth_scales)
    : variant_(variant), layers_(shape.layers) {
  if (!Fits(shape, variant.nr) || stored.layers.size() != shape.layers) {
    throw std::invalid_argument("an encoder of " + std::to_string(shape.layers) + " layers, " +
                                std::to_string(shape.heads) + " heads, width " + std::to_string(shape.hidden) +
                                " and intermediate width " + std::to_string(shape.intermediate) +
                                " does not fit the kernels for " + variant.name);
  }
  // The biases of query, key and value are permuted like their columns.
  biases_.reserve(shape.layers * 3 * shape.hidden);
  for (const std::vector<float>& frequencies : stored.inverse_frequencies) {
    rotary_.push_back(RotaryTable(frequencies, stored.max_tokens));
  }
  for (size_t i = 0; i < shape.layers; ++i) {
    const StoredLayer& layer = stored.layers[i];
    const PanelColumns panels = ByHead(shape, variant.nr, layer.rotary.has_value());
    layers_[i].qkv.bias = biases_.data() + biases_.size();
    for (size_t panel = 0; panel < panels.columns.size(); ++panel) {
      const float* from = layer.qkv.bias + panels.columns[panel];
      const float* second = from + variant.nr / 2 + (panels.gaps.empty() ? 0 : panels.gaps[panel]);
      biases_.insert(biases_.end(), from, from + variant.nr / 2);
      biases_.insert(biases_.end(), second, second + variant.nr / 2);
    }
    layers_[i].rotary = layer.rotary ? rotary_.at(*layer.rotary).data() : nullptr;
    layers_[i].window = layer.window;
  }
  if (stored.relative_biases != nullptr) {
    relative_biases_ = RelativeBiasesByHead(stored, shape.heads);
  }
  const bool bfloat16 = stored.layers[0].qkv.weight.bfloat16;
  const Format format = FormatFor(variant, precision, bfloat16);
  if (IsInteger(format) && !smooth_scales.empty()) {
    if (smooth_scales.size() != shape.layers * InputsPerLayer(shape.hidden, shape.intermediate)) {
      throw std::invalid_argument("there are not as many SmoothQuant scales as inputs");
    }
    smooth_scales_ = std::move(smooth_scales);
  } else if (IsInteger(format) && !samples.empty()) {
    Pack(shape, stored, FormatFor(variant, Precision::kBf16, bfloat16));
    CalibrateSmoothScales(shape, stored, samples);
  }
  Pack(shape, stored, format);
}

void Encoder::Pack(const EncoderShape& shape, const StoredEncoder& stored, Format format) {
  const size_t nr = variant_.nr;
  const size_t k_blocks = KBlocksOf(shape.intermediate, nr);
  std::vector<PlacedTask> tasks;
  size_t total = 0;
  const float* smooth_scales = smooth_scales_.empty() ? nullptr : smooth_scales_.data();
  const auto place = [&](const StoredLinear& linear, const float* bias, PackedLinear& packed, size_t k, size_t n,
                         size_t blocks, PanelColumns columns) {
    PackingTask task{linear.weight,
                     k,
                     n,
                     blocks,
                     std::move(columns.columns),
                     smooth_scales,
                     linear.outputs_first,
                     linear.further,
                     std::move(columns.gaps)};
    const PackedSize size = SizeOf(task, format, nr);
    packed = {nullptr, nullptr, bias, n, size.kc, blocks, size.group, smooth_scales};
    smooth_scales = smooth_scales == nullptr ? nullptr : smooth_scales + k;
    tasks.push_back({std::move(task), &packed, total, total + RoundUp(size.panel_bytes)});
    // While the last panel is read, one more is prefetched, which is never read.
    total += RoundUp(size.panel_bytes) + RoundUp(size.scale_count * sizeof(float));
  };
  for (size_t i = 0; i < shape.layers; ++i) {
    const StoredLayer& from = stored.layers[i];
    PackedLayer& to = layers_[i];
    place(from.qkv, to.qkv.bias, to.qkv, shape.hidden, 3 * shape.hidden, 1, ByHead(shape, nr, from.rotary.has_value()));
    place(from.output, from.output.bias, to.output, shape.hidden, shape.hidden, 1, {InOrder(shape.hidden, nr)});
    const size_t outputs = UpOutputs(shape, stored);
    const bool gated = stored.feed_forward != FeedForward::kGelu;
    place(from.up, from.up.bias, to.up, shape.hidden, outputs, 1,
          {gated ? Interleaved(shape.intermediate, nr) : InOrder(outputs, nr)});
    place(from.down, from.down.bias, to.down, shape.intermediate, shape.hidden, k_blocks, {InOrder(shape.hidden, nr)});
    to.attention_norm_weight = from.attention_norm.weight;
    to.attention_norm_bias = from.attention_norm.bias;
    to.feed_forward_norm_weight = from.feed_forward_norm.weight;
    to.feed_forward_norm_bias = from.feed_forward_norm.bias;
  }
  panels_ = AlignedBuffer();  // frees before it allocates
  panels_ = AlignedBuffer(total);
  auto* memory = static_cast<char*>(panels_.get());
  for (const PlacedTask& placed : tasks) {
    placed.packed->panels = memory + placed.panels_offset;
    placed.packed->scales = reinterpret_cast<const float*>(memory + placed.scales_offset);
  }
  PackAll(tasks, format, nr, memory);
  const size_t distances = relative_biases_.size() / shape.heads;
  packed_ = {format,
             shape.layers,
             shape.heads,
             shape.hidden,
             shape.intermediate,
             shape.epsilon,
             stored.token_embeddings,
             stored.positions,
             stored.token_types,
             stored.norm.weight,
             stored.norm.bias,
             layers_.data(),
             nullptr,
             relative_biases_.empty() ? nullptr : relative_biases_.data(),
             distances,
             stored.max_tokens,
             stored.padding_id,
             stored.feed_forward,
             stored.norm_first,
             stored.last_norm.weight,
             stored.last_norm.bias};
}

// An input channel with outliers is quantized coarsely, and so are the channels that share its scale; likewise a weight
// row. SmoothQuant multiplies activations by the scale that equalizes both ranges and divides the weights by it.
void Encoder::CalibrateSmoothScales(const EncoderShape& shape, const StoredEncoder& stored,
                                    const std::vector<TokenSample>& samples) {
  const size_t per_layer = InputsPerLayer(shape.hidden, shape.intermediate);
  std::vector<std::vector<float>> sample_absmax(samples.size());
  ForEach(samples.size(), [&](size_t number) {
    const TokenSequence input = samples[number].sequence();
    sample_absmax[number].resize(shape.layers * per_layer);
    PackedEncoder calibrated = packed_;
    calibrated.absmax = sample_absmax[number].data();
    Workspace workspace;
    std::vector<float> hidden(input.tokens * shape.hidden);
    const StopCheck never{[](const void*) { return false; }, nullptr};
    void* memory = workspace.Reserve(variant_.workspace_bytes(calibrated, input.tokens, 1));
    variant_.encode(calibrated, input, memory, never, nullptr, hidden.data());
  });
  std::vector<float> absmax(shape.layers * per_layer);
  for (const std::vector<float>& one : sample_absmax) {
    std::transform(absmax.begin(), absmax.end(), one.begin(), absmax.begin(),
                   [](float a, float b) { return std::max(a, b); });
  }
  struct Part {
    PackingTask task;
    size_t at;
  };
  std::vector<Part> parts;
  size_t at = 0;
  const auto add = [&](const StoredLinear& linear, size_t k, size_t n) {
    parts.push_back({{linear.weight, k, n, 1, {}, nullptr, linear.outputs_first, linear.further, {}}, at});
    at += k;
  };
  for (const StoredLayer& layer : stored.layers) {
    add(layer.qkv, shape.hidden, 3 * shape.hidden);
    add(layer.output, shape.hidden, shape.hidden);
    add(layer.up, shape.hidden, UpOutputs(shape, stored));
    add(layer.down, shape.intermediate, shape.hidden);
  }
  std::vector<float> scales(absmax.size(), 1.0F);
  ForEach(parts.size(), [&](size_t number) {
    const Part& part = parts[number];
    ComputeSmoothScales(part.task, absmax.data() + part.at, scales.data() + part.at);
  });
  smooth_scales_ = std::move(scales);
}

size_t Encoder::MultiplyAdds(size_t tokens) const noexcept {
  const size_t hidden = packed_.hidden;
  const size_t feed_forward = (packed_.feed_forward == FeedForward::kGelu ? 2 : 3) * hidden * packed_.intermediate;
  return packed_.layers * tokens * (4 * hidden * hidden + feed_forward + 2 * tokens * hidden);
}

bool Encoder::Run(const TokenSequence& input, Workspace& workspace, const std::atomic<bool>& stop, const Team* team,
                  float* hidden) const {
  const StopCheck stop_check{[](const void* context) {
                               return static_cast<const std::atomic<bool>*>(context)->load(std::memory_order_relaxed);
                             },
                             &stop};
  const size_t members = team == nullptr ? 1 : team->members;
  void* memory = workspace.Reserve(variant_.workspace_bytes(packed_, input.tokens, members));
  return variant_.encode(packed_, input, memory, stop_check, team, hidden);
}

}  // namespace gabion::kernels
