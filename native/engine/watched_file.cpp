#include "watched_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

#include <cerrno>
#include <cstring>
#include <utility>

#include "shared_library.hpp"
#include "status.hpp"

namespace gabion {

#if defined(_WIN32)
namespace {
int OpenToRead(const std::string& path) {
  return _wopen(NativePath(path).c_str(), _O_RDONLY | _O_BINARY | _O_NOINHERIT);
}
}  // namespace
bool WatchedFile::Look(int descriptor, Mark& mark) noexcept {
  struct _stat64 found{};
  const bool known = _fstat64(descriptor, &found) == 0;
  mark = {found.st_size, found.st_mtime, 0};
  return known;
}
#else
namespace {
int OpenToRead(const std::string& path) { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }
}  // namespace
bool WatchedFile::Look(int descriptor, Mark& mark) noexcept {
  struct stat found{};
  const bool known = fstat(descriptor, &found) == 0;
#if defined(__APPLE__)
  const timespec& changed = found.st_mtimespec;
#else
  const timespec& changed = found.st_mtim;
#endif
  mark = {found.st_size, changed.tv_sec, changed.tv_nsec};
  return known;
}
#endif

WatchedFile::WatchedFile(std::string path) : path_(std::move(path)), descriptor_(OpenToRead(path_)) {
  if (descriptor_ < 0 || !Look(descriptor_, first_)) {
    const std::string reason = std::strerror(errno);
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
    throw Error(Code::kModelNotFound, "the weights " + path_ + " cannot be opened: " + reason);
  }
}

WatchedFile::~WatchedFile() { close(descriptor_); }

void WatchedFile::RequireUnchanged() const {
  Mark now;
  const bool same = Look(descriptor_, now) && now == first_;
  if (!same) {
    throw Error(Code::kModelInvalid, "the weights " + path_ +
                                         " were written to while the model was in use; bring the file back (gabion "
                                         "model verify says whether it is right) and load the model again");
  }
}

}  // namespace gabion
