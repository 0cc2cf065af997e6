// Measures the GEMM rate of the encoder's linear layers in isolation. Those of all-MiniLM-L6-v2 amount to twelve
// matrices of 384 by 384 per layer: the encoder processes the wider ones in such blocks, too. Six layers of random
// weights stream through, in chunks of rows as in the encoder. The time for one panel of columns, which includes the
// whole quantization of activations and little else, is subtracted from the time for all panels. With Strassen's
// algorithm the multiply-adds of the plain product are counted: the rate may then exceed the peak.
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

using gabion::kernels::AlignedBuffer;
using gabion::kernels::Format;
using gabion::kernels::PackedLinear;
using gabion::kernels::Variant;
using Clock = std::chrono::steady_clock;

constexpr size_t kMatrices = 6 * 12;
constexpr size_t kWidth = 384;
constexpr size_t kMaxRows = 96;  // of a chunk, as in the encoder

/// Matrices of random weights, packed one after another into one buffer, as in an encoder.
class Matrices {
 public:
  Matrices(const Variant& variant, Format format, size_t n, std::mt19937& random) : bias_(n) {
    const size_t nr = variant.nr;
    std::vector<float> weights(kWidth * n);
    gabion::kernels::PackingTask task{{weights.data(), false}, kWidth, n, 1, {}};
    for (size_t at = 0; at < n; at += nr) task.panel_columns.push_back(at);
    const auto size = SizeOf(task, format, nr);
    // While the last panel is read, one more is prefetched, which is never read.
    panels_ = AlignedBuffer((kMatrices + 1) * size.panel_bytes);
    scales_.resize(kMatrices * size.scale_count);
    std::normal_distribution<float> normal(0, 0.05F);
    for (size_t i = 0; i < kMatrices; ++i) {
      std::generate(weights.begin(), weights.end(), [&] { return normal(random); });
      char* panels = static_cast<char*>(panels_.get()) + i * size.panel_bytes;
      float* scales = scales_.empty() ? nullptr : scales_.data() + i * size.scale_count;
      for (size_t number = 0; number < PanelCount(task); ++number) {
        PackPanel(task, format, nr, number, panels, scales);
      }
      all_.push_back({panels, scales, bias_.data(), n, size.kc, 1, size.group, nullptr});
    }
  }
  const std::vector<PackedLinear>& all() const { return all_; }

 private:
  std::vector<float> bias_;
  AlignedBuffer panels_;
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
  const size_t chunks = (tokens + kMaxRows - 1) / kMaxRows;
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
  const size_t nr = variant.nr;
  std::mt19937 random(1);
  const Matrices whole(variant, format, kWidth, random);
  const Matrices one_panel(variant, format, nr, random);
  constexpr auto kColumns = static_cast<double>(kWidth);
  std::printf("{");
  for (int argument = 2; argument < count; ++argument) {
    const size_t tokens = std::strtoul(arguments[argument], nullptr, 10);
    std::vector<float> x(tokens * kWidth);
    std::normal_distribution<float> normal(0, 1);
    std::generate(x.begin(), x.end(), [&] { return normal(random); });
    std::vector<float> y(kMaxRows * kWidth);
    const AlignedBuffer workspace(kMaxRows * (2 * kWidth + 128) * sizeof(float) + 65536);
    std::vector<double> differences;
    for (const auto start = Clock::now(); differences.size() < 9 || Clock::now() - start < std::chrono::seconds(1);) {
      const double all_panels = Pass(variant, format, whole, x, tokens, workspace.get(), y);
      const double one = Pass(variant, format, one_panel, x, tokens, workspace.get(), y);
      differences.push_back((all_panels - one) * kColumns / (kColumns - static_cast<double>(nr)));
    }
    const double products = static_cast<double>(kMatrices * tokens * kWidth * kWidth);
    std::printf("%s\"%zu\":%.1f", argument == 2 ? "" : ",", tokens, products / MedianOf(differences) / 1e9);
  }
  std::printf("}\n");
}
