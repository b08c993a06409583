#include "bench/clocks.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

namespace bench {

std::string clocks_of(const Device& device) {
  if (device.kind != DeviceKind::cuda) return "";
  const std::string command = fmt::format(
      "nvidia-smi -i {} --format=csv,noheader,nounits "
      "--query-gpu=clocks.sm,clocks.mem,temperature.gpu,power.draw 2>/dev/null",
      device.index);
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> answer(popen(command.c_str(), "r"), pclose);
  int sm = 0, memory = 0, celsius = 0;
  double watts = 0;
  if (!answer || std::fscanf(answer.get(), "%d, %d, %d, %lf", &sm, &memory, &celsius, &watts) != 4) return "";
  return fmt::format("SM {} MHz, memory {} MHz, {} C, {:.0f} W", sm, memory, celsius, watts);
}

}  // namespace bench
