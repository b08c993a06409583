// Device: what a kernel row may know of the machine that it runs on. Plain data, so that a made-up device can be
// planned for (`mae plan --device h100-80`) on a machine that has none.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace kernels {

/// simt: the hand-written CUDA kernels on this machine's CPU, checked at every step and slow: kernels/simt/grid.h.
enum class DeviceKind { cpu, cuda, simt };
constexpr const char* name_of(DeviceKind kind) {
  return kind == DeviceKind::cpu ? "cpu" : kind == DeviceKind::cuda ? "cuda" : "simt";
}

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  std::string name = "cpu";
  int index = 0;                  // which of its kind
  int capability = 0;             // cuda, simt: 90 for 9.0
  int multiprocessors = 0;        // cuda: SMs; cpu: threads of the one pool
  std::size_t shared_memory = 0;  // cuda, simt: bytes one block can ask for
  std::size_t memory = 0;         // bytes
  bool present = true;            // false: made up, for planning only
};

/// The devices of this machine: the CPU first, then GPUs, simt last.
const std::vector<Device>& devices();

/// Why there is no CUDA device ("built without CUDA", the driver's words); empty if there is one.
std::string why_no_cuda();

/// "cpu", "cuda", "cuda:1", "simt", or a made-up one: "h100-80", "h200-141", "a100-80", "a100-40", "l4-24",
/// "rtx4090-24". Throws Error naming the choices.
Device find_device(const std::string& name);

/// Memory of a device, aligned to 512 bytes. allocate throws Error with the bytes wanted and free.
void* allocate(const Device& device, std::size_t bytes);
void release(const Device& device, void* data) noexcept;

/// Memory of the host that the device can copy from and to while the host goes on: pinned, for a GPU.
void* allocate_host(const Device& device, std::size_t bytes);
void release_host(const Device& device, void* data) noexcept;

}  // namespace kernels
