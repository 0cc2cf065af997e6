// A file that is mapped while a model is in use. Replacing it as package managers do (a new file under the old name) is
// harmless; writing into it changes the weights of running models, and truncating it makes their next read of a lost
// page a fatal signal. So it is checked before and after each run, which costs less than a microsecond.
#pragma once

#include <cstdint>
#include <string>

namespace gabion {

class WatchedFile {
 public:
  /// Throws kModelNotFound when the file cannot be opened.
  explicit WatchedFile(std::string path);
  ~WatchedFile();
  WatchedFile(const WatchedFile&) = delete;
  WatchedFile& operator=(const WatchedFile&) = delete;

  /// Throws kModelInvalid when the file was written to or truncated since it was opened.
  void RequireUnchanged() const;

 private:
  /// File attributes that every write changes.
  struct Mark {
    int64_t bytes = -1;
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
    bool operator==(const Mark&) const = default;
  };
  static bool Look(int descriptor, Mark& mark) noexcept;

  std::string path_;
  int descriptor_;
  Mark first_;
};

}  // namespace gabion
