#include "bench/step_serve.h"

#include <sys/resource.h>

#include <cstdio>
#include <iostream>

#include "bench/report.h"
#include "kernels/cpu/parallel.h"

namespace bench {
namespace {

using engine::Json;

double peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

}  // namespace

void say(const Json& json) {
  std::puts(engine::to_text(json).c_str());
  std::fflush(stdout);
}

void serve(Training& training, kernels::Stream& stream, int warm_up, const Json& about) {
  training.run(warm_up);
  const bool gpu = stream.device().kind == DeviceKind::cuda;
  Json ready = origin_of(stream.device());
  ready.add("ready", true).add("contender", "mae.cu").add("threads", kernels::cpu::threads());
  ready.add("parameters", training.parameters()).add("loss", training.loss());
  for (const Json& member : about.items) ready.add(member.key, member);
  say(ready);
  for (std::string line; std::getline(std::cin, line);) {
    int count = 0;
    if (std::sscanf(line.c_str(), "run %d", &count) != 1 || count < 1)
      throw kernels::Error("\"" + line + "\" is not a number of steps: run 10", "standard input");
    say(Json::object({{"seconds", training.run(count)}}));
  }
  say(Json::object({{"peak_bytes", gpu ? training.peak_bytes() : peak_resident_bytes()}}));
}

}  // namespace bench
