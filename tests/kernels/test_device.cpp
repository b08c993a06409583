#include "kernels/core/device.h"

#include "kernels/core/check.h"
#include "tests/support/catch.h"

using namespace kernels;

TEST_CASE("what keeps a GPU from being used is said in words") {
  CHECK(driver_fault({.supports = 13000, .runtime = 13000, .gpus = 1}).empty());
  CHECK(driver_fault({.supports = 13000, .runtime = 13020, .gpus = 2}).empty());  // minor versions are compatible
  CHECK_THAT(driver_fault({.supports = 0, .runtime = 13000, .gpus = 0}), ContainsSubstring("no NVIDIA driver"));
  CHECK_THAT(driver_fault({.supports = 12040, .runtime = 13000, .gpus = 0}),
             ContainsSubstring("runs CUDA 12.4") && ContainsSubstring("made with 13.0") && ContainsSubstring("update"));
  CHECK_THAT(driver_fault({.supports = 13000, .runtime = 13000, .gpus = 0}), ContainsSubstring("sees no GPU"));

  CHECK(gpu_fault({.kind = DeviceKind::cuda, .capability = 90}, true).empty());
  CHECK_THAT(gpu_fault({.kind = DeviceKind::cuda, .capability = 75}, true),
             ContainsSubstring("compute capability is 7.5") && ContainsSubstring("8.0"));
  CHECK_THAT(gpu_fault({.kind = DeviceKind::cuda, .capability = 120}, false),
             ContainsSubstring("no code for compute capability 12.0") && ContainsSubstring("120-real"));
}

TEST_CASE("devices are found by name, and others refused with the choices") {
  CHECK(find_device("cpu").kind == DeviceKind::cpu);
  CHECK(!find_device("h100-80").present);
  CHECK_THROWS_WITH(find_device("tpu"), ContainsSubstring("no such device"));
  if (!why_no_cuda().empty()) CHECK_THROWS_WITH(find_device("cuda"), ContainsSubstring(why_no_cuda()));
  CHECK(free_memory(find_device("cpu")) > 0);
  CHECK(free_memory(find_device("a100-40")) == std::size_t{40} << 30);
}
