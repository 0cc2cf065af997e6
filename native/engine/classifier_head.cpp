#include "classifier_head.hpp"

#include <algorithm>
#include <cmath>

#include "status.hpp"

namespace gabion {
namespace {

double Activate(Activation activation, double value) {
  switch (activation) {
    case Activation::kTanh:
      return std::tanh(value);
    case Activation::kRelu:
      return std::max(value, 0.0);
    case Activation::kGelu:
      return value / 2 * (1 + std::erf(value / std::sqrt(2.0)));
    case Activation::kNone:
      break;
  }
  return value;
}

TokenRange RangeOf(const Feature& feature, const TokenWindow& window) {
  switch (feature.kind) {
    case Feature::Kind::kMean:
      return {0, window.id_count};
    case Feature::Kind::kSegmentMean:
      return window.segments[feature.segment];
    case Feature::Kind::kFirstToken:
      break;
  }
  return {0, 1};
}

}  // namespace

void ClassifierHead::RequireConsistent(size_t width, size_t segments) const {
  bool fits = !features.empty() && !layers.empty() && std::isfinite(scale);
  for (const Feature& feature : features) {
    fits = fits && (feature.kind != Feature::Kind::kSegmentMean || feature.segment < segments);
  }
  size_t inputs = features.size() * width;
  for (const DenseLayer& layer : layers) {
    fits = fits && layer.outputs > 0 && layer.bias.size() == layer.outputs &&
           layer.weight.size() == layer.outputs * inputs;
    inputs = layer.outputs;
  }
  if (!fits) {
    throw Error(Code::kInvalidArgument, "the classifier's head does not fit its encoder");
  }
}

void ClassifierHead::Apply(const float* hidden, size_t width, const TokenWindow& window, float* logits) const {
  std::vector<double> inputs;
  for (const Feature& feature : features) {
    const TokenRange range = RangeOf(feature, window);
    const double factor = static_cast<double>(scale) / static_cast<double>(std::max<size_t>(range.count, 1));
    const size_t at = inputs.size();
    inputs.resize(at + width);
    for (size_t token = range.first; token < range.first + range.count; ++token) {
      for (size_t i = 0; i < width; ++i) {
        inputs[at + i] += static_cast<double>(hidden[token * width + i]);
      }
    }
    std::for_each(inputs.begin() + static_cast<ptrdiff_t>(at), inputs.end(), [&](double& value) { value *= factor; });
  }
  for (const DenseLayer& layer : layers) {
    std::vector<double> outputs(layer.bias.begin(), layer.bias.end());
    for (size_t output = 0; output < layer.outputs; ++output) {
      const float* row = layer.weight.data() + output * inputs.size();
      for (size_t i = 0; i < inputs.size(); ++i) {
        outputs[output] += inputs[i] * static_cast<double>(row[i]);
      }
      outputs[output] = Activate(layer.activation, outputs[output]);
    }
    inputs = std::move(outputs);
  }
  std::transform(inputs.begin(), inputs.end(), logits, [](double value) { return static_cast<float>(value); });
}

}  // namespace gabion
