#include <gtest/gtest.h>

#include <cstddef>
#include <utility>

#include "../system/thread.hpp"
#include "../system/x64_features.hpp"

namespace gabion {
namespace {

/// Takes 64 KB of stack a level, and returns the levels.
size_t Recurse(size_t levels) {
  volatile char frame[size_t{64} << 10U];
  frame[0] = 1;
  frame[sizeof frame - 1] = 1;
  return levels == 0
             ? 0
             : Recurse(levels - 1) + static_cast<size_t>(frame[0]) * static_cast<size_t>(frame[sizeof frame - 1]);
}

TEST(ThreadTest, HasAStackOfEightMegabytes) {
  constexpr size_t kLevels = 96;  // 6 MB
  size_t reached = 0;
  Thread thread([&] { reached = Recurse(kLevels); });
  thread.join();
  EXPECT_EQ(reached, kLevels);
}

TEST(ThreadTest, RunsUntilItIsJoinedWhereverItIsMoved) {
  int count = 0;
  Thread first([&] { ++count; });
  Thread second = std::move(first);
  first = Thread([&] {});
  first.join();
  second.join();
  EXPECT_EQ(count, 1);
}

TEST(ThreadTest, EndsTheProcessIfItIsDroppedUnjoined) {
  EXPECT_DEATH({ const Thread thread([] {}); }, "");
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
TEST(X64Features, AreWhatTheCompilersRuntimeFinds) {
  __builtin_cpu_init();
  const X64Features has = FindX64Features();
  const bool avx2 = __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                      __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
  EXPECT_EQ(has.avx2, avx2);
  EXPECT_EQ(has.avx512, avx512);
  EXPECT_EQ(has.avx512_vnni, avx512 && __builtin_cpu_supports("avx512vnni") != 0);
  EXPECT_EQ(has.avx512_bf16, avx512 && __builtin_cpu_supports("avx512bf16") != 0);
}
#endif

}  // namespace
}  // namespace gabion
