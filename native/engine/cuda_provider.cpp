#include "cuda_provider.hpp"

#include <array>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <vector>

#include "shared_library.hpp"

namespace gabion {
namespace {

constexpr const char* kRegistration = "gabion_cuda";
#if defined(_WIN32)
constexpr const char* kDriver = "nvcuda.dll";
#else
constexpr const char* kDriver = "libcuda.so.1";
#endif

/// What stands in the way below the provider library, or an empty text: asked of the driver itself, since ONNX Runtime
/// only says that there are no devices.
std::string DriverProblem() {
  void* driver = OpenLibrary(kDriver, LibraryScope::kOwn);
  if (driver == nullptr) {
    return "there is no NVIDIA driver (" + std::string(kDriver) + " is not found)";
  }
  using Init = int (*)(unsigned);
  using Count = int (*)(int*);
  auto* init = reinterpret_cast<Init>(FindSymbol(driver, "cuInit"));
  auto* count = reinterpret_cast<Count>(FindSymbol(driver, "cuDeviceGetCount"));
  auto* version = reinterpret_cast<Count>(FindSymbol(driver, "cuDriverGetVersion"));
  if (init == nullptr || count == nullptr || version == nullptr) {
    return std::string(kDriver) + " is not an NVIDIA driver";
  }
  int served = 0;
  version(&served);
  constexpr int kMajor = 1000;
  constexpr int kMinor = 10;
  const std::string cuda = std::to_string(served / kMajor) + "." + std::to_string(served % kMajor / kMinor);
  if (const int result = init(0); result != 0) {
    return "the NVIDIA driver (for CUDA " + cuda + " and older) finds no device that it can use (cuInit gave " +
           std::to_string(result) + ")";
  }
  int devices = 0;
  if (count(&devices) != 0 || devices == 0) {
    return "the NVIDIA driver (for CUDA " + cuda + " and older) shows no device to this process";
  }
  return "";
}

/// Devices that the registered library offers.
std::vector<const OrtEpDevice*> CudaDevices(const Runtime& runtime) {
  const OrtEpDevice* const* all = nullptr;
  size_t count = 0;
  runtime.Check(runtime.api().GetEpDevices(runtime.environment(), &all, &count), Code::kProviderUnavailable, "devices");
  std::vector<const OrtEpDevice*> found;
  for (size_t i = 0; i < count; ++i) {
    if (std::string_view(runtime.api().EpDevice_EpName(all[i])).find("CUDA") != std::string_view::npos) {
      found.push_back(all[i]);
    }
  }
  return found;
}

/// CUDA's own libraries as Python packages lay them out, beside the package of the provider: found by nobody else
/// there. What is not there is left to the dynamic loader.
void PreloadCudaLibraries(const std::string& library) {
  namespace fs = std::filesystem;
  const fs::path packages = fs::path(library).parent_path().parent_path().parent_path() / "nvidia";
  std::error_code error;
  for (const std::string_view name : {"libcudart.so", "libcublasLt.so", "libcublas.so", "libcurand.so"}) {
    for (const fs::directory_entry& package : fs::directory_iterator(packages, error)) {
      std::error_code none;
      for (const fs::directory_entry& file : fs::directory_iterator(package.path() / "lib", none)) {
        if (file.path().filename().string().starts_with(name)) {
          OpenLibrary(file.path().string(), LibraryScope::kShared);
        }
      }
    }
  }
}

void Register(const Runtime& runtime, const std::string& library) {
  static std::mutex mutex;
  static std::string registered;
  const std::lock_guard lock(mutex);
  if (registered == library) {
    return;
  }
  if (!registered.empty()) {
    throw Error(Code::kProviderUnavailable, "this process already uses the CUDA provider " + registered +
                                                ", and there can be one only; " + library + " was asked for");
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(library, error)) {
    throw Error(Code::kProviderUnavailable, "the CUDA provider library " + library + " does not exist");
  }
  PreloadCudaLibraries(library);
  OrtStatus* status =
      runtime.api().RegisterExecutionProviderLibrary(runtime.environment(), kRegistration, NativePath(library).c_str());
  if (status != nullptr) {
    std::string reason = runtime.api().GetErrorMessage(status);
    runtime.api().ReleaseStatus(status);
    const std::string driver = DriverProblem();
    throw Error(Code::kProviderUnavailable, "the CUDA provider library " + library +
                                                " could not be used with ONNX Runtime " + runtime.version() + ": " +
                                                reason + (driver.empty() ? "" : "; also, " + driver));
  }
  registered = library;
}

}  // namespace

void AppendCuda(const Runtime& runtime, OrtSessionOptions* options, const std::string& library) {
  if (library.empty()) {
    throw Error(Code::kProviderUnavailable,
                "no CUDA provider library was found; name it in GABION_CUDA_PROVIDER (docs/install.md says where it "
                "comes from)");
  }
  Register(runtime, library);
  const std::vector<const OrtEpDevice*> devices = CudaDevices(runtime);
  if (devices.empty()) {
    const std::string driver = DriverProblem();
    throw Error(Code::kProviderUnavailable,
                "the CUDA provider offers no device: " + (driver.empty() ? "it does not say why" : driver));
  }
  // A power of two, as is the default, would double the arena at its last step for nothing.
  const std::array<const char*, 1> keys{"arena_extend_strategy"};
  const std::array<const char*, 1> values{"kSameAsRequested"};
  runtime.Check(runtime.api().SessionOptionsAppendExecutionProvider_V2(options, runtime.environment(), devices.data(),
                                                                       1, keys.data(), values.data(), keys.size()),
                Code::kProviderUnavailable, "the CUDA provider");
}

bool TellsOfCuda(const std::string& message) {
  return message.find("CUDA") != std::string::npos || message.find("cuda") != std::string::npos ||
         message.find("CUBLAS") != std::string::npos;
}

std::string ExplainCuda(const std::string& message) {
  const bool memory = message.find("out of memory") != std::string::npos ||
                      message.find("Failed to allocate memory") != std::string::npos ||
                      message.find("ALLOC_FAILED") != std::string::npos;
  return memory ? message +
                      " (the device has too little free memory: end what else runs on it, or embed fewer texts at once)"
                : message;
}

}  // namespace gabion
