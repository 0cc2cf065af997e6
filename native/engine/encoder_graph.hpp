// The file of a graph whose only node is gabion's own operator, `gabion.Encoder`: a whole text encoder in one node.
//
// Inputs: input_ids int64 [1, tokens], then the weights of lib/convert/weight-layout.ts in its order, float or bf16;
// the attention's biases by distance, if there are any, come last. Output: float [1, tokens, hidden], the last hidden
// state. Attributes: layers, heads, hidden, intermediate (int), epsilon (float), activation, architecture (string), and
// padding_id (int) where positions count from behind it. Activation is `gelu`; architecture is one of `bert`, `mpnet`,
// `roberta`, `xlm-roberta`. Pooling and normalization are the folder's (SessionOptions); files of the first versions
// carry attributes of these names as well, which are not read.
//
// It is an ONNX file like any other, but no ONNX Runtime is needed for it: opening that library and a session costs
// more than all else that a process waits for before its first vector.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gabion {

/// A weight, as the graph refers to it.
struct GraphTensor {
  bool bfloat16 = false;  ///< else float
  std::vector<uint64_t> shape;
  std::string location;  ///< of its file, relative to the graph's folder
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

struct EncoderGraph {
  std::map<std::string, int64_t> integers;
  std::map<std::string, float> floats;
  std::map<std::string, std::string> texts;
  std::vector<GraphTensor> weights;  ///< the node's inputs behind the ids
};

/// Reads such a file. Nothing for a file that is anything else, or is damaged: ONNX Runtime can say what it is.
std::optional<EncoderGraph> ReadEncoderGraph(const std::string& file);

/// The same for the contents of a file.
std::optional<EncoderGraph> ParseEncoderGraph(const std::string& contents);

}  // namespace gabion
