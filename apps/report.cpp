#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/options.h"
#include "apps/output_file.h"
#include "apps/report_page.h"
#include "apps/table.h"
#include "apps/tensorboard.h"
#include "engine/files.h"

namespace apps {
namespace {

struct ReportCommand {
  std::vector<std::string> runs;
  std::string out, tensorboard;
};

void add_options(OptionTable& t, ReportCommand& o) {
  t.add("runs", o.runs, "folders of runs; several are compared").positional().shown_as("RUN").must_be_given();
  t.add("out", o.out, "the page; without it RUN/report.html, and report.html here for several").shown_as("FILE");
  t.add("tensorboard", o.tensorboard,
        "instead of a page, the logs as an event file each, in a folder below this one that has the run's name")
      .shown_as("DIR");
}

/// Folders of one name are told apart by their paths.
void tell_apart(std::vector<ReportedRun>& runs) {
  std::set<std::string> names;
  for (const ReportedRun& run : runs) names.insert(run.name);
  if (names.size() == runs.size()) return;
  for (ReportedRun& run : runs) run.name = run.folder;
}

int write_event_files(const ReportCommand& o, const std::vector<ReportedRun>& runs) {
  for (const ReportedRun& run : runs) {
    const auto name = std::filesystem::path(run.name).relative_path().lexically_normal();
    if (*name.begin() == "..") throw kernels::Error("two runs have one name", run.folder, "one at a time");
    fmt::print("{}\n", write_event_file((std::filesystem::path(o.tensorboard) / name).string(), run.folder, run.kind));
  }
  return done;
}

}  // namespace

int report(int argc, char** argv) {
  ReportCommand o;
  OptionTable table("report", "curves, pictures and figures of runs as one page to look at, or for TensorBoard",
                    "mae report runs/first runs/second --out compared.html");
  add_options(table, o);
  if (!table.parse(argc, argv)) return done;
  if (!o.tensorboard.empty() && !o.out.empty())
    throw UsageError("one or the other", "--out, --tensorboard", "two commands");
  std::vector<ReportedRun> runs;
  for (const std::string& folder : o.runs) runs.push_back(read_reported_run(folder));
  tell_apart(runs);
  if (!o.tensorboard.empty()) return write_event_files(o, runs);
  if (o.out.empty())
    o.out = runs.size() > 1 ? "report.html" : (std::filesystem::path(o.runs[0]) / "report.html").string();
  check_output_file("--out", o.out);
  const std::string page = report_page(runs);
  engine::write_atomically(o.out, [&](engine::FileWriter& file) { file.write(page); });
  fmt::print("{}, {}\n", o.out, bytes_text(static_cast<double>(page.size())));
  return done;
}

}  // namespace apps
