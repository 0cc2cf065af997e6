// A graph that takes several texts at once, padded to one length (lib/convert/batch-graph.ts), run in ONNX Runtime:
// what a graphics card needs to be fast. On a processor it computes the same, for tests and for who has nothing else.
//
// - Texts are sorted by length and cut into runs of few shapes: a power of two of rows by one of some lengths, at most
//   kTokensAtOnce in all. A shape keeps its bindings and, on a CUDA device, from its third run on all that a run starts
//   there as one CUDA graph: copy of the inputs and some sixty kernels. Shapes of one row are prepared when the session
//   is made.
// - Inputs lie in one block that is filled by the processor, in memory that the device copies from by itself. The
// device
//   writes the vectors back into the process's memory.
// - ONNX Runtime captures graphs as well, but once more on every thread that runs it; what is captured here is launched
// from any.
// - One run at a time: a device computes faster with larger runs than with several beside each other. Whoever waits has
//   tokenized already.
// - A text's vector depends on its run's shape by what the device's libraries round otherwise there.
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

#include "pooling.hpp"
#include "runtime_graph.hpp"
#include "session.hpp"

namespace gabion {

/// Whether a file is such a graph.
bool IsBatchGraph(const std::string& graph_file);

class BatchSession final : public Session {
 public:
  static constexpr size_t kTokensAtOnce = 16384;
  /// More at once are not computed any faster on an H200, and leave fewer to be tokenized by another thread meanwhile.
  static constexpr size_t kTextsAtOnce = 128;

  /// See OpenSession. Throws kModelUnsupported for a pooling that is no weighted sum.
  BatchSession(const std::string& graph_file, const std::vector<std::string>& providers, Pooling pooling,
               size_t maximum_tokens);
  ~BatchSession() override;

  void Run(size_t tokens, Scratch& scratch) const override;
  const Runtime* runtime() const noexcept override { return &graph_.runtime(); }
  size_t texts_at_once() const noexcept override { return kTextsAtOnce; }
  void RunTogether(std::span<const std::span<const int64_t>> texts, const Scratch& scratch,
                   float* vectors) const override;

 private:
  struct Shape {
    size_t rows = 0;
    size_t tokens = 0;
    auto operator<=>(const Shape&) const = default;
  };
  struct Plan;

  size_t Together(std::span<const std::span<const int64_t>> texts) const;
  /// The shape in which most of so many texts run.
  Shape ShapeFor(size_t texts, size_t longest) const;
  size_t PaddedLength(size_t tokens) const;
  Plan& PlanFor(const Shape& shape) const;
  std::unique_ptr<Plan> MakePlan(const Shape& shape) const;
  /// What depends on the length alone, where the device reads it; kept for all shapes of that length.
  void* LengthInput(const std::string& name, size_t tokens) const;
  /// Runs one plan; its texts' vectors are in `output_`.
  void Execute(Plan& plan, std::span<const std::span<const int64_t>> texts) const;
  void Fill(const Shape& shape, std::span<const std::span<const int64_t>> texts) const;
  void WriteVector(size_t row, size_t tokens, float* vector) const;

  // What the inputs need, from the start of the block: ids, lengths, weights.
  struct Offsets {
    size_t lengths;
    size_t weights;
    size_t end;
  };
  static Offsets OffsetsOf(const Shape& shape);

  const RuntimeGraph graph_;
  const Pooling pooling_;
  const size_t maximum_tokens_;

  mutable std::mutex mutex_;            // held while anything below is used
  std::shared_ptr<void> block_;         ///< filled by the processor
  std::shared_ptr<void> device_block_;  ///< read by the graph; the same as `block_` on a processor
  std::shared_ptr<void> output_;        ///< float [rows, width], written by the graph
  OrtOwned<OrtMemoryInfo> processor_memory_;
  mutable std::map<std::pair<std::string, size_t>, std::shared_ptr<void>> length_inputs_;
  mutable std::map<Shape, std::unique_ptr<Plan>> plans_;
};

}  // namespace gabion
