#include "shared_library.hpp"

#if defined(_WIN32)
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include <cstdlib>
#include <system_error>

namespace gabion {

#if defined(_WIN32)

void* OpenLibrary(const std::string& path, LibraryScope /*scope*/, std::string* reason) {
  HMODULE library = LoadLibraryW(NativePath(path).c_str());
  if (library == nullptr && reason != nullptr) {
    *reason = std::system_category().message(static_cast<int>(GetLastError()));
  }
  return library;
}

void* FindSymbol(void* library, const char* name) {
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(library), name));
}

std::string FolderOfThisBinary() {
  HMODULE binary = nullptr;
  std::wstring file(32768, L'\0');
  constexpr DWORD kByAddress = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
  if (GetModuleHandleExW(kByAddress, reinterpret_cast<LPCWSTR>(&FolderOfThisBinary), &binary) == 0) {
    return "";
  }
  file.resize(GetModuleFileNameW(binary, file.data(), static_cast<DWORD>(file.size())));
  const std::u8string folder = std::filesystem::path(file).parent_path().u8string();
  return {folder.begin(), folder.end()};
}

void KeepThisBinary() noexcept {
  HMODULE binary = nullptr;
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN,
                     reinterpret_cast<LPCWSTR>(&KeepThisBinary), &binary);
}

void SetProcessVariable(const char* name, const char* value) { _putenv_s(name, value); }

#else

void* OpenLibrary(const std::string& path, LibraryScope scope, std::string* reason) {
  const int flags = scope == LibraryScope::kOwn ? RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE : RTLD_LAZY | RTLD_GLOBAL;
  void* library = dlopen(path.c_str(), flags);
  if (library == nullptr && reason != nullptr) {
    const char* said = dlerror();
    *reason = said == nullptr ? "unknown reason" : said;
  }
  return library;
}

void* FindSymbol(void* library, const char* name) { return dlsym(library, name); }

std::string FolderOfThisBinary() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&FolderOfThisBinary), &info) == 0 || info.dli_fname == nullptr) {
    return "";
  }
  const std::string file = info.dli_fname;
  const auto slash = file.find_last_of('/');
  return slash == std::string::npos ? "." : file.substr(0, slash);
}

void KeepThisBinary() noexcept {
#if defined(__APPLE__)
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&KeepThisBinary), &info) != 0 && info.dli_fname != nullptr) {
    dlopen(info.dli_fname, RTLD_LAZY | RTLD_NODELETE | RTLD_NOLOAD);
  }
#endif
}

void SetProcessVariable(const char* name, const char* value) { setenv(name, value, 1); }

#endif

}  // namespace gabion
