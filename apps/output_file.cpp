#include "apps/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "engine/files.h"
#include "kernels/core/check.h"

namespace apps {

void check_output_file(const std::string& flag, const std::string& path) {
  if (std::filesystem::is_directory(path)) throw kernels::Error(path + " is a folder", flag, "the name of a file");
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder))
    throw kernels::Error("there is no folder " + folder.string(), flag, "mkdir -p " + folder.string());
  const auto real = std::filesystem::weakly_canonical(path).parent_path();  // behind a link
  if (!path.empty() && ::faccessat(AT_FDCWD, real.empty() ? "." : real.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    throw kernels::Error("cannot write into the folder of " + path + ": " + std::strerror(errno), flag,
                         "another folder");
}

bool lies_in(const std::string& path, const std::string& folder) {
  if (folder.empty()) return false;
  namespace fs = std::filesystem;
  const fs::path way = fs::weakly_canonical(path).lexically_relative(fs::weakly_canonical(folder));
  return !way.empty() && *way.begin() != "..";
}

void write_json(const std::string& path, const engine::Json& json) {
  engine::write_atomically(path, [&](engine::FileWriter& file) { file.write(to_text(json) + "\n"); });
}

}  // namespace apps
