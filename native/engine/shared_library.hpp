// Libraries opened at run time, and how the system names files: what differs between Linux, macOS and Windows there.
#pragma once

#include <filesystem>
#include <string>

namespace gabion {

enum class LibraryScope {
  kOwn,     ///< its symbols are found by name only
  kShared,  ///< libraries that are opened later find its symbols too
};

/// Opens a library for the rest of the process. Null on failure, with the system's message in `reason`.
void* OpenLibrary(const std::string& path, LibraryScope scope, std::string* reason = nullptr);

/// The address of a function, or null.
void* FindSymbol(void* library, const char* name);

/// The folder of the file that this code was loaded from; empty if the system does not know it.
std::string FolderOfThisBinary();

/// Keeps this code mapped until the process ends, where no linker option does (`-z nodelete`).
void KeepThisBinary() noexcept;

void SetProcessVariable(const char* name, const char* value);

/// A path in UTF-8 as the system has it: what ONNX Runtime takes as ORTCHAR_T.
inline std::filesystem::path NativePath(const std::string& path) {
  return {reinterpret_cast<const char8_t*>(path.c_str())};
}

}  // namespace gabion
