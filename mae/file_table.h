// The files of a data set by name: a folder and one block of letters, so that a million of them take tens of megabytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mae/dataset.h"

namespace mae {

class FileTable {
 public:
  /// Names are relative to `folder`, or absolute.
  explicit FileTable(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// label -1: none.
  void add(std::string_view name, int label);
  /// Gives back what growing left over.
  void shrink();

  std::int64_t size() const { return static_cast<std::int64_t>(labels_.size()); }
  std::string_view name(std::int64_t i) const;
  std::string path(std::int64_t i) const { return (folder_ / name(i)).string(); }
  int label(std::int64_t i) const { return labels_[static_cast<std::size_t>(i)]; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  std::filesystem::path folder_;
  std::string letters_;  // all names, one after the other
  std::vector<std::uint64_t> begins_{0};
  std::vector<std::int32_t> labels_;
};

/// ".jpg" for A.JPG; empty where there is none.
std::string extension_of(const std::filesystem::path& path);

/// Whether the extension is one of .jpg .jpeg .png .tif .tiff .npy, in any case, of a file that is not hidden.
bool is_image_name(const std::filesystem::path& path);

bool is_tiff_name(const std::filesystem::path& path);

/// The bytes of a table's file i that are in memory, for as long as there is a copy of the function.
using BytesOf = std::function<std::span<const std::byte>(std::int64_t i)>;

/// The data set of these files, which are read from the disk where there is no `bytes_of`; `format` as in Dataset. Its
/// pixel type, and without reading.channels the channels of .npy files, and of TIFF without photographs beside them,
/// are those of the first that can be read. The fingerprint covers the format, names, sizes, labels where they are not
/// told by the names, the first 4 KiB of the first file, and Orientation::upright: it changes pixels.
Dataset dataset_of(FileTable table, std::string format, const Reading& reading, std::vector<std::string> classes,
                   const BytesOf& bytes_of = {});

}  // namespace mae
