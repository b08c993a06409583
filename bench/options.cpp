#include "bench/options.h"

#include <fmt/format.h>

#include "apps/cli.h"
#include "apps/options.h"
#include "apps/output_file.h"

namespace bench {
namespace {

void add_what(apps::OptionTable& table, Options& o) {
  table.group("What");
  table.add("device", o.devices, "cpu, cuda, cuda:1; again for more. Default: a GPU where there is one")
      .shown_as("NAME");
  table.add("kernel", o.kernels, "again for more. Default: all").shown_as("NAME");
  table.add("row", o.rows, "again for more. Default: all that do not refuse").shown_as("NAME");
  table.add("shape", o.shapes, "sizes by name; with --kernel; again for more. Default: MAE's")
      .shown_as("\"B=64 T=50\"");
  table.add("dtype", o.dtypes, "f64, f32, bf16, or lowest: the least precise that a kernel has; again for more")
      .shown_as("NAME");
  table
      .add("case", o.cases,
           "instead of --kernel and --shape: both, its type, and which views it has and lacks; again for more")
      .shown_as("\"KERNEL B=64 bf16 +lse -bias\"");
  table.add("skip_unknown", o.skip_unknown, "leave out what --case asks and this build does not have, and say so");
  table.add("all", o.all_variations, "all variations of a case, not only the first two");
  table.add("once", o.once, "one launch of this row, warm, in a profiler's range; with one kernel, shape and type")
      .shown_as("ROW");
  table.add("list", o.list, "say what would be timed, and time nothing; the device may be simt, or h100-80");
}

void add_how(apps::OptionTable& table, Options& o) {
  table.group("How");
  table.add("min_time", o.protocol.min_time, "seconds that each row is timed for, all rounds together");
  table.add("max_time", o.protocol.max_time, "seconds at most, where the median is not known to 1 % before");
  table.add("rounds", o.protocol.rounds, "rounds in which the rows of a case take turns");
  table.add("budget", o.budget, "begin no further case after so many seconds; 0: no limit");
  table.add("hot", o.hot, "time each row on one set of operands too, which caches may serve");
  table.add("check", o.check, "hold outputs against the CPU's f64 reference");
}

void require_at_least(double value, double least, const char* flag) {
  if (!(value >= least)) throw apps::UsageError(fmt::format("{} is less than {}", value, least), flag);
}

}  // namespace

bool parse_options(int argc, char** argv, Options& options) {
  apps::OptionTable table("bench kernels", "every row of every kernel, beside the least time that the machine allows",
                          "mae bench kernels --kernel attention_forward --shape \"B=64 T=50 H=12 D=64\" --dtype bf16");
  add_what(table, options);
  add_how(table, options);
  table.group("Results");
  table.add("json", options.json, "all figures; written anew after each case").shown_as("FILE");
  table.add("markdown", options.markdown, "the table that is printed").shown_as("FILE");
  table.add("picture", options.picture, "a roofline of all rows, a PNG").shown_as("FILE");
  table.add("wide", options.wide, "columns for registers, shared memory and occupancy of our rows on a GPU");
  if (!table.parse(argc, argv)) return false;
  apps::check_output_file("--json", options.json);
  apps::check_output_file("--markdown", options.markdown);
  apps::check_output_file("--picture", options.picture);
  require_at_least(options.protocol.min_time, 1e-4, "--min-time");
  require_at_least(options.protocol.rounds, 1, "--rounds");
  if (!options.once.empty()) options.rows = {options.once};
  if (!options.shapes.empty() && options.kernels.empty())
    throw apps::UsageError("the sizes of a shape are a kernel's own: say which by --kernel", "--shape");
  if (!options.cases.empty() && !(options.kernels.empty() && options.shapes.empty()))
    throw apps::UsageError("--case stands instead of --kernel and --shape, not beside them", "--case");
  return true;
}

}  // namespace bench
