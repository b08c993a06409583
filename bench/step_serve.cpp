#include "bench/step_serve.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <iostream>

#include "bench/report.h"
#include "kernels/cpu/parallel.h"
#include "mae/config_text.h"

namespace bench {
namespace {

using engine::Json;

double peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024;
}

}  // namespace

std::string name_of(const mae::Config& c) {
  if (mae::to_text(c) == mae::to_text(mae::preset(c.preset))) return c.preset;
  return fmt::format("{}x{}x{} patch {}, {} x {}, decoder {} x {}", c.image_height, c.image_width, c.channels, c.patch,
                     c.depth, c.dim, c.decoder_depth, c.decoder_dim);
}

Json description(const mae::Config& c, std::int64_t parameters) {
  return Json::object({{"model", name_of(c)},
                       {"image_height", c.image_height},
                       {"image_width", c.image_width},
                       {"channels", c.channels},
                       {"patch", c.patch},
                       {"dim", c.dim},
                       {"depth", c.depth},
                       {"heads", c.heads},
                       {"mlp_ratio", c.mlp_ratio},
                       {"decoder_dim", c.decoder_dim},
                       {"decoder_depth", c.decoder_depth},
                       {"decoder_heads", c.decoder_heads},
                       {"mask_ratio", c.mask_ratio},
                       {"keep", c.keep()},
                       {"norm_pix", c.norm_pix},
                       {"ln_eps", c.ln_eps},
                       {"qkv_bias", c.qkv_bias},
                       {"parameters", parameters},
                       {"flops", mae::official_training_flops(c)}});
}

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
