// The CUDA runtime as the rest of the engine sees it: opaque handles, no CUDA header. Defined in runtime.cu, which is
// built only where nvcc is; callers stand behind `if constexpr (with_cuda)`. Every function throws Error on failure.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "kernels/core/device.h"
#include "kernels/core/stream.h"

namespace kernels::cuda {

std::vector<Device> devices();
std::string why_none();               // why no GPU can be used; empty if there is one
bool has_image(int device);           // this build holds code for it
std::size_t free_memory(int device);  // bytes

void* allocate(const Device& device, std::size_t bytes);
void release(void* data) noexcept;
void* allocate_host(const Device& device, std::size_t bytes);
void release_host(void* data) noexcept;

void* create_stream(int device);
void destroy_stream(void* stream) noexcept;
void synchronize(void* stream, const Running& last);
void copy(void* stream, void* destination, const void* source, std::size_t bytes, const Running& last);

void* create_event(int device);
void destroy_event(void* event) noexcept;
void record_event(void* event, void* stream);
void wait_event(void* stream, void* event);
void synchronize_event(void* event, const Running& last);
double milliseconds_between(void* earlier, void* later);  // waits for both

void* capture(void* stream, const std::function<void()>& work);
void destroy_graph(void* graph) noexcept;
void replay(void* graph, void* stream, const Running& last);

}  // namespace kernels::cuda
