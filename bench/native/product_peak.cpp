// Rate of the GEMMs of the encoder's linear layers alone. Those of all-MiniLM-L6-v2 amount to twelve
// 384×384 matrices per layer: the encoder splits the wider ones into such K-blocks, too. Six layers of random
// weights pass by, in chunks of rows as there. The time with one panel of columns, which has all the rounding of
// activations and little else, is taken from the time with all. Where float products go by Strassen's algorithm, the
// multiply-adds are those of the plain product: a rate may then be beyond the peak.
//
// usage: product_peak PRECISION TOKENS…      fp32, bf16 or int8; prints one line of JSON: 10⁹ multiply-adds per second.

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
using gabion::kernels::Variant;
using Clock = std::chrono::steady_clock;

constexpr size_t kMatrices = 6 * 12;
constexpr size_t kWidth = 384;
constexpr size_t kMostRows = 96;  // of a chunk, as the encoder cuts a text

/// Matrices of random weights, packed contiguously, as those of an encoder are.
class Matrices {
 public:
  Matrices(const Variant& variant, Format format, size_t outputs, std::mt19937& random) : bias_(outputs) {
    const size_t panel = variant.panel_columns;
    std::vector<float> weights(kWidth * outputs);
    gabion::kernels::PackingJob job{{weights.data(), false}, kWidth, outputs, 1, {}};
    for (size_t at = 0; at < outputs; at += panel) job.panel_columns.push_back(at);
    const auto size = SizeOf(job, format, panel);
    // The last panel's pass prefetches one more, which is never read.
    panels_ = AlignedBytes((kMatrices + 1) * size.panel_bytes);
    scales_.resize(kMatrices * size.scale_count);
    std::normal_distribution<float> normal(0, 0.05F);
    for (size_t i = 0; i < kMatrices; ++i) {
      std::generate(weights.begin(), weights.end(), [&] { return normal(random); });
      char* panels = static_cast<char*>(panels_.get()) + i * size.panel_bytes;
      float* scales = scales_.empty() ? nullptr : scales_.data() + i * size.scale_count;
      for (size_t number = 0; number < PanelsOf(job); ++number) {
        PackPanel(job, format, panel, number, panels, scales);
      }
      all_.push_back({panels, scales, bias_.data(), outputs, size.depth, 1, size.group, nullptr});
    }
  }
  const std::vector<PackedLinear>& all() const { return all_; }

 private:
  std::vector<float> bias_;
  AlignedBytes panels_;
  std::vector<float> scales_;
  std::vector<PackedLinear> all_;
};

double MedianOf(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// All matrices, chunk by chunk, once; seconds.
double Pass(const Variant& variant, Format format, const Matrices& matrices, const std::vector<float>& x, size_t tokens,
            void* workspace, std::vector<float>& y) {
  const size_t chunks = (tokens + kMostRows - 1) / kMostRows;
  const auto start = Clock::now();
  for (const PackedLinear& linear : matrices.all()) {
    for (size_t chunk = 0; chunk < chunks; ++chunk) {
      const size_t first = tokens * chunk / chunks;
      const size_t rows = tokens * (chunk + 1) / chunks - first;
      variant.linear(format, linear, x.data() + first * kWidth, rows, workspace, y.data());
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
  std::mt19937 random(1);
  const Matrices whole(variant, format, kWidth, random);
  const Matrices narrow(variant, format, panel, random);
  constexpr auto kColumns = static_cast<double>(kWidth);
  std::printf("{");
  for (int argument = 2; argument < count; ++argument) {
    const size_t tokens = std::strtoul(arguments[argument], nullptr, 10);
    std::vector<float> x(tokens * kWidth);
    std::normal_distribution<float> normal(0, 1);
    std::generate(x.begin(), x.end(), [&] { return normal(random); });
    std::vector<float> y(kMostRows * kWidth);
    const AlignedBytes workspace(kMostRows * (2 * kWidth + 128) * sizeof(float) + 65536);
    std::vector<double> beyond;
    for (const auto start = Clock::now(); beyond.size() < 9 || Clock::now() - start < std::chrono::seconds(1);) {
      const double all = Pass(variant, format, whole, x, tokens, workspace.get(), y);
      const double one = Pass(variant, format, narrow, x, tokens, workspace.get(), y);
      beyond.push_back((all - one) * kColumns / (kColumns - static_cast<double>(panel)));
    }
    const double products = static_cast<double>(kMatrices * tokens * kWidth * kWidth);
    std::printf("%s\"%zu\":%.1f", argument == 2 ? "" : ",", tokens, products / MedianOf(beyond) / 1e9);
  }
  std::printf("}\n");
}
