#include "kernels/core/device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "kernels/core/build.h"
#include "kernels/core/capture_lint.h"
#include "kernels/core/check.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cuda/runtime.h"

namespace kernels {
namespace {

constexpr std::size_t GiB = std::size_t{1} << 30;
constexpr std::size_t alignment = 512;  // the segments of a parameter buffer start on such bounds
// A step walks through more memory than the processor can keep small pages of in mind.
constexpr std::size_t large_page = std::size_t{2} << 20;

Device this_cpu() {
  const auto pages = static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)),
             page = static_cast<std::size_t>(sysconf(_SC_PAGE_SIZE));
  return {.kind = DeviceKind::cpu, .name = "cpu", .multiprocessors = cpu::threads(), .memory = pages * page};
}

// What simt lets a block have is what every GPU from sm_80 on has.
Device this_simt() {
  return {.kind = DeviceKind::simt,
          .name = "simt",
          .capability = 80,
          .multiprocessors = 1,
          .shared_memory = std::size_t{99} << 10,
          .memory = this_cpu().memory};
}

// Data sheets: capability, SMs, the shared memory one block can opt in to, board memory.
std::vector<Device> made_up_devices() {
  const auto gpu = [](const char* name, int capability, int sms, std::size_t shared_kib, std::size_t memory_gib) {
    return Device{.kind = DeviceKind::cuda,
                  .name = name,
                  .capability = capability,
                  .multiprocessors = sms,
                  .shared_memory = shared_kib << 10,
                  .memory = memory_gib * GiB,
                  .present = false};
  };
  return {gpu("h100-80", 90, 132, 227, 80), gpu("h200-141", 90, 132, 227, 141), gpu("a100-80", 80, 108, 163, 80),
          gpu("a100-40", 80, 108, 163, 40), gpu("l4-24", 89, 58, 99, 24),       gpu("rtx4090-24", 89, 128, 99, 24)};
}

}  // namespace

const std::vector<Device>& devices() {
  static const std::vector<Device> all = [] {
    std::vector<Device> found{this_cpu()};
    if constexpr (with_cuda) {
      for (Device& device : cuda::devices()) found.push_back(std::move(device));
    }
    if constexpr (with_simt) found.push_back(this_simt());
    return found;
  }();
  return all;
}

std::string why_no_cuda() {
  if constexpr (with_cuda) return cuda::why_none();
  return "this build has no CUDA code: configure with -DMAE_CUDA=ON where nvcc is installed";
}

std::string driver_fault(const Driver& driver) {
  const auto version = [](int v) { return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10); };
  if (driver.supports == 0) return "no NVIDIA driver is installed, or it does not run";
  // within one major version an older driver runs newer code
  if (driver.supports / 1000 < driver.runtime / 1000) {
    return "the NVIDIA driver runs CUDA " + version(driver.supports) + ", this build is made with " +
           version(driver.runtime) + ": update the driver, or build with an older CUDA Toolkit";
  }
  return driver.gpus == 0 ? "the NVIDIA driver sees no GPU" : "";
}

std::string gpu_fault(const Device& device, bool has_image) {
  const std::string capability = std::to_string(device.capability / 10) + "." + std::to_string(device.capability % 10);
  if (device.capability < 80)
    return "its compute capability is " + capability + ", and the kernels need 8.0 (Ampere) or later";
  if (has_image) return "";
  return "this build has no code for compute capability " + capability +
         ": configure with -DMAE_CUDA_ARCHITECTURES=" + std::to_string(device.capability) +
         (device.capability == 90 ? "a-real" : "-real");  // of Hopper with the instructions that it alone has
}

Device find_device(const std::string& name) {
  std::string choices;
  for (const Device& device : devices()) {
    const std::string kind = name_of(device.kind);
    if (name == kind || name == kind + ":" + std::to_string(device.index)) {
      if constexpr (with_cuda) {
        const std::string fault =
            device.kind == DeviceKind::cuda ? gpu_fault(device, cuda::has_image(device.index)) : "";
        if (!fault.empty()) throw Error(fault, device.name, "--device cpu");
      }
      return device;
    }
    choices += kind + (device.kind == DeviceKind::cuda ? ":" + std::to_string(device.index) : "") + ", ";
  }
  for (const Device& device : made_up_devices()) {
    if (name == device.name) return device;
    choices += device.name + ", ";
  }
  if (name.starts_with("cuda") && !why_no_cuda().empty())
    throw Error("there is no such device: " + why_no_cuda(), name, "--device cpu");
  if (name == "simt") throw Error("this build has no simt device", name, "configure with -DMAE_SIMT=ON");
  throw Error("there is no such device", name, "one of " + choices.substr(0, choices.size() - 2));
}

std::size_t free_memory(const Device& device) {
  if constexpr (with_cuda) {
    if (device.kind == DeviceKind::cuda && device.present) return cuda::free_memory(device.index);
  }
  return device.memory;
}

void* allocate(const Device& device, std::size_t bytes) {
  lint::refuse("allocate device memory");
  if constexpr (with_cuda) {
    if (device.kind == DeviceKind::cuda) return cuda::allocate(device, (bytes + alignment - 1) / alignment * alignment);
  }
  const bool large = bytes >= 4 * large_page;
  void* data = nullptr;  // not rounded up, so that the address sanitizer sees an access behind the last byte
  if (posix_memalign(&data, large ? large_page : alignment, bytes > 0 ? bytes : 1) != 0)
    throw Error("out of memory: " + std::to_string(bytes) + " bytes wanted", device.name, "a smaller --micro-batch");
#ifdef MADV_HUGEPAGE
  if (large) madvise(data, bytes / large_page * large_page, MADV_HUGEPAGE);  // a wish: what it answers changes nothing
#endif
  return data;
}

void release(const Device& device, void* data) noexcept {
  lint::note("free device memory");
  if constexpr (with_cuda) {
    if (device.kind == DeviceKind::cuda) return cuda::release(data);
  }
  std::free(data);
}

void* allocate_host(const Device& device, std::size_t bytes) {
  lint::refuse("allocate device memory");
  if constexpr (with_cuda) {
    if (device.kind == DeviceKind::cuda) return cuda::allocate_host(device, bytes);
  }
  return allocate(device, bytes);
}

void release_host(const Device& device, void* data) noexcept {
  lint::note("free device memory");
  if constexpr (with_cuda) {
    if (device.kind == DeviceKind::cuda) return cuda::release_host(data);
  }
  release(device, data);
}

}  // namespace kernels
