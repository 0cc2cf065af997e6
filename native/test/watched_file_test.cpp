#include "watched_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "test_model.hpp"

namespace gabion {
namespace {

class WatchedFileTest : public testing::Test {
 protected:
  void SetUp() override { Write(path_, "some weights"); }
  void TearDown() override { std::filesystem::remove(path_); }

  static void Write(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
    // File timestamps have a resolution of milliseconds: this one certainly differs.
    static int step = 0;
    std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() + std::chrono::hours(++step));
  }

  std::string path_ = testing::TempDir() + "gabion-watched";
};

TEST_F(WatchedFileTest, SeesThatItWasWrittenToOrCut) {
  const WatchedFile watched(path_);
  watched.RequireUnchanged();
  Write(path_, "some weights");
  EXPECT_EQ(test::CodeOf([&] { watched.RequireUnchanged(); }), Code::kModelInvalid);
  const WatchedFile again(path_);
  std::filesystem::resize_file(path_, 3);
  EXPECT_EQ(test::CodeOf([&] { again.RequireUnchanged(); }), Code::kModelInvalid);
}

TEST_F(WatchedFileTest, TakesAFileThatIsReplacedOrGone) {
  const WatchedFile watched(path_);
  Write(path_ + ".new", "others");
  std::filesystem::rename(path_ + ".new", path_);
  watched.RequireUnchanged();
  std::filesystem::remove(path_);
  watched.RequireUnchanged();
}

TEST_F(WatchedFileTest, RefusesWhatIsNotThere) {
  EXPECT_EQ(test::CodeOf([&] { WatchedFile("/nowhere/weights"); }), Code::kModelNotFound);
}

}  // namespace
}  // namespace gabion
