// Tar files, plain or gzip: where their members lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mae {

bool is_tar_name(std::string_view name);  // .tar, .tar.gz or .tgz

/// By its name, or by its content: a tar header, behind gzip too.
bool is_tar(const std::string& path);

struct TarMember {
  std::string name;
  std::span<const std::byte> bytes;  // empty for one that was not wanted
};

struct TarContent {
  std::vector<TarMember> members;      // regular files, in order
  std::int64_t others = 0;             // links, and files with holes that are not stored
  std::shared_ptr<const void> memory;  // where their bytes are
  std::uint64_t held = 0;              // bytes of it that no file stands behind
};

/// A plain file is mapped into memory. Of a gzip file the members that `wanted` names are held there, at most
/// `most_held` bytes. Throws kernels::Error naming the file for one that is damaged, or cut: also between two members,
/// where a plain file lacks the empty blocks at its end, and where a header in the middle is empty.
TarContent read_tar(const std::string& path, const std::function<bool(std::string_view name)>& wanted,
                    std::uint64_t most_held);

}  // namespace mae
