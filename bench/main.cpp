// The one door to everything that is timed: `mae bench WHAT`, which runs this program.
#include <cstdio>
#include <string>

#include "apps/cli.h"
#include "bench/kernels.h"
#include "bench/loader.h"
#include "bench/step.h"

namespace bench {
namespace {

constexpr apps::Command benches[] = {
    {"kernels", "every row of every kernel, beside the least time that the machine allows", run_kernels},
    {"step", "whole training steps of a model", run_step},
    {"loader", "what a core reads, decodes and crops of a data set", run_loader},
};

std::string help() {
  return "mae bench: what is fast, and what could be faster\n\nusage: mae bench WHAT [options]\n\n" +
         apps::listed(benches) +
         "\nmae bench WHAT --help lists its options; docs/benchmarking.md says how it measures.\n\nexample\n" +
         "  mae bench kernels --kernel attention_forward --dtype f32\n";
}

int dispatch(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "--help";
  if (first == "--help" || first == "-h" || first == "help") return std::fputs(help().c_str(), stdout), apps::done;
  return apps::command_named(benches, first, "mae bench").run(argc - 1, argv + 1);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  return apps::guarded([=] { return bench::dispatch(argc, argv); });
}
