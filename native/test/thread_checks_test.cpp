// The assertions of thread rules end a process that breaks one, in builds that have them.
#include "thread_checks.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace gabion {
namespace {

#if defined(GABION_CHECK_THREADS)

TEST(ThreadChecksDeathTest, AnOwnedObjectIsForItsOwnThread) {
  const ThreadOwner owner;
  owner.Check("none");
  EXPECT_DEATH(std::thread([&] { owner.Check("used elsewhere"); }).join(), "thread rule broken: used elsewhere");
}

TEST(ThreadChecksDeathTest, ALockIsHeldWhereItMustBe) {
  Mutex mutex;
  CheckNotHeld(mutex, "none");
  EXPECT_DEATH(CheckHeld(mutex, "not locked"), "thread rule broken: not locked");
  const std::lock_guard lock(mutex);
  CheckHeld(mutex, "none");
  EXPECT_DEATH(CheckNotHeld(mutex, "locked"), "thread rule broken: locked");
  EXPECT_DEATH(std::thread([&] { CheckHeld(mutex, "locked elsewhere"); }).join(), "locked elsewhere");
  EXPECT_DEATH(mutex.lock(), "that it holds");
}

#else

TEST(ThreadChecks, CostNothingInOrdinaryBuilds) {
  CheckThread(false, "nothing is checked");
  EXPECT_EQ(sizeof(Mutex), sizeof(std::mutex));
}

#endif

}  // namespace
}  // namespace gabion
