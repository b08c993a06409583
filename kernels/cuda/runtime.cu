#include "kernels/cuda/runtime.h"

#include <cuda_runtime.h>

#include "kernels/core/check.h"
#include "kernels/cuda/nvcc.cuh"

namespace kernels::cuda {

namespace {

__global__ void probe_kernel() {}  // stands for all: they are compiled for the same architectures

}  // namespace

std::string why_none() {
  Driver driver;
  cudaDriverGetVersion(&driver.supports);
  cudaRuntimeGetVersion(&driver.runtime);
  const cudaError_t status = cudaGetDeviceCount(&driver.gpus);  // 0 devices where it fails
  const std::string fault = driver_fault(driver);
  return fault.empty() && status != cudaSuccess ? cudaGetErrorString(status) : fault;
}

bool has_image(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  cudaFuncAttributes attributes;
  const cudaError_t status = cudaFuncGetAttributes(&attributes, probe_kernel);
  for (const cudaError_t none : {cudaErrorNoKernelImageForDevice, cudaErrorInvalidDeviceFunction, cudaErrorInvalidPtx,
                                 cudaErrorUnsupportedPtxVersion}) {
    if (status != none) continue;
    cudaGetLastError();  // clears the error
    return false;
  }
  check(status, "cudaFuncGetAttributes");
  return true;
}

std::size_t free_memory(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  std::size_t free_bytes = 0, total = 0;
  check(cudaMemGetInfo(&free_bytes, &total), "cudaMemGetInfo");
  return free_bytes;
}

std::vector<Device> devices() {
  std::vector<Device> found;
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) return found;
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p;
    check(cudaGetDeviceProperties(&p, i), "cudaGetDeviceProperties");
    found.push_back({.kind = DeviceKind::cuda,
                     .name = p.name,
                     .index = i,
                     .capability = p.major * 10 + p.minor,
                     .multiprocessors = p.multiProcessorCount,
                     .shared_memory = p.sharedMemPerBlockOptin,
                     .memory = p.totalGlobalMem});
  }
  return found;
}

void* allocate(const Device& device, std::size_t bytes) {
  check(cudaSetDevice(device.index), "cudaSetDevice");
  void* data = nullptr;
  if (cudaMalloc(&data, bytes) == cudaSuccess) return data;
  cudaGetLastError();  // clears the error, which is not a broken context
  std::size_t free_bytes = 0, total = 0;
  cudaMemGetInfo(&free_bytes, &total);
  throw Error("out of memory: " + std::to_string(bytes) + " bytes wanted, " + std::to_string(free_bytes) + " of " +
                  std::to_string(total) + " free",
              device.name, "a smaller --micro-batch");
}

void release(void* data) noexcept { cudaFree(data); }

void* allocate_host(const Device& device, std::size_t bytes) {
  check(cudaSetDevice(device.index), "cudaSetDevice");
  void* data = nullptr;
  check(cudaMallocHost(&data, bytes > 0 ? bytes : 1), "cudaMallocHost");
  return data;
}

void release_host(void* data) noexcept { cudaFreeHost(data); }

void* create_stream(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return stream;
}

void destroy_stream(void* stream) noexcept { cudaStreamDestroy(static_cast<cudaStream_t>(stream)); }

void synchronize(void* stream, const Running& last) {
  check_kernels(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), last);
}

void copy(void* stream, void* destination, const void* source, std::size_t bytes, const Running& last) {
  check_kernels(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDefault, static_cast<cudaStream_t>(stream)),
                last);
}

void* create_event(int device) {
  check(cudaSetDevice(device), "cudaSetDevice");
  cudaEvent_t event;
  check(cudaEventCreate(&event), "cudaEventCreate");
  return event;
}

void destroy_event(void* event) noexcept { cudaEventDestroy(static_cast<cudaEvent_t>(event)); }

void record_event(void* event, void* stream) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)), "cudaEventRecord");
}

void wait_event(void* stream, void* event) {
  check(cudaStreamWaitEvent(static_cast<cudaStream_t>(stream), static_cast<cudaEvent_t>(event), 0),
        "cudaStreamWaitEvent");
}

void synchronize_event(void* event, const Running& last) {
  check_kernels(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), last);
}

double milliseconds_between(void* earlier, void* later) {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(later)), "cudaEventSynchronize");
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, static_cast<cudaEvent_t>(earlier), static_cast<cudaEvent_t>(later)),
        "cudaEventElapsedTime");
  return milliseconds;
}

void* capture(void* stream, const std::function<void()>& work) {
  const auto queue = static_cast<cudaStream_t>(stream);
  check(cudaStreamBeginCapture(queue, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {  // leave capture mode before the error travels on
    cudaStreamEndCapture(queue, &graph);
    if (graph) cudaGraphDestroy(graph);
    throw;
  }
  check(cudaStreamEndCapture(queue, &graph), "cudaStreamEndCapture");
  cudaGraphExec_t executable;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  check(status, "cudaGraphInstantiate");
  return executable;
}

void destroy_graph(void* graph) noexcept { cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); }

void replay(void* graph, void* stream, const Running& last) {
  check_kernels(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), static_cast<cudaStream_t>(stream)), last);
}

}  // namespace kernels::cuda
