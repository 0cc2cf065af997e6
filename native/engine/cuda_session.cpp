#include "cuda_session.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "protobuf_fields.hpp"

namespace gabion {
namespace {

constexpr const char* kIds = "input_ids";
constexpr const char* kLengths = "key_lengths";
constexpr const char* kWeights = "pooling_weights";
constexpr const char* kPositions = "position_ids";
constexpr const char* kDistances = "key_distances";

// Close enough that at most a third of a batch is padding, few enough that all are captured in a short time.
constexpr std::array<size_t, 11> kBatchLengths{16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768};

// Padding tokens that cost about as much as launching another batch (measured on an H200).
constexpr size_t kMaxPadding = 2048;

// The first runs allocate memory and choose kernels, which a capture does not allow.
constexpr size_t kRunsBeforeCapture = 2;

constexpr size_t kAlignment = 256;  // of cudaMalloc

size_t RoundUp(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// The exponent of the power of two that the graph divides a sum of so many token vectors by, so that it fits float16.
int Halvings(size_t tokens) {
  constexpr int kMost = 14;  // smaller ones are no normal float16
  return std::min(kMost, static_cast<int>(std::bit_width(std::max<size_t>(tokens, 1) - 1)));
}

/// 2^-halvings in float16.
uint16_t HalfOf(int halvings) {
  constexpr int kBias = 15;
  constexpr int kMantissaBits = 10;
  return static_cast<uint16_t>((kBias - halvings) << kMantissaBits);
}

}  // namespace

bool IsBatchGraph(const std::string& graph_file) {
  const std::optional<std::string> contents = ReadSmallGraph(graph_file);
  if (!contents) {
    return false;
  }
  constexpr uint64_t kGraph = 7;
  constexpr uint64_t kInput = 11;
  try {
    for (ProtobufFields field(*contents); field.Next();) {
      if (field.number() != kGraph) continue;
      for (ProtobufFields part(field.bytes()); part.Next();) {
        if (part.number() != kInput) continue;
        for (ProtobufFields value(part.bytes()); value.Next();) {
          if (value.number() == 1 && value.bytes() == kLengths) return true;
        }
      }
    }
  } catch (const ProtobufDamaged&) {
    return false;  // ONNX Runtime reports what it is
  }
  return false;
}

/// The state that a shape keeps between batches.
struct CudaSession::Plan {
  Shape shape;
  std::vector<OrtOwned<OrtValue>> values;
  OrtOwned<OrtIoBinding> binding{nullptr, nullptr};
  OrtOwned<OrtRunOptions> options{nullptr, nullptr};
  size_t runs = 0;
  std::shared_ptr<void> captured;  ///< null until it is, and where it cannot be
};

CudaSession::CudaSession(const SessionOptions& options)
    : graph_(options.graph_file, options.providers, options.graph_output),
      pooling_(options.pooling),
      max_tokens_(options.max_tokens),
      info_{
          graph_.provider(), graph_.skipped_providers(), FinishedWidth(pooling_, graph_.width()), "", &graph_.runtime(),
          graph_.width()},
      processor_memory_(nullptr, graph_.runtime().api().ReleaseMemoryInfo) {
  constexpr std::array kKnown{kIds, kLengths, kWeights, kPositions, kDistances};
  for (const auto& [name, type, sizes] : graph_.inputs()) {
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end()) {
      throw Error(Code::kModelUnsupported, "the graph for batches asks for an input '" + name + "'");
    }
    const ONNXTensorElementDataType wanted = name == kLengths   ? ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
                                             : name == kWeights ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
                                                                : ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    if (type != wanted) {
      throw Error(Code::kModelUnsupported, "the input '" + name + "' of the graph for batches has another type");
    }
  }
  if (!graph_.Has(kIds) || !graph_.Has(kWeights) || graph_.output_rank() != 3 || graph_.halves() ||
      pooling_.mode == Pooling::kMax) {
    throw Error(Code::kModelUnsupported, "the graph for batches lacks an input, or cannot pool as the model asks");
  }

  const Runtime& runtime = graph_.runtime();
  OrtMemoryInfo* memory = nullptr;
  runtime.Check(runtime.api().CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory), Code::kInternal,
                "CreateCpuMemoryInfo");
  processor_memory_.reset(memory);

  const size_t tokens = std::max(kMaxBatchTokens, PaddedLength(max_tokens_));
  const size_t block = OffsetsOf({1, tokens}).end + RoundUp(kMaxBatchRows * 3 * sizeof(int32_t));
  const size_t output = kMaxBatchRows * graph_.width() * sizeof(float);
  if (const CudaDevice* device = graph_.device()) {
    block_ = device->AllocateShared(block);
    device_block_ = device->AllocateHere(block);
    output_ = device->AllocateShared(output);
    std::vector<int64_t> text(PaddedLength(max_tokens_), 0);
    for (const size_t length : kBatchLengths) {
      const Sequence sequence{{text.data(), std::min(length, text.size())}};
      for (size_t run = 0; run <= kRunsBeforeCapture; ++run) {
        Execute(PlanFor(ShapeFor(1, sequence.ids.size())), {&sequence, 1});
      }
      if (length >= text.size()) break;
    }
    return;
  }
  const auto plain = [](size_t bytes) {
    auto owned = std::make_shared<std::vector<std::byte>>(bytes);
    return std::shared_ptr<void>(owned, owned->data());
  };
  block_ = device_block_ = plain(block);
  output_ = plain(output);
}

CudaSession::~CudaSession() = default;

size_t CudaSession::PaddedLength(size_t tokens) const {
  for (const size_t length : kBatchLengths) {
    if (tokens <= length) return std::min(length, std::max(tokens, max_tokens_));
  }
  constexpr size_t kStep = 256;
  return std::min((tokens + kStep - 1) / kStep * kStep, std::max(tokens, max_tokens_));
}

CudaSession::Shape CudaSession::ShapeFor(size_t sequences, size_t longest) const {
  const size_t tokens = PaddedLength(longest);
  const size_t max_rows = std::min(kMaxBatchRows, std::bit_floor(std::max<size_t>(1, kMaxBatchTokens / tokens)));
  const size_t rows = std::bit_floor(sequences);
  // Sequences beyond a power of two have a batch of their own, unless they fill most of a larger one.
  const bool nearly = sequences >= rows + rows / 2;
  return {std::min(max_rows, nearly ? std::bit_ceil(sequences) : rows), tokens};
}

// How many of these sequences, longest first, cost less in one batch than the padding that they add to it.
size_t CudaSession::BatchSize(std::span<const Sequence> sequences) const {
  const size_t tokens = PaddedLength(sequences.front().ids.size());
  size_t padding = 0;
  size_t count = 0;
  for (; count < sequences.size(); ++count) {
    padding += tokens - sequences[count].ids.size();
    if (count > 0 && padding > kMaxPadding) break;
  }
  return count;
}

CudaSession::Offsets CudaSession::OffsetsOf(const Shape& shape) {
  const size_t tokens = shape.rows * shape.tokens;
  Offsets offsets{};
  offsets.lengths = RoundUp(tokens * sizeof(int64_t));
  offsets.weights = offsets.lengths + RoundUp((3 * shape.rows + 2) * sizeof(int32_t));
  offsets.end = offsets.weights + RoundUp(tokens * sizeof(uint16_t));
  return offsets;
}

void* CudaSession::LengthInput(const std::string& name, size_t tokens) const {
  std::shared_ptr<void>& known = length_inputs_[{name, tokens}];
  if (known != nullptr) {
    return known.get();
  }
  auto values = std::make_shared<std::vector<int64_t>>();
  if (name == kPositions) {
    values->resize(tokens);
    std::iota(values->begin(), values->end(), 0);
  } else {
    values->reserve(tokens * tokens);
    for (size_t query = 0; query < tokens; ++query) {
      for (size_t key = 0; key < tokens; ++key) {
        values->push_back(static_cast<int64_t>(key) - static_cast<int64_t>(query));
      }
    }
  }
  const CudaDevice* device = graph_.device();
  if (device == nullptr) {
    known = std::shared_ptr<void>(values, values->data());
    return known.get();
  }
  const size_t bytes = values->size() * sizeof(int64_t);
  const std::shared_ptr<void> shared = device->AllocateShared(bytes);
  std::memcpy(shared.get(), values->data(), bytes);
  std::shared_ptr<void> here = device->AllocateHere(bytes);
  device->CopyHere(here.get(), shared.get(), bytes);
  device->Finish();
  known = std::move(here);
  return known.get();
}

CudaSession::Plan& CudaSession::PlanFor(const Shape& shape) const {
  std::unique_ptr<Plan>& plan = plans_[shape];
  if (plan == nullptr) {
    plan = MakePlan(shape);
  }
  return *plan;
}

std::unique_ptr<CudaSession::Plan> CudaSession::MakePlan(const Shape& shape) const {
  const Runtime& runtime = graph_.runtime();
  const OrtApi& api = runtime.api();
  OrtIoBinding* binding = nullptr;
  runtime.Check(api.CreateIoBinding(graph_.session(), &binding), Code::kInternal, "CreateIoBinding");
  auto plan = std::make_unique<Plan>();
  plan->shape = shape;
  plan->binding = OrtOwned<OrtIoBinding>(binding, api.ReleaseIoBinding);
  OrtRunOptions* options = nullptr;
  runtime.Check(api.CreateRunOptions(&options), Code::kInternal, "CreateRunOptions");
  plan->options = OrtOwned<OrtRunOptions>(options, api.ReleaseRunOptions);
  // Execute waits for the device; a run that is being captured cannot.
  runtime.Check(api.AddRunConfigEntry(options, "disable_synchronize_execution_providers", "1"), Code::kInternal,
                "AddRunConfigEntry");

  const auto [rows, tokens] = shape;
  const auto signed_rows = static_cast<int64_t>(rows);
  const auto signed_tokens = static_cast<int64_t>(tokens);
  const OrtMemoryInfo* memory = graph_.device() == nullptr ? processor_memory_.get() : graph_.device()->memory();
  const auto value = [&](void* data, std::vector<int64_t> sizes, ONNXTensorElementDataType type, size_t element) {
    const auto count = static_cast<size_t>(std::accumulate(sizes.begin(), sizes.end(), int64_t{1},
                                                           [](int64_t left, int64_t right) { return left * right; }));
    OrtValue* made = nullptr;
    runtime.Check(
        api.CreateTensorWithDataAsOrtValue(memory, data, count * element, sizes.data(), sizes.size(), type, &made),
        Code::kInferenceFailed, "tensor");
    plan->values.emplace_back(made, api.ReleaseValue);
    return made;
  };
  const Offsets offsets = OffsetsOf(shape);
  auto* block = static_cast<std::byte*>(device_block_.get());
  for (const auto& [name, type, sizes] : graph_.inputs()) {
    OrtValue* input = nullptr;
    if (name == kIds) {
      input = value(block, {signed_rows, signed_tokens}, type, sizeof(int64_t));
    } else if (name == kLengths) {
      input = value(block + offsets.lengths, {3 * signed_rows + 2}, type, sizeof(int32_t));
    } else if (name == kWeights) {
      input = value(block + offsets.weights, {signed_rows, 1, signed_tokens}, type, sizeof(uint16_t));
    } else {
      const int64_t first = name == kPositions ? 1 : signed_tokens;
      input = value(LengthInput(name, tokens), {first, signed_tokens}, type, sizeof(int64_t));
    }
    runtime.Check(api.BindInput(binding, name.c_str(), input), Code::kInferenceFailed, "BindInput");
  }
  OrtValue* output = value(output_.get(), {signed_rows, 1, static_cast<int64_t>(graph_.width())},
                           ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, sizeof(float));
  runtime.Check(api.BindOutput(binding, graph_.output().c_str(), output), Code::kInferenceFailed, "BindOutput");
  return plan;
}

void CudaSession::FillInputs(const Shape& shape, std::span<const Sequence> sequences) const {
  const auto [rows, tokens] = shape;
  const Offsets offsets = OffsetsOf(shape);
  auto* block = static_cast<std::byte*>(block_.get());
  std::memset(block, 0, offsets.end);
  auto* ids = reinterpret_cast<int64_t*>(block);
  auto* lengths = reinterpret_cast<int32_t*>(block + offsets.lengths);
  auto* weights = reinterpret_cast<uint16_t*>(block + offsets.weights);
  for (size_t row = 0; row < rows; ++row) {
    // An empty row has one token of weight 0: a softmax over none would not be a number.
    const size_t length = row < sequences.size() ? sequences[row].ids.size() : 1;
    lengths[row] = static_cast<int32_t>(length);
    for (const size_t start : {rows, 2 * rows + 1}) {
      lengths[start + row] = static_cast<int32_t>(row * tokens);
    }
    if (row >= sequences.size()) {
      continue;
    }
    std::copy(sequences[row].ids.begin(), sequences[row].ids.end(), ids + row * tokens);
    uint16_t* of_row = weights + row * tokens;
    if (pooling_.mode == Pooling::kCls) {
      of_row[sequences[row].skipped] = HalfOf(0);
    } else if (pooling_.mode == Pooling::kLastToken) {
      of_row[length - 1] = HalfOf(0);
    } else {
      std::fill(of_row + sequences[row].skipped, of_row + length, HalfOf(Halvings(length)));
    }
  }
  lengths[2 * rows] = lengths[3 * rows + 1] = static_cast<int32_t>(rows * tokens);
}

void CudaSession::Execute(Plan& plan, std::span<const Sequence> sequences) const {
  FillInputs(plan.shape, sequences);
  const CudaDevice* device = graph_.device();
  const auto run = [&] {
    if (device != nullptr) {
      device->CopyHere(device_block_.get(), block_.get(), OffsetsOf(plan.shape).end);
    }
    graph_.CheckRun(graph_.runtime().api().RunWithBinding(graph_.session(), plan.options.get(), plan.binding.get()));
  };
  if (device == nullptr) {
    run();
    return;
  }
  if (plan.captured == nullptr && plan.runs++ == kRunsBeforeCapture) {
    try {
      plan.captured = device->Capture(run);
    } catch (const Error&) {  // NOLINT(bugprone-empty-catch)
      // A batch that cannot be captured runs as before, or reports its failure then.
    }
  }
  if (plan.captured != nullptr) {
    device->Launch(plan.captured);
  } else {
    run();
  }
  device->Finish();
}

void CudaSession::WriteVector(size_t row, const Sequence& sequence) const {
  const size_t width = graph_.width();
  float* sum = static_cast<float*>(output_.get()) + row * width;
  const auto length = static_cast<float>(sequence.ids.size() - sequence.skipped);
  const float scale = std::ldexp(1.0F, Halvings(sequence.ids.size()));
  const float factor = pooling_.mode == Pooling::kMean             ? scale / length
                       : pooling_.mode == Pooling::kMeanSqrtLength ? scale / std::sqrt(length)
                                                                   : 1.0F;
  std::transform(sum, sum + width, sum, [&](float value) { return value * factor; });
  Finish(pooling_, sum, width, sequence.vector);
}

void CudaSession::Run(std::span<TextTask* const> tasks, Scratch& scratch) const {
  std::vector<Sequence> sequences;
  for (const TextTask* task : tasks) {
    float* vector = task->vectors;
    for (const TokenWindow& window : task->windows) {
      RequirePooled(window.id_count, task->skipped_tokens);
      sequences.push_back(
          {std::span(scratch.ids).subspan(window.first_id, window.id_count), vector, task->skipped_tokens});
      vector += info_.width;
    }
  }
  std::stable_sort(sequences.begin(), sequences.end(),
                   [](const Sequence& left, const Sequence& right) { return left.ids.size() > right.ids.size(); });

  const std::lock_guard lock(mutex_);
  for (std::span<const Sequence> rest(sequences); !rest.empty();) {
    scratch.ThrowIfStopped();
    const Shape shape = ShapeFor(BatchSize(rest), rest.front().ids.size());
    const std::span<const Sequence> batch = rest.first(std::min(shape.rows, rest.size()));
    try {
      Execute(PlanFor(shape), batch);
    } catch (...) {
      plans_.erase(shape);  // it may be half made
      throw;
    }
    for (size_t row = 0; row < batch.size(); ++row) {
      WriteVector(row, batch[row]);
    }
    rest = rest.subspan(batch.size());
  }
}

}  // namespace gabion
