#include "runtime.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iterator>
#include <mutex>
#include <string>

#include "shared_library.hpp"

namespace gabion {
namespace {

std::atomic<const Runtime*> the_runtime{nullptr};

#if defined(_WIN32)
constexpr const char* kLibraryName = "gabion_onnx.dll";
#elif defined(__APPLE__)
constexpr const char* kLibraryName = "libgabion_onnx.1.dylib";
#else
constexpr const char* kLibraryName = "libgabion_onnx.so.1";
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
  const std::lock_guard lock(mutex);
  const Runtime* runtime = the_runtime;
  if (runtime == nullptr) {
    runtime = new Runtime();  // never freed, see the head of runtime.hpp
    the_runtime = runtime;
  }
  return *runtime;
}

bool Runtime::IsOpen() noexcept { return the_runtime != nullptr; }

Runtime::Runtime() {
  const std::string folder = FolderOfThisBinary();
  if (folder.empty()) {
    throw Error(Code::kRuntimeMissing, "the folder of the native addon could not be found");
  }
  library_path_ = folder + "/" + kLibraryName;

  // Read by the library's static initialisers: later calls (DisableTelemetryEvents) come too late to stop its files and
  // its uploader thread.
  SetProcessVariable("ORT_DISABLE_TELEMETRY", "1");

  std::string reason;
  void* library = OpenLibrary(library_path_, LibraryScope::kOwn, &reason);
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
