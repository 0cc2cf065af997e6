// A file that is mapped for reading as long as the object lives. If the file is truncated meanwhile, the next read of a
// lost page is a fatal signal: WatchedFile detects it.
#pragma once

#include <cstddef>
#include <string>

namespace gabion {

class MappedFile {
 public:
  /// Throws kModelNotFound when the file cannot be opened, kModelInvalid when it is empty, kOutOfMemory when there is
  /// no room for its addresses.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const char* data() const noexcept { return data_; }
  size_t size() const noexcept { return size_; }

  /// Drops the whole pages of a part from the process; they stay in the system's page cache, and a later read maps them
  /// again.
  void Release(const void* start, size_t bytes) const noexcept;

 private:
  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace gabion
