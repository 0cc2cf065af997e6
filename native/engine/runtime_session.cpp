#include "runtime_session.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "float16.hpp"

namespace gabion {

RuntimeSession::RuntimeSession(const SessionOptions& options)
    : pooling_(options.pooling),
      graph_(options.graph_file, options.providers, options.graph_output),
      info_{
          graph_.provider(), graph_.skipped_providers(), FinishedWidth(pooling_, graph_.width()), "", &graph_.runtime(),
          graph_.width()},
      memory_(nullptr, graph_.runtime().api().ReleaseMemoryInfo) {
  const Runtime& runtime = graph_.runtime();
  OrtMemoryInfo* memory = nullptr;
  runtime.Check(runtime.api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory), Code::kInternal,
                "CreateCpuMemoryInfo");
  memory_.reset(memory);
  for (const RuntimeGraph::Input& input : graph_.inputs()) {
    const auto& [name, type, shape] = input;
    RequireVaryingLength(input);
    if (name == "input_ids") {
      inputs_.push_back(InputKind::kIds);
    } else if (name == "attention_mask") {
      inputs_.push_back(InputKind::kMask);
    } else if (name == "token_type_ids") {
      inputs_.push_back(InputKind::kTypes);
    } else {
      throw Error(Code::kModelUnsupported, "the graph asks for an input '" + name +
                                               "'; known inputs are input_ids, attention_mask and token_type_ids");
    }
    if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64) {
      throw Error(Code::kModelUnsupported, "the graph's input '" + name + "' must be an int64 tensor");
    }
  }
  if (!graph_.Has("input_ids")) {
    throw Error(Code::kModelUnsupported, "the graph has no input 'input_ids'");
  }
}

void RuntimeSession::RequireVaryingLength(const RuntimeGraph::Input& input) {
  const std::vector<int64_t>& shape = input.shape;
  if (shape.size() != 2 || shape[0] > 1 || shape[1] > 0) {
    std::string sizes;
    for (const int64_t size : shape) {
      sizes += (sizes.empty() ? "" : ", ") + (size < 0 ? std::string("any") : std::to_string(size));
    }
    throw Error(Code::kModelUnsupported, "the graph's input '" + input.name + "' has the shape [" + sizes +
                                             "]; one text of any number of tokens must fit, so export it with a "
                                             "dynamic sequence axis");
  }
}

void RuntimeSession::Run(std::span<TextTask* const> tasks, Scratch& scratch) const {
  for (TextTask* task : tasks) {
    float* vector = task->vectors;
    for (const TokenWindow& window : task->windows) {
      if (!scratch.types.empty()) {
        const auto first = scratch.types.begin() + static_cast<ptrdiff_t>(window.first_id);
        scratch.type_ids.assign(first, first + static_cast<ptrdiff_t>(window.id_count));
      }
      Encode(std::span(scratch.ids).subspan(window.first_id, window.id_count), task->skipped_tokens, scratch, vector);
      vector += info_.width;
    }
  }
}

void RuntimeSession::Encode(std::span<int64_t> ids, size_t skipped, Scratch& scratch, float* vector) const {
  const size_t tokens = ids.size();
  const size_t width = graph_.width();
  const Runtime& runtime = graph_.runtime();
  const OrtApi& api = runtime.api();
  const OrtRunOptions* options = scratch.RunOptions(runtime);
  scratch.ThrowIfStopped();  // a stop while the text was tokenized
  if (scratch.ones.size() < tokens) {
    scratch.ones.resize(tokens, 1);
    scratch.zeros.resize(tokens, 0);
  }
  const size_t values = (pools() ? 1 : tokens) * width;
  if (scratch.hidden.size() < values) {
    scratch.hidden.resize(values);
  }
  if (graph_.halves() && scratch.halves.size() < values) {
    scratch.halves.resize(values);
  }

  std::array<OrtOwned<OrtValue>, 4> owned{
      OrtOwned<OrtValue>(nullptr, api.ReleaseValue), OrtOwned<OrtValue>(nullptr, api.ReleaseValue),
      OrtOwned<OrtValue>(nullptr, api.ReleaseValue), OrtOwned<OrtValue>(nullptr, api.ReleaseValue)};
  std::array<const char*, 3> names{};
  std::array<const OrtValue*, 3> values_in{};
  const std::array<int64_t, 2> input_shape{1, static_cast<int64_t>(tokens)};
  for (size_t i = 0; i < inputs_.size(); ++i) {
    int64_t* source = inputs_[i] == InputKind::kIds    ? ids.data()
                      : inputs_[i] == InputKind::kMask ? scratch.ones.data()
                      : scratch.types.empty()          ? scratch.zeros.data()
                                                       : scratch.type_ids.data();
    OrtValue* value = nullptr;
    runtime.Check(
        api.CreateTensorWithDataAsOrtValue(memory_.get(), source, tokens * sizeof(int64_t), input_shape.data(),
                                           input_shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, &value),
        Code::kInferenceFailed, "input tensor");
    owned[i].reset(value);
    values_in[i] = value;
    names[i] = graph_.inputs()[i].name.c_str();
  }
  const std::array<int64_t, 3> output_shape{1, static_cast<int64_t>(pools() ? width : tokens),
                                            static_cast<int64_t>(width)};
  OrtValue* output = nullptr;
  void* written = graph_.halves() ? static_cast<void*>(scratch.halves.data()) : scratch.hidden.data();
  runtime.Check(
      api.CreateTensorWithDataAsOrtValue(
          memory_.get(), written, values * (graph_.halves() ? sizeof(uint16_t) : sizeof(float)), output_shape.data(),
          pools() ? 2 : 3,
          graph_.halves() ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &output),
      Code::kInferenceFailed, "output tensor");
  owned[3].reset(output);
  const char* output_name = graph_.output().c_str();
  const auto run = [&] {
    graph_.CheckRun(
        api.Run(graph_.session(), options, names.data(), values_in.data(), inputs_.size(), &output_name, 1, &output));
  };
  if (graph_.device() == nullptr) {
    run();
  } else {
    // Concurrent runs would each initialize a set of CUDA's libraries, which takes long.
    const std::lock_guard lock(device_mutex_);
    run();
    graph_.device()->Finish();
  }
  if (graph_.halves()) {
    std::transform(scratch.halves.begin(), scratch.halves.begin() + static_cast<ptrdiff_t>(values),
                   scratch.hidden.begin(), FromFloat16);
  }
  // A vector that the graph has pooled is the only row.
  PoolAndFinish(pools() ? PoolingOptions{Pooling::kCls, pooling_.normalize, pooling_.kept} : pooling_,
                scratch.hidden.data(), pools() ? 1 : tokens, pools() ? 0 : skipped, width, vector);
}

}  // namespace gabion
