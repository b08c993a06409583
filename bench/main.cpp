// The one door to everything that is timed: `mae bench WHAT`, which runs this program.
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <vector>

#include "apps/cli.h"
#include "apps/table.h"
#include "bench/kernels.h"
#include "bench/loader.h"
#include "bench/step.h"

namespace bench {
namespace {

struct Bench {
  const char* name;
  const char* summary;
  int (*run)(int argc, char** argv);  // argv[0] is the name
};

constexpr Bench benches[] = {
    {"kernels", "every row of every kernel, beside the least time that the machine allows", run_kernels},
    {"step", "whole training steps of a model", run_step},
    {"loader", "what a core reads, decodes and crops of a data set", run_loader},
};

std::string help() {
  std::vector<std::vector<std::string>> rows;
  for (const Bench& bench : benches) rows.push_back({std::string("  ") + bench.name, bench.summary});
  return "mae bench: what is fast, and what could be faster\n\nusage: mae bench WHAT [options]\n\n" +
         apps::aligned(rows, "ll") +
         "\nmae bench WHAT --help lists its options; docs/benchmarking.md says how it measures.\n\nexample\n" +
         "  mae bench kernels --kernel attention_forward --dtype f32\n";
}

int dispatch(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "--help";
  if (first == "--help" || first == "-h" || first == "help") return std::fputs(help().c_str(), stdout), apps::done;
  std::vector<std::string> names;
  for (const Bench& bench : benches) {
    if (first == bench.name) return bench.run(argc - 1, argv + 1);
    names.emplace_back(bench.name);
  }
  const std::string near = apps::nearest(first, names);
  throw apps::UsageError("there is no such benchmark", first,
                         "mae bench " + (near.empty() ? fmt::format("{}", fmt::join(names, " or ")) : near));
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) {
  return apps::guarded([=] { return bench::dispatch(argc, argv); });
}
