// A whole file as memory, for reading: pages come from the disk when they are first touched, and all processes that
// map the file share them.
//
// A file that is cut while it is mapped, or a disk that fails, ends the process by SIGBUS.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace engine {

class MappedFile {
 public:
  /// Throws kernels::Error where the file cannot be opened, is not a regular file, or cannot be mapped.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  /// The size is that of the moment when it was opened.
  std::span<const std::byte> bytes() const { return bytes_; }
  /// Whether the system may fetch pages before they are touched, as it does by itself; not, where a few bytes are
  /// wanted here and there.
  void read_ahead(bool wanted) const;

 private:
  std::span<const std::byte> bytes_;  // on a page bound; empty for an empty file
};

}  // namespace engine
