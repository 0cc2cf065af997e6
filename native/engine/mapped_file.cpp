#include "mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "status.hpp"

namespace gabion {

MappedFile::MappedFile(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat found{};
  if (descriptor < 0 || fstat(descriptor, &found) != 0) {
    const std::string reason = std::strerror(errno);
    if (descriptor >= 0) {
      close(descriptor);
    }
    throw Error(Code::kModelNotFound, path + " cannot be opened: " + reason);
  }
  size_ = static_cast<size_t>(found.st_size);
  void* mapped = size_ == 0 ? MAP_FAILED : mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int failure = errno;
  close(descriptor);
  if (mapped == MAP_FAILED) {
    if (size_ > 0 && failure == ENOMEM) {
      throw Error(Code::kOutOfMemory, "there is no memory to map " + path);
    }
    throw Error(Code::kModelInvalid, path + (size_ == 0 ? " is empty" : " cannot be mapped"));
  }
  data_ = static_cast<const char*>(mapped);
}

MappedFile::~MappedFile() { munmap(const_cast<char*>(data_), size_); }

void MappedFile::Release(const void* start, size_t bytes) const noexcept {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto from = reinterpret_cast<uintptr_t>(start);
  const uintptr_t first = (from + page - 1) / page * page;
  const uintptr_t end = (from + bytes) / page * page;
  if (end > first) {
    madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
  }
}

}  // namespace gabion
