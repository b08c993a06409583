// `mae bench` hands over to the program mae_bench beside this one: benchmarks look at everything, so nothing here may
// look at them.
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "apps/cli.h"
#include "apps/commands.h"

namespace apps {

int bench(int, char** argv) {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "mae_bench";
  std::fflush(nullptr);
  execv(program.c_str(), argv);
  throw kernels::Error("the benchmarks are a program of their own, which is not built or cannot be run",
                       program.string(), "cmake --build --preset release --target mae_bench");
}

}  // namespace apps
