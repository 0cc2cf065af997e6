#include "encoder.hpp"

#include <algorithm>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace gabion::kernels {
namespace {

constexpr size_t kCacheLine = 64;
// Packing copies memory; more threads than this only wait for it.
constexpr size_t kPackingThreads = 8;

size_t RoundedUp(size_t bytes) { return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine; }

struct Placed {
  PackingJob job;
  PackedLinear* packed;
  size_t panels_at;
  size_t scales_at;
};

std::vector<size_t> InOrder(size_t outputs, size_t panel) {
  std::vector<size_t> columns(outputs / panel);
  for (size_t i = 0; i < columns.size(); ++i) {
    columns[i] = i * panel;
  }
  return columns;
}

/// Columns of query | key | value regrouped by head.
std::vector<size_t> ByHead(const EncoderShape& shape, size_t panel) {
  const size_t width = shape.hidden / shape.heads;
  std::vector<size_t> columns;
  for (size_t head = 0; head < shape.heads; ++head) {
    for (size_t part = 0; part < 3; ++part) {
      for (size_t at = 0; at < width; at += panel) {
        columns.push_back(part * shape.hidden + head * width + at);
      }
    }
  }
  return columns;
}

/// Calls `work(number)` for all numbers below `count`, on a few threads. After a failure no more are begun, and it is
/// thrown.
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
  std::vector<std::thread> threads;
  const size_t wanted = std::min(count, std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kPackingThreads));
  try {
    while (threads.size() + 1 < wanted) {
      threads.emplace_back(run);
    }
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch)
    // Fewer threads do as well.
  }
  run();
  for (std::thread& thread : threads) {
    thread.join();
  }
  if (failure != nullptr) {
    std::rethrow_exception(failure);
  }
}

/// Packs all panels of all jobs. Throws std::invalid_argument if a weight is not finite.
void PackAll(const std::vector<Placed>& jobs, Format format, size_t panel, char* memory) {
  std::vector<size_t> ends;
  for (const Placed& placed : jobs) {
    ends.push_back((ends.empty() ? 0 : ends.back()) + PanelsOf(placed.job));
  }
  ForEach(ends.back(), [&](size_t number) {
    const auto of = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), number) - ends.begin());
    const Placed& placed = jobs[of];
    const size_t panel_number = number - (of == 0 ? 0 : ends[of - 1]);
    if (!PackPanel(placed.job, format, panel, panel_number, memory + placed.panels_at,
                   reinterpret_cast<float*>(memory + placed.scales_at))) {
      throw std::invalid_argument("the encoder's weights hold values that are not finite");
    }
  });
}

/// A head's biases side by side, for softmax by powers of two, with room for the vector that begins at the last.
std::vector<float> BiasesByHead(const StoredEncoder& stored, size_t heads) {
  constexpr size_t kBeyond = 64;
  const size_t distances = 2 * stored.longest - 1;
  std::vector<float> by_head(heads * (distances + kBeyond));
  for (size_t head = 0; head < heads; ++head) {
    for (size_t i = 0; i < distances; ++i) {
      by_head[head * (distances + kBeyond) + i] = stored.distance_biases[i * heads + head] * 1.44269504F;
    }
  }
  return by_head;
}

}  // namespace

void* Workspace::OfSize(size_t bytes) {
  if (bytes_.size() < bytes) {
    bytes_ = AlignedBytes();  // frees before it allocates: nothing in it is kept
    bytes_ = AlignedBytes(bytes);
  }
  return bytes_.get();
}

bool Encoder::Fits(const EncoderShape& shape, size_t panel) {
  return shape.layers > 0 && shape.heads > 0 && shape.hidden % shape.heads == 0 &&
         (shape.hidden / shape.heads) % panel == 0 && shape.hidden <= 1024 && shape.hidden % 32 == 0 &&
         shape.intermediate % 32 == 0 && SlicesOf(shape.intermediate, panel) > 0;
}

Encoder::Encoder(const EncoderShape& shape, const StoredEncoder& stored, Precision precision, const Variant& variant,
                 const std::vector<std::vector<int64_t>>& samples)
    : variant_(variant), layers_(shape.layers) {
  if (!Fits(shape, variant.panel_columns) || stored.layers.size() != shape.layers) {
    throw std::invalid_argument("an encoder of " + std::to_string(shape.layers) + " layers, " +
                                std::to_string(shape.heads) + " heads, width " + std::to_string(shape.hidden) +
                                " and inner width " + std::to_string(shape.intermediate) +
                                " does not fit the kernels for " + variant.name);
  }
  // The biases of query, key and value go the way of their columns.
  const std::vector<size_t> columns = ByHead(shape, variant.panel_columns);
  biases_.reserve(shape.layers * 3 * shape.hidden);
  for (size_t i = 0; i < shape.layers; ++i) {
    layers_[i].qkv.bias = biases_.data() + biases_.size();
    for (const size_t column : columns) {
      const float* from = stored.layers[i].qkv.bias + column;
      biases_.insert(biases_.end(), from, from + variant.panel_columns);
    }
  }
  if (stored.distance_biases != nullptr) {
    distance_biases_ = BiasesByHead(stored, shape.heads);
  }
  const bool bfloat16 = stored.layers[0].qkv.weight.bfloat16;
  const Format format = FormatFor(variant, precision, bfloat16);
  if (IsInteger(format) && !samples.empty()) {
    Pack(shape, stored, FormatFor(variant, Precision::kBf16, bfloat16));
    ShareRanges(shape, stored, samples);
  }
  Pack(shape, stored, format);
}

void Encoder::Pack(const EncoderShape& shape, const StoredEncoder& stored, Format format) {
  const size_t panel = variant_.panel_columns;
  const size_t slices = SlicesOf(shape.intermediate, panel);
  std::vector<Placed> jobs;
  size_t total = 0;
  const float* factors = input_factors_.empty() ? nullptr : input_factors_.data();
  const auto place = [&](const StoredLinear& linear, const float* bias, PackedLinear& packed, size_t inputs,
                         size_t outputs, size_t cuts, std::vector<size_t> columns) {
    PackingJob job{linear.weight, inputs, outputs, cuts, std::move(columns), factors};
    const PackedSize size = SizeOf(job, format, panel);
    packed = {nullptr, nullptr, bias, outputs, size.depth, cuts, size.group, factors};
    factors = factors == nullptr ? nullptr : factors + inputs;
    jobs.push_back({std::move(job), &packed, total, total + RoundedUp(size.panel_bytes)});
    // The last panel's pass prefetches one more panel, which is never read.
    total += RoundedUp(size.panel_bytes) + RoundedUp(size.scale_count * sizeof(float));
  };
  for (size_t i = 0; i < shape.layers; ++i) {
    const StoredLayer& from = stored.layers[i];
    PackedLayer& to = layers_[i];
    place(from.qkv, to.qkv.bias, to.qkv, shape.hidden, 3 * shape.hidden, 1, ByHead(shape, panel));
    place(from.output, from.output.bias, to.output, shape.hidden, shape.hidden, 1, InOrder(shape.hidden, panel));
    place(from.up, from.up.bias, to.up, shape.hidden, shape.intermediate, 1, InOrder(shape.intermediate, panel));
    place(from.down, from.down.bias, to.down, shape.intermediate, shape.hidden, slices, InOrder(shape.hidden, panel));
    to.attention_norm_weight = from.attention_norm.weight;
    to.attention_norm_bias = from.attention_norm.bias;
    to.feed_forward_norm_weight = from.feed_forward_norm.weight;
    to.feed_forward_norm_bias = from.feed_forward_norm.bias;
  }
  panels_ = AlignedBytes();  // frees before it allocates
  panels_ = AlignedBytes(total);
  auto* memory = static_cast<char*>(panels_.get());
  for (const Placed& placed : jobs) {
    placed.packed->panels = memory + placed.panels_at;
    placed.packed->scales = reinterpret_cast<const float*>(memory + placed.scales_at);
  }
  PackAll(jobs, format, panel, memory);
  const size_t distances = distance_biases_.size() / shape.heads;
  packed_ = {format,
             shape.layers,
             shape.heads,
             shape.hidden,
             shape.intermediate,
             shape.epsilon,
             stored.words,
             stored.positions,
             stored.norm.weight,
             stored.norm.bias,
             layers_.data(),
             nullptr,
             distance_biases_.empty() ? nullptr : distance_biases_.data(),
             distances,
             stored.longest,
             stored.padding_id};
}

// An input that reaches far is rounded coarsely, and so are its neighbours of the same scale; a weight's column
// likewise. Inputs are multiplied by what makes both ranges equal, and the weights divided by it.
void Encoder::ShareRanges(const EncoderShape& shape, const StoredEncoder& stored,
                          const std::vector<std::vector<int64_t>>& samples) {
  const size_t of_layer = InputsOfLayer(shape.hidden, shape.intermediate);
  std::vector<std::vector<float>> of_sample(samples.size());
  ForEach(samples.size(), [&](size_t number) {
    const std::vector<int64_t>& ids = samples[number];
    of_sample[number].resize(shape.layers * of_layer);
    PackedEncoder measured = packed_;
    measured.greatest = of_sample[number].data();
    Workspace workspace;
    std::vector<float> hidden(ids.size() * shape.hidden);
    const StopQuestion never{[](const void*) { return false; }, nullptr};
    void* memory = workspace.OfSize(variant_.workspace_bytes(measured, ids.size(), 1));
    variant_.encode(measured, ids.data(), ids.size(), memory, never, nullptr, hidden.data());
  });
  std::vector<float> greatest(shape.layers * of_layer);
  for (const std::vector<float>& of_one : of_sample) {
    std::transform(greatest.begin(), greatest.end(), of_one.begin(), greatest.begin(),
                   [](float one, float other) { return std::max(one, other); });
  }
  struct Part {
    const StoredMatrix& weight;
    size_t inputs;
    size_t outputs;
    size_t at;
  };
  std::vector<Part> parts;
  size_t at = 0;
  const auto add = [&](const StoredMatrix& weight, size_t inputs, size_t outputs) {
    parts.push_back({weight, inputs, outputs, at});
    at += inputs;
  };
  for (const StoredLayer& layer : stored.layers) {
    add(layer.qkv.weight, shape.hidden, 3 * shape.hidden);
    add(layer.output.weight, shape.hidden, shape.hidden);
    add(layer.up.weight, shape.hidden, shape.intermediate);
    add(layer.down.weight, shape.intermediate, shape.hidden);
  }
  std::vector<float> factors(greatest.size(), 1.0F);
  ForEach(parts.size(), [&](size_t number) {
    const Part& part = parts[number];
    ShareRange(part.weight, part.inputs, part.outputs, greatest.data() + part.at, factors.data() + part.at);
  });
  input_factors_ = std::move(factors);
}

size_t Encoder::WorkOf(size_t tokens) const noexcept {
  const size_t hidden = packed_.hidden;
  return packed_.layers * tokens * (4 * hidden * hidden + 2 * hidden * packed_.intermediate + 2 * tokens * hidden);
}

bool Encoder::Run(const int64_t* ids, size_t tokens, Workspace& workspace, const std::atomic<bool>& stop,
                  const Crew* crew, float* hidden) const {
  const StopQuestion question{
      [](const void* who) { return static_cast<const std::atomic<bool>*>(who)->load(std::memory_order_relaxed); },
      &stop};
  void* memory = workspace.OfSize(variant_.workspace_bytes(packed_, tokens, crew == nullptr ? 1 : crew->members));
  return variant_.encode(packed_, ids, tokens, memory, question, crew, hidden);
}

}  // namespace gabion::kernels
