#include "memory_room.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <string>

namespace gabion {
namespace {

size_t AddressSpace() {
  std::ifstream pages("/proc/self/statm");
  size_t count = 0;
  pages >> count;
  return count * 4096;
}

TEST(MemoryRoom, IsThereForALittleAndNotForMoreThanAnyMachineHas) {
  EXPECT_TRUE(HasRoomFor(4096));
  EXPECT_TRUE(HasRoomFor(size_t{64} << 20U));
  EXPECT_FALSE(HasRoomFor(size_t{1} << 60U));
}

// A sanitizer maps memory of its own at any time.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(MemoryRoom, EndsAtTheLimitOfTheProcess) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = AddressSpace() + (size_t{32} << 20U);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  const bool small = HasRoomFor(size_t{4} << 20U);
  const bool large = HasRoomFor(size_t{64} << 20U);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_TRUE(small);
  EXPECT_FALSE(large);
}
#endif

}  // namespace
}  // namespace gabion
