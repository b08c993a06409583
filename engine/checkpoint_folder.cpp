#include "engine/checkpoint_folder.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace engine {
namespace {

namespace fs = std::filesystem;
constexpr const char* prefix = "checkpoint-";
constexpr const char* suffix = ".safetensors";

/// Oldest first: zero-padded steps sort as numbers.
std::vector<fs::path> checkpoints(const std::string& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  const fs::directory_iterator entries(folder, error);
  if (error && error != std::errc::no_such_file_or_directory)
    throw kernels::Error("cannot look for checkpoints: " + error.message(), folder, "check its permissions and disk");
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(prefix) && name.ends_with(suffix)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// A file that may not be opened is not damaged. One that is gone, as a link to nothing, is.
void require_readable(const std::string& path) {
  if (::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) == 0 || errno == ENOENT) return;
  throw kernels::Error(std::string("cannot open the checkpoint: ") + std::strerror(errno), path,
                       "make it readable, then the same line again");
}

}  // namespace

std::string checkpoint_name(std::int64_t step) { return fmt::format("{}{:010}{}", prefix, step, suffix); }

std::optional<FoundCheckpoint> newest_whole_checkpoint(const std::string& folder) {
  std::vector<kernels::Error> damaged;
  const std::vector<fs::path> found = checkpoints(folder);
  for (auto path = found.rbegin(); path != found.rend(); ++path) {
    require_readable(path->string());
    try {
      verify_checkpoint(path->string());
    } catch (const kernels::Error& error) {
      damaged.emplace_back(error.fact(), path->string(), error.advice());
      continue;
    }
    return FoundCheckpoint{path->string(), read_checkpoint(path->string()), damaged};
  }
  if (damaged.empty()) return std::nullopt;
  throw kernels::Error(damaged.front().fact(), damaged.front().where(),
                       "no checkpoint of this folder can be read: fetch a copy of one, or start with another --out");
}

void set_aside(const std::string& path) {
  std::error_code error;
  fs::rename(path, path + ".damaged", error);
  if (error) throw kernels::Error("cannot rename the damaged checkpoint: " + error.message(), path, "move it away");
}

void remove_old_checkpoints(const std::string& folder, int keep) {
  const std::vector<fs::path> found = checkpoints(folder);
  const auto kept = static_cast<std::size_t>(std::max(keep, 1));
  for (std::size_t i = 0; i + kept < found.size(); ++i) {
    std::error_code ignored;  // one that stays costs space, not training
    fs::remove(found[i], ignored);
  }
}

int count_checkpoints(const std::string& folder) { return static_cast<int>(checkpoints(folder).size()); }

}  // namespace engine
