// What rate do the products of the encoder's linear parts reach by themselves? Shapes of all-MiniLM-L6-v2: six layers
// of four matrices with random weights, so that they pass by as in the model, in chunks of rows as there. A part's time
// with one panel of columns, which has all the rounding of activations and little else, is taken from its time with
// all.
//
// usage: product_peak PRECISION TOKENS…      fp32, bf16 or int8; prints one line of JSON: 10⁹ multiply-adds a second.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../../native/kernels/instruction_set.hpp"
#include "../../native/kernels/memory.hpp"
#include "../../native/kernels/packing.hpp"

namespace {

using gabion::kernels::AlignedBytes;
using gabion::kernels::Format;
using gabion::kernels::PackedLinear;
using gabion::kernels::Precision;
using gabion::kernels::Variant;
using Clock = std::chrono::steady_clock;

constexpr size_t kLayers = 6;
constexpr size_t kHidden = 384;
constexpr size_t kIntermediate = 1536;
constexpr size_t kMostRows = 96;  // of a chunk, as the encoder cuts a text

/// A matrix of random weights, packed.
class Part {
 public:
  Part(const Variant& variant, Format format, size_t inputs, size_t outputs, size_t slices, std::mt19937& random)
      : weights_(inputs * outputs), bias_(outputs) {
    std::normal_distribution<float> normal(0, 0.05F);
    std::generate(weights_.begin(), weights_.end(), [&] { return normal(random); });
    gabion::kernels::PackingJob job{{weights_.data(), false}, inputs, outputs, slices, {}};
    for (size_t at = 0; at < outputs; at += variant.panel_columns) job.panel_columns.push_back(at);
    const auto size = SizeOf(job, format, variant.panel_columns);
    panels_ = AlignedBytes(size.panel_bytes + size.panel_bytes / PanelsOf(job));  // one more is prefetched
    scales_.resize(size.scale_count);
    for (size_t number = 0; number < PanelsOf(job); ++number) {
      PackPanel(job, format, variant.panel_columns, number, panels_.get(), scales_.data());
    }
    linear_ = {panels_.get(), scales_.empty() ? nullptr : scales_.data(),
               bias_.data(),  outputs,
               size.depth,    slices,
               size.group,    nullptr};
  }
  const PackedLinear& linear() const { return linear_; }

 private:
  std::vector<float> weights_;
  std::vector<float> bias_;
  AlignedBytes panels_;
  std::vector<float> scales_;
  PackedLinear linear_{};
};

struct Shape {
  size_t inputs;
  size_t outputs;
  size_t slices;
};

double MedianOf(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// All layers of one shape, chunk by chunk, once; seconds.
double Pass(const Variant& variant, Format format, const std::vector<Part>& parts, const std::vector<float>& x,
            size_t tokens, void* workspace, std::vector<float>& y) {
  const size_t chunks = (tokens + kMostRows - 1) / kMostRows;
  const auto start = Clock::now();
  for (const Part& part : parts) {
    for (size_t chunk = 0; chunk < chunks; ++chunk) {
      const size_t first = tokens * chunk / chunks;
      const size_t rows = tokens * (chunk + 1) / chunks - first;
      const PackedLinear& linear = part.linear();
      variant.linear(format, linear, x.data() + first * linear.depth * linear.slices, rows, workspace, y.data());
    }
  }
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

int main(int count, char** arguments) {
  const std::string precision = count > 1 ? arguments[1] : "";
  const Variant* chosen = gabion::kernels::ChosenVariant();
  if (chosen == nullptr) {
    std::printf("{}\n");
    return 0;
  }
  const Variant& variant = *chosen;
  const Format format = precision == "int8" ? variant.int8 : precision == "bf16" ? variant.bfloat16 : Format::kFloat32;
  const size_t panel = variant.panel_columns;
  const size_t slices = gabion::kernels::SlicesOf(kIntermediate, panel);
  const std::vector<Shape> shapes{
      {kHidden, 3 * kHidden, 1}, {kHidden, kHidden, 1}, {kHidden, kIntermediate, 1}, {kIntermediate, kHidden, slices}};
  std::mt19937 random(1);
  std::vector<std::vector<Part>> whole(shapes.size());
  std::vector<std::vector<Part>> narrow(shapes.size());
  for (size_t i = 0; i < shapes.size(); ++i) {
    for (size_t layer = 0; layer < kLayers; ++layer) {
      whole[i].emplace_back(variant, format, shapes[i].inputs, shapes[i].outputs, shapes[i].slices, random);
      narrow[i].emplace_back(variant, format, shapes[i].inputs, panel, shapes[i].slices, random);
    }
  }
  std::printf("{");
  for (int argument = 2; argument < count; ++argument) {
    const size_t tokens = std::strtoul(arguments[argument], nullptr, 10);
    std::vector<float> x(tokens * kIntermediate);
    std::normal_distribution<float> normal(0, 1);
    std::generate(x.begin(), x.end(), [&] { return normal(random); });
    std::vector<float> y(tokens * kIntermediate);
    const AlignedBytes workspace(tokens * (kIntermediate + 64) * sizeof(float) + 4096);
    std::vector<std::vector<double>> beyond(shapes.size());
    const auto start = Clock::now();
    while (beyond[0].size() < 9 || Clock::now() - start < std::chrono::seconds(1)) {
      for (size_t i = 0; i < shapes.size(); ++i) {
        const double all = Pass(variant, format, whole[i], x, tokens, workspace.get(), y);
        const double one = Pass(variant, format, narrow[i], x, tokens, workspace.get(), y);
        const auto panels = static_cast<double>(shapes[i].outputs / panel);
        beyond[i].push_back((all - one) * panels / (panels - 1));
      }
    }
    double seconds = 0;
    double products = 0;
    for (size_t i = 0; i < shapes.size(); ++i) {
      seconds += MedianOf(beyond[i]);
      products += static_cast<double>(kLayers * tokens * shapes[i].inputs * shapes[i].outputs);
    }
    std::printf("%s\"%zu\":%.1f", argument == 2 ? "" : ",", tokens, products / seconds / 1e9);
  }
  std::printf("}\n");
}
