#include "kernels/cuda/runtime.h"

#include <cuda_runtime.h>

#include "kernels/core/check.h"
#include "kernels/cuda/nvcc.cuh"

namespace kernels::cuda {

std::string why_none() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) return cudaGetErrorString(status);  // no driver is error 35, with zero devices
  return count == 0 ? "the driver sees no device" : "";
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

void synchronize(void* stream) {
  check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "cudaStreamSynchronize");
}

void copy(void* stream, void* destination, const void* source, std::size_t bytes) {
  check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDefault, static_cast<cudaStream_t>(stream)),
        "cudaMemcpyAsync");
}

void* create_event() {
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

void synchronize_event(void* event) {
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(event)), "cudaEventSynchronize");
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

void replay(void* graph, void* stream) {
  check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), static_cast<cudaStream_t>(stream)), "cudaGraphLaunch");
}

}  // namespace kernels::cuda
