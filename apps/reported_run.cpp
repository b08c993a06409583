#include "apps/reported_run.h"

#include <fmt/format.h>

#include <filesystem>

#include "apps/cli.h"
#include "apps/toml.h"
#include "engine/files.h"

namespace apps {
namespace {

namespace fs = std::filesystem;

struct ValueText {
  std::string operator()(bool v) const { return v ? "true" : "false"; }
  std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
  std::string operator()(double v) const { return fmt::format("{}", v); }
  std::string operator()(const std::string& v) const { return v; }
  std::string operator()(const std::vector<double>& v) const { return fmt::format("{}", fmt::join(v, ", ")); }
  std::string operator()(const std::vector<std::string>& v) const { return fmt::format("{}", fmt::join(v, ", ")); }
};

void read_config(const std::string& path, ReportedRun& run) {
  std::vector<TomlEntry> entries;
  try {
    entries = parse_toml(engine::read_file(path), path);
  } catch (const UsageError& error) {  // here it is a damaged file, not something typed
    throw kernels::Error(error.fact(), error.where(), error.advice());
  }
  for (const TomlEntry& entry : entries)
    (entry.table == "run" ? run.ran : run.options).emplace_back(entry.key, std::visit(ValueText{}, entry.value));
}

/// "mae finetune --data ..." -> finetuning; without a command, what has a head has a classifier.
RunKind kind_of(const ReportedRun& run) {
  const std::string command = run.ran_on("command");
  if (command.starts_with("mae pretrain")) return RunKind::pretraining;
  if (command.starts_with("mae ")) return RunKind::finetuning;
  return run.option("label_fraction").empty() ? RunKind::pretraining : RunKind::finetuning;
}

/// Their names sort by step.
std::string newest_checkpoint(const fs::path& folder) {
  std::string newest;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (entry.path().extension() == ".safetensors") newest = std::max(newest, entry.path().string());
  return newest;
}

std::string value_of(const std::vector<std::pair<std::string, std::string>>& pairs, const std::string& key) {
  for (const auto& [name, value] : pairs)
    if (name == key) return value;
  return {};
}

}  // namespace

std::string ReportedRun::option(const std::string& key) const { return value_of(options, key); }
std::string ReportedRun::ran_on(const std::string& key) const { return value_of(ran, key); }

ReportedRun read_reported_run(const std::string& folder) {
  const fs::path path = fs::path(folder).lexically_normal();
  if (!fs::is_directory(path)) throw kernels::Error("there is no such folder", folder, "the folder of a run");
  ReportedRun run{.folder = folder, .name = (path.has_filename() ? path : path.parent_path()).filename().string()};
  for (const char* file : {"config.toml", "log.jsonl"}) {
    if (!fs::exists(path / file))
      throw kernels::Error(fmt::format("this is no run: there is no {}", file), (path / file).string(),
                           "a folder that `mae pretrain` or `mae finetune` made");
  }
  read_config((path / "config.toml").string(), run);
  run.kind = kind_of(run);
  run.logs = read_run_logs(folder);
  const std::string learning = learning_picture(folder);
  if (fs::exists(learning)) {
    run.learning = engine::read_file(learning);
    if (!run.learning.starts_with("\x89PNG"))
      throw kernels::Error("this is no PNG", learning, "remove it; a run that goes on draws it anew");
  }
  run.checkpoint = newest_checkpoint(path / "checkpoints");
  if (fs::exists(path / "best.safetensors")) run.best = (path / "best.safetensors").string();
  return run;
}

}  // namespace apps
