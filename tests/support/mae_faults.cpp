// `mae` that kills itself: mae_faults POINT COUNT COMMAND... ends by SIGKILL the COUNT-th time that the save of a
// checkpoint, or of a file in a folder `packed`, comes to POINT ("after write", "before fsync", "before rename", "after
// rename").
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "apps/cli.h"
#include "engine/files.h"

namespace {
std::string fatal_point;
int countdown = 0;
}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("usage: mae_faults POINT COUNT COMMAND...\n", stderr);
    return 2;
  }
  fatal_point = argv[1];
  countdown = std::atoi(argv[2]);
  engine::save_fault = [](std::string_view point, const std::string& path) {
    const auto names = [&](const char* part) { return path.find(part) != std::string::npos; };
    if ((names("/checkpoint-") || names("/packed/")) && point == fatal_point && --countdown == 0)
      kill(getpid(), SIGKILL);
  };
  argv[2] = argv[0];
  return apps::run(argc - 2, argv + 2);
}
