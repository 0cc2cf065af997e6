#include "cuda_provider.hpp"

#include <array>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <type_traits>
#include <utility>
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

/// Loads CUDA's own libraries from where Python packages put them, next to the provider's package: the dynamic loader
/// does not search there. It finds those that are missing there.
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

/// Registers the library and gives the first device that it offers.
const OrtEpDevice* FirstDevice(const Runtime& runtime, const std::string& library) {
  Register(runtime, library);
  const std::vector<const OrtEpDevice*> devices = CudaDevices(runtime);
  if (devices.empty()) {
    const std::string driver = DriverProblem();
    throw Error(Code::kProviderUnavailable,
                "the CUDA provider offers no device: " + (driver.empty() ? "it does not say why" : driver));
  }
  return devices.front();
}

}  // namespace

const Runtime& RuntimeOfCuda(const std::string& library) {
  if (library.empty()) {
    throw Error(Code::kProviderUnavailable,
                "no CUDA provider library was found; name it in GABION_CUDA_PROVIDER (docs/install.md says where it "
                "comes from)");
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(library, error)) {
    throw Error(Code::kProviderUnavailable, "the CUDA provider library " + library + " does not exist");
  }
  try {
    return Runtime::NextTo(library);
  } catch (const Error& failure) {
    throw Error(Code::kProviderUnavailable,
                "the CUDA provider library " + library +
                    " cannot be used without the ONNX Runtime that it came with: " + failure.what());
  }
}

/// As the CUDA runtime declares them; a result of 0 is success. https://docs.nvidia.com/cuda/cuda-runtime-api
struct CudaDevice::Functions {
  using Stream = void*;
  int (*malloc)(void** memory, size_t bytes);
  int (*free)(void* memory);
  int (*host_alloc)(void** memory, size_t bytes, unsigned flags);
  int (*free_host)(void* memory);
  int (*stream_create)(Stream* stream, unsigned flags);
  int (*stream_destroy)(Stream stream);
  int (*stream_synchronize)(Stream stream);
  int (*memcpy_async)(void* to, const void* from, size_t bytes, int kind, Stream stream);
  int (*begin_capture)(Stream stream, int mode);
  int (*end_capture)(Stream stream, void** graph);
  int (*instantiate)(void** executable, void* graph, unsigned long long flags);
  int (*destroy_graph)(void* graph);
  int (*destroy_executable)(void* executable);
  int (*launch)(void* executable, Stream stream);
  const char* (*error_string)(int result);

  explicit Functions(const std::string& library) {
    // Asked of the provider's own library: it finds the runtime that this one was linked with.
    void* provider = OpenLibrary(library, LibraryScope::kOwn);
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(FindSymbol(provider, name));
      if (function == nullptr) {
        throw Error(Code::kProviderUnavailable,
                    "the CUDA provider library " + library + " brings no " + name + " of the CUDA runtime");
      }
    };
    find(malloc, "cudaMalloc");
    find(free, "cudaFree");
    find(host_alloc, "cudaHostAlloc");
    find(free_host, "cudaFreeHost");
    find(stream_create, "cudaStreamCreateWithFlags");
    find(stream_destroy, "cudaStreamDestroy");
    find(stream_synchronize, "cudaStreamSynchronize");
    find(memcpy_async, "cudaMemcpyAsync");
    find(begin_capture, "cudaStreamBeginCapture");
    find(end_capture, "cudaStreamEndCapture");
    find(instantiate, "cudaGraphInstantiateWithFlags");
    find(destroy_graph, "cudaGraphDestroy");
    find(destroy_executable, "cudaGraphExecDestroy");
    find(launch, "cudaGraphLaunch");
    find(error_string, "cudaGetErrorString");
  }
};

CudaDevice::CudaDevice(const Runtime& runtime, const std::string& library)
    : runtime_(runtime),
      device_(FirstDevice(runtime, library)),
      memory_(runtime.api().EpDevice_MemoryInfo(device_, OrtDeviceMemoryType_DEFAULT)),
      cuda_(std::make_shared<const Functions>(library)) {
  if (memory_ == nullptr) {
    throw Error(Code::kProviderUnavailable, "the CUDA provider does not name its device's memory");
  }
  constexpr unsigned kNonBlocking = 1;  // does not wait for the default stream
  void* stream = nullptr;
  Check(cuda_->stream_create(&stream, kNonBlocking), "a stream");
  stream_ = std::shared_ptr<void>(stream, [cuda = cuda_](void* gone) { cuda->stream_destroy(gone); });
}

void CudaDevice::Append(OrtSessionOptions* options) const {
  const std::string stream = std::to_string(reinterpret_cast<uintptr_t>(stream_.get()));
  // Without `has_user_compute_stream` the stream that is computed on would be none at all. The arena would, by default,
  // double at its last step for nothing.
  const std::array keys{"has_user_compute_stream", "user_compute_stream", "arena_extend_strategy"};
  const std::array values{"1", stream.c_str(), "kSameAsRequested"};
  runtime_.Check(runtime_.api().SessionOptionsAppendExecutionProvider_V2(options, runtime_.environment(), &device_, 1,
                                                                         keys.data(), values.data(), keys.size()),
                 Code::kProviderUnavailable, "the CUDA provider");
}

void CudaDevice::Check(int result, const char* what) const {
  constexpr int kMemoryAllocation = 2;
  if (result != 0) {
    throw Error(result == kMemoryAllocation ? Code::kOutOfMemory : Code::kInferenceFailed,
                ExplainCuda("CUDA: " + std::string(what) + ": " + cuda_->error_string(result)));
  }
}

std::shared_ptr<void> CudaDevice::AllocateHere(size_t bytes) const {
  void* memory = nullptr;
  Check(cuda_->malloc(&memory, bytes), "memory of the device");
  return {memory, [cuda = cuda_](void* gone) { cuda->free(gone); }};
}

std::shared_ptr<void> CudaDevice::AllocateShared(size_t bytes) const {
  constexpr unsigned kPortable = 1;
  constexpr unsigned kMapped = 2;
  void* memory = nullptr;
  Check(cuda_->host_alloc(&memory, bytes, kPortable | kMapped), "memory shared with the device");
  return {memory, [cuda = cuda_](void* gone) { cuda->free_host(gone); }};
}

void CudaDevice::CopyHere(void* to, const void* from, size_t bytes) const {
  constexpr int kHostToDevice = 1;
  Check(cuda_->memcpy_async(to, from, bytes, kHostToDevice, stream_.get()), "a copy to the device");
}

std::shared_ptr<void> CudaDevice::Capture(const std::function<void()>& body) const {
  constexpr int kThreadLocal = 1;  // what other threads do with the device meanwhile is allowed
  Check(cuda_->begin_capture(stream_.get(), kThreadLocal), "the start of a capture");
  void* graph = nullptr;
  try {
    body();
  } catch (...) {
    cuda_->end_capture(stream_.get(), &graph);  // its failure is the same one
    if (graph != nullptr) {
      cuda_->destroy_graph(graph);
    }
    throw;
  }
  Check(cuda_->end_capture(stream_.get(), &graph), "a capture");
  void* executable = nullptr;
  const int result = cuda_->instantiate(&executable, graph, 0);
  cuda_->destroy_graph(graph);
  Check(result, "a captured graph");
  return {executable, [cuda = cuda_](void* gone) { cuda->destroy_executable(gone); }};
}

void CudaDevice::Launch(const std::shared_ptr<void>& graph) const {
  Check(cuda_->launch(graph.get(), stream_.get()), "the start of a run");
}

void CudaDevice::Finish() const { Check(cuda_->stream_synchronize(stream_.get()), "the run"); }

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
