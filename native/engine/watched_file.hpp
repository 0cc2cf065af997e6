// A file that is mapped while a model is in use. Who replaces it as package managers do (a new file under the old name)
// changes nothing for us; who writes into it changes the weights of running models, and who cuts it short makes their
// next read of a page that is gone a fatal signal. So it is looked at before and after each run, which costs less than
// a microsecond.
#pragma once

#include <sys/stat.h>

#include <string>

namespace gabion {

class WatchedFile {
 public:
  /// Throws kModelNotFound when the file cannot be opened.
  explicit WatchedFile(std::string path);
  ~WatchedFile();
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;

  /// Throws kModelInvalid when somebody has written into the file or cut it since it was opened.
  void RequireUnchanged() const;

 private:
  std::string path_;
  int descriptor_;
  struct stat first_{};
};

}  // namespace gabion
