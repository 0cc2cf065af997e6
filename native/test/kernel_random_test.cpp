// Random encoders against plain double precision: random sizes, lengths and precisions. GABION_FUZZ_SECONDS
// sets the duration (2 of CPU time by default; `npm run fuzz` for more), GABION_FUZZ_SEED the first seed,
// GABION_ISA a single instruction set. A failure names the seed that reproduces it.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <ctime>
#include <random>
#include <stdexcept>

#include "kernel_reference.hpp"

namespace gabion {
namespace {

using kernels::Encoder;
using kernels::EncoderShape;
using kernels::Precision;
using kernels::Variant;
using test::RelativeError;

/// Upper bound of multiply-adds per case: the reference is slow, and many small cases find more than few large ones.
constexpr double kMaxWork = 3e7;

uint32_t NumberFrom(const char* name, uint32_t usual) {
  const char* text = std::getenv(name);
  return text == nullptr ? usual : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

double MultiplyAdds(const EncoderShape& shape, size_t tokens) {
  const auto hidden = static_cast<double>(shape.hidden);
  const double linear = hidden * (4 * hidden + 2 * static_cast<double>(shape.intermediate));
  return static_cast<double>(shape.layers * tokens) * (linear + 2 * hidden * static_cast<double>(tokens));
}

EncoderShape RandomShape(std::mt19937& random) {
  const auto below = [&](size_t bound) { return static_cast<size_t>(random() % bound); };
  // Mostly supported sizes, some that the kernels must refuse.
  const size_t step = below(8) == 0 ? 1 + below(40) : 32;
  const size_t heads = 1 + below(13);
  const size_t width = below(2) == 0 ? 32 * (1 + below(3)) : 8 * (1 + below(16));
  const size_t hidden = below(3) == 0 ? step * (1 + below(16)) : heads * width;
  const size_t intermediate = step * (1 + below(24));
  return {1 + below(2), heads, hidden, intermediate, below(2) == 0 ? 1e-12F : 1e-5F};
}

size_t RandomLength(std::mt19937& random) {
  const size_t most = test::RandomEncoder::kPositions;
  return 1 + random() % (random() % 4 == 0 ? most : 40);
}

double BoundOf(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return 1e-5;
    case Precision::kBf16:
      return 3e-2;
    case Precision::kInt8:
      break;
  }
  // Small layers average rounding errors over few products.
  return 1e-1;
}

/// One case: supported sizes are computed correctly at every position; unsupported ones are refused.
bool RunCase(uint32_t seed, const Variant& variant) {
  std::mt19937 random(seed);
  const EncoderShape shape = RandomShape(random);
  const size_t tokens = RandomLength(random);
  if (shape.hidden % shape.heads != 0 || MultiplyAdds(shape, tokens) > kMaxWork) {
    return false;
  }
  const auto precision = static_cast<Precision>(random() % 3);
  const bool bfloat16 = random() % 2 == 0;
  const test::RandomEncoder reference(shape, seed);
  if (!Encoder::Fits(shape, variant.nr)) {
    EXPECT_THROW(Encoder(shape, reference.Stored(bfloat16), precision, variant), std::invalid_argument);
    return true;
  }
  const Encoder encoder(shape, reference.Stored(bfloat16), precision, variant);
  std::vector<int64_t> ids(tokens);
  for (int64_t& id : ids) id = static_cast<int64_t>(random() % test::RandomEncoder::kVocabulary);
  kernels::Workspace workspace;
  const std::atomic<bool> stop{false};
  std::vector<float> state(tokens * shape.hidden, std::nanf(""));
  EXPECT_TRUE(encoder.Run({ids.data(), tokens}, workspace, stop, nullptr, state.data()));
  EXPECT_LT(RelativeError(state, reference.Run(ids)), BoundOf(precision))
      << shape.layers << " layers, " << shape.heads << " heads, " << shape.hidden << " wide, " << shape.intermediate
      << " inside, " << tokens << " tokens, precision " << static_cast<int>(precision);
  return true;
}

TEST(RandomEncoders, ComputeLikeTheReference) {
  const std::clock_t end = std::clock() + NumberFrom("GABION_FUZZ_SECONDS", 2) * CLOCKS_PER_SEC;
  const uint32_t first = NumberFrom("GABION_FUZZ_SEED", 1);
  auto variants = kernels::UsableVariants();
  if (std::getenv("GABION_ISA") != nullptr) variants = {kernels::ChosenVariant()};
  if (variants.empty()) GTEST_SKIP() << "this processor runs the graph of ONNX Runtime";
  size_t cases = 0;
  for (uint32_t seed = first; std::clock() < end && !HasFailure(); ++seed) {
    for (const Variant* variant : variants) {
      SCOPED_TRACE(std::string(variant->name) + ": GABION_FUZZ_SEED=" + std::to_string(seed));
      cases += RunCase(seed, *variant) ? 1 : 0;
    }
  }
  EXPECT_GT(cases, 0U);
  std::printf("%zu random encoders, seeds from %u\n", cases, first);
}

}  // namespace
}  // namespace gabion
