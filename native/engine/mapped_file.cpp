#include "mapped_file.hpp"

#if defined(_WIN32)
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>

#include "shared_library.hpp"
#include "status.hpp"

namespace gabion {

#if defined(_WIN32)

MappedFile::MappedFile(const std::string& path) {
  HANDLE file = CreateFileW(NativePath(path).c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
                            OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  LARGE_INTEGER found{};
  if (file == INVALID_HANDLE_VALUE || GetFileSizeEx(file, &found) == 0) {
    const std::string reason = std::system_category().message(static_cast<int>(GetLastError()));
    if (file != INVALID_HANDLE_VALUE) {
      CloseHandle(file);
    }
    throw Error(Code::kModelNotFound, path + " cannot be opened: " + reason);
  }
  size_ = static_cast<size_t>(found.QuadPart);
  HANDLE mapping = size_ == 0 ? nullptr : CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  data_ = mapping == nullptr ? nullptr : static_cast<const char*>(MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0));
  const bool full = GetLastError() == ERROR_NOT_ENOUGH_MEMORY;
  if (mapping != nullptr) {
    CloseHandle(mapping);  // the view keeps both
  }
  CloseHandle(file);
  if (data_ == nullptr) {
    if (size_ > 0 && full) {
      throw Error(Code::kOutOfMemory, "there is no memory to map " + path);
    }
    throw Error(Code::kModelInvalid, path + (size_ == 0 ? " is empty" : " cannot be mapped"));
  }
}

MappedFile::~MappedFile() { UnmapViewOfFile(data_); }

// The system takes pages of files from a process by itself.
void MappedFile::Release(const void* /*start*/, size_t /*bytes*/) const noexcept {}

#else

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

// It is about pages of this file, though it needs none of its members.
// NOLINTNEXTLINE(readability-convert-member-functions-to-static)
void MappedFile::Release(const void* start, size_t bytes) const noexcept {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto from = reinterpret_cast<uintptr_t>(start);
  const uintptr_t first = (from + page - 1) / page * page;
  const uintptr_t end = (from + bytes) / page * page;
  if (end > first) {
    madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
  }
}

#endif

}  // namespace gabion
