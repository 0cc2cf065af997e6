#include "runtime.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <utility>

#include "shared_library.hpp"

namespace gabion {
namespace {

std::atomic<size_t> open_count{0};

#if defined(_WIN32)
constexpr const char* kLibraryName = "gabion_onnx.dll";
constexpr const char* kOfficialName = "onnxruntime.dll";
#elif defined(__APPLE__)
constexpr const char* kLibraryName = "libgabion_onnx.1.dylib";
constexpr const char* kOfficialName = "libonnxruntime.";
#else
constexpr const char* kLibraryName = "libgabion_onnx.so.1";
constexpr const char* kOfficialName = "libonnxruntime.so";
#endif

// Systems that ONNX Runtime is not built for.
#if defined(__APPLE__) && defined(__x86_64__)
constexpr const char* kWithoutRuntime = "macOS on x64";
#elif defined(__linux__) && !defined(__GLIBC__)
constexpr const char* kWithoutRuntime = "Linux with musl";
#else
constexpr const char* kWithoutRuntime = nullptr;
#endif

// ONNX Runtime has no code of its own for it: what the C++ library, its arena and the system say.
bool IsOfMemory(const std::string& message) {
  const char* const signs[] = {"bad_alloc", "Failed to allocate memory", "Cannot allocate memory"};
  return std::any_of(std::begin(signs), std::end(signs),
                     [&](const char* sign) { return message.find(sign) != std::string::npos; });
}

}  // namespace

const Runtime& Runtime::Get() {
  static std::mutex mutex;
  static const Runtime* runtime = nullptr;
  const std::lock_guard lock(mutex);
  if (runtime == nullptr) {
    const std::string folder = FolderOfThisBinary();
    if (folder.empty()) {
      throw Error(Code::kRuntimeMissing, "the folder of the native addon could not be found");
    }
    runtime = new Runtime(folder + "/" + kLibraryName);  // never freed, see the head of runtime.hpp
  }
  return *runtime;
}

const Runtime& Runtime::NextTo(const std::string& provider_library) {
  static std::mutex mutex;
  static std::map<std::string, const Runtime*> runtimes;
  const std::filesystem::path folder = NativePath(provider_library).parent_path();
  const std::lock_guard lock(mutex);
  const Runtime*& runtime = runtimes[folder.string()];
  if (runtime == nullptr) {
    std::error_code error;
    std::string library;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(kOfficialName) && name.size() > library.size()) {
        library = name;  // links have shorter names than what they lead to
      }
    }
    if (library.empty()) {
      throw Error(Code::kRuntimeMissing, "there is no " + std::string(kOfficialName) + "* in " + folder.string());
    }
    runtime = new Runtime((folder / library).string());
  }
  return *runtime;
}

size_t Runtime::OpenCount() noexcept { return open_count; }

Runtime::Runtime(std::string library_path) : library_path_(std::move(library_path)) {
  // Read by the library's static initializers: later calls (DisableTelemetryEvents) come too late to stop its files and
  // its uploader thread.
  SetProcessVariable("ORT_DISABLE_TELEMETRY", "1");

  std::string reason;
  void* library = OpenLibrary(library_path_, LibraryScope::kOwn, &reason);
  if (library == nullptr && kWithoutRuntime != nullptr) {
    throw Error(Code::kRuntimeMissing,
                std::string("graphs of standard operators need ONNX Runtime, which there is not for ") +
                    kWithoutRuntime + "; the bundled model and what `gabion model convert` makes run without it (" +
                    reason + ")");
  }
  if (library == nullptr) {
    throw Error(Code::kRuntimeMissing, "ONNX Runtime could not be loaded from " + library_path_ + ": " + reason);
  }
  using GetBase = const OrtApiBase* (*)();
  auto* get_base = reinterpret_cast<GetBase>(FindSymbol(library, "OrtGetApiBase"));
  const OrtApiBase* base = get_base == nullptr ? nullptr : get_base();
  if (base == nullptr) {
    throw Error(Code::kRuntimeIncompatible, library_path_ + " is not an ONNX Runtime library (no OrtGetApiBase)");
  }
  version_ = base->GetVersionString();
  api_ = base->GetApi(ORT_API_VERSION);
  if (api_ == nullptr) {
    throw Error(Code::kRuntimeIncompatible,
                library_path_ + " is ONNX Runtime " + version_ + ", which does not serve API version " +
                    std::to_string(ORT_API_VERSION) + "; 1." + std::to_string(ORT_API_VERSION) + " or newer is needed");
  }
  Check(api_->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "gabion", &environment_), Code::kRuntimeIncompatible,
        "ONNX Runtime did not start");
  ++open_count;
  Check(api_->DisableTelemetryEvents(environment_), Code::kRuntimeIncompatible, "telemetry could not be switched off");
}

void Runtime::Check(OrtStatus* status, Code code, const std::string& context) const {
  if (status == nullptr) {
    return;
  }
  const std::string message = api_->GetErrorMessage(status);
  api_->ReleaseStatus(status);
  throw Error(IsOfMemory(message) ? Code::kOutOfMemory : code, context + ": " + message);
}

}  // namespace gabion
