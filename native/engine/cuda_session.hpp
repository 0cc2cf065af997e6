// Padded batches for a CUDA device: a graph that takes several token sequences at once (lib/convert/batch-graph.ts),
// run in ONNX Runtime. Without a device it computes the same on the processor, which is how tests run it.
//
// - Sequences are sorted by length and split into batches of few shapes: a power of two of rows by one of some lengths,
//   at most kMaxBatchTokens in all. Each shape keeps its bindings and, on a device, from the third batch on a CUDA
//   graph of everything that it launches there: the copy of the inputs and about sixty kernels. Shapes of one row are
//   captured when the session is opened.
// - The processor fills one block of inputs, in host memory that the device copies from. The device writes the vectors
//   back into host memory.
// - ONNX Runtime captures CUDA graphs as well, but once per thread that runs them; a graph captured here is launched
//   from any thread.
// - One batch at a time: a device is faster with larger batches than with several concurrent ones. A thread that waits
//   has already tokenized.
// - A vector depends on its batch's shape through the rounding of the device's libraries, which choose kernels by it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime_graph.hpp"
#include "session.hpp"

namespace gabion {

/// Whether a file is a graph for padded batches.
bool IsBatchGraph(const std::string& graph_file);

class CudaSession final : public Session {
 public:
  static constexpr size_t kMaxBatchTokens = 16384;
  /// More rows are not any faster on an H200, and leave fewer for another thread to tokenize meanwhile.
  static constexpr size_t kMaxBatchRows = 128;

  /// See OpenSession. Throws kModelUnsupported for a pooling that is not a weighted sum.
  explicit CudaSession(const SessionOptions& options);
  ~CudaSession() override;

  const SessionInfo& info() const noexcept override { return info_; }
  void Run(std::span<TextTask* const> tasks, Scratch& scratch) const override;
  size_t max_batch() const noexcept override { return kMaxBatchRows; }

 private:
  /// A row of a batch: a window's ids, and where its vector goes.
  struct Sequence {
    std::span<const int64_t> ids;
    float* vector = nullptr;
    size_t skipped = 0;  ///< leading tokens that are not pooled
  };
  struct Shape {
    size_t rows = 0;
    size_t tokens = 0;
    auto operator<=>(const Shape&) const = default;
  };
  struct Plan;

  size_t BatchSize(std::span<const Sequence> sequences) const;
  /// The shape in which most of so many sequences run.
  Shape ShapeFor(size_t sequences, size_t longest) const;
  size_t PaddedLength(size_t tokens) const;
  Plan& PlanFor(const Shape& shape) const;
  std::unique_ptr<Plan> MakePlan(const Shape& shape) const;
  /// An input that depends on the length alone, in the device's memory; kept for all shapes of that length.
  void* LengthInput(const std::string& name, size_t tokens) const;
  /// Runs one plan; the vectors are in `output_`.
  void Execute(Plan& plan, std::span<const Sequence> sequences) const;
  void FillInputs(const Shape& shape, std::span<const Sequence> sequences) const;
  void WriteVector(size_t row, const Sequence& sequence) const;

  // Of the inputs from the start of the block: ids, lengths, weights.
  struct Offsets {
    size_t lengths;
    size_t weights;
    size_t end;
  };
  static Offsets OffsetsOf(const Shape& shape);

  const RuntimeGraph graph_;
  const PoolingOptions pooling_;
  const size_t max_tokens_;
  const SessionInfo info_;

  mutable std::mutex mutex_;            // held while anything below is used
  std::shared_ptr<void> block_;         ///< filled by the processor
  std::shared_ptr<void> device_block_;  ///< read by the graph; the same as `block_` on a processor
  std::shared_ptr<void> output_;        ///< float [rows, width], written by the graph
  OrtOwned<OrtMemoryInfo> processor_memory_;
  mutable std::map<std::pair<std::string, size_t>, std::shared_ptr<void>> length_inputs_;
  mutable std::map<Shape, std::unique_ptr<Plan>> plans_;
};

}  // namespace gabion
