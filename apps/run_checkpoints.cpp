#include "apps/run_checkpoints.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "engine/checkpoint_folder.h"
#include "engine/files.h"

namespace apps {
namespace {

constexpr double retry_seconds = 60;

void require_free(const std::string& folder, std::uint64_t bytes, const std::string& what, const char* advice) {
  const std::uint64_t free = engine::free_bytes(folder);
  if (free >= bytes) return;
  constexpr double mib = 1 << 20;
  throw kernels::Error(fmt::format("{:.1f} MiB are free, {} need{} {:.1f} MiB", static_cast<double>(free) / mib, what,
                                   what.ends_with('s') ? "" : "s", static_cast<double>(bytes) / mib),
                       folder, advice);
}

}  // namespace

void RunCheckpoints::require_space() const {
  const int more = std::max(1, plan_.keep + 1 - engine::count_checkpoints(plan_.folder));
  require_free(plan_.folder, static_cast<std::uint64_t>(more) * plan_.bytes, fmt::format("{} checkpoints", more),
               "make room on the disk, keep fewer (--keep 1), or another --out");
}

void RunCheckpoints::set_last_good(std::string path, std::int64_t done) {
  last_good_ = std::move(path);
  saved_ = done;
}

bool RunCheckpoints::due(std::int64_t done, double now) const {
  if (failed_) return now - last_ >= retry_seconds;
  if (plan_.every_steps == 0) return now - last_ >= plan_.every_seconds;
  const auto saves = [&](std::int64_t steps) {
    return std::floor(static_cast<double>(steps) / plan_.every_steps + 1e-9);
  };
  return saves(done) > saves(done - 1);
}

std::optional<kernels::Error> RunCheckpoints::save(std::int64_t done, double now,
                                                   const std::function<void(const std::string& path)>& write) {
  last_ = now;
  if (done == saved_) return std::nullopt;
  const std::string path = (std::filesystem::path(plan_.folder) / engine::checkpoint_name(done)).string();
  try {
    require_free(plan_.folder, plan_.bytes, "a checkpoint", "make room on the disk");
    write(path);
  } catch (const kernels::Error& error) {
    failed_ = true;
    return kernels::Error(error.fact(), error.where(),
                          last_good_.empty() ? "there is no earlier checkpoint; make room or repair the disk"
                                             : "the last good checkpoint is " + last_good_);
  }
  failed_ = false;
  set_last_good(path, done);
  engine::remove_old_checkpoints(plan_.folder, plan_.keep);
  return std::nullopt;
}

}  // namespace apps
