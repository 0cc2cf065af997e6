#include "cpu.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

namespace gabion {
namespace {

TEST(Cpu, ThreadCountStaysWithinTheAffinityMask) {
  EXPECT_GE(DefaultThreadCount(), 1U);
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  EXPECT_LE(DefaultThreadCount(), static_cast<size_t>(CPU_COUNT(&before)));

  cpu_set_t one;
  CPU_ZERO(&one);
  for (size_t processor = 0; processor < CPU_SETSIZE; ++processor) {
    if (CPU_ISSET(processor, &before)) {
      CPU_SET(processor, &one);
      break;
    }
  }
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(DefaultThreadCount(), 1U);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

TEST(Cpu, NamesAnInstructionSet) { EXPECT_FALSE(InstructionSet().empty()); }

}  // namespace
}  // namespace gabion
