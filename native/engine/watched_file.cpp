#include "watched_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "status.hpp"

namespace gabion {

WatchedFile::WatchedFile(std::string path)
    : path_(std::move(path)), descriptor_(open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0 || fstat(descriptor_, &first_) != 0) {
    const std::string reason = std::strerror(errno);
    if (descriptor_ >= 0) {
      close(descriptor_);
    }
    throw Error(Code::kModelNotFound, "the weights " + path_ + " cannot be opened: " + reason);
  }
}

WatchedFile::~WatchedFile() { close(descriptor_); }

void WatchedFile::RequireUnchanged() const {
  struct stat now{};
  const bool same = fstat(descriptor_, &now) == 0 && now.st_size == first_.st_size &&
                    now.st_mtim.tv_sec == first_.st_mtim.tv_sec && now.st_mtim.tv_nsec == first_.st_mtim.tv_nsec;
  if (!same) {
    throw Error(Code::kModelInvalid, "the weights " + path_ +
                                         " were written to while the model was in use; bring the file back (gabion "
                                         "model verify says whether it is right) and load the model again");
  }
}

}  // namespace gabion
