#include "mae/file_table.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>

#include "kernels/core/check.h"
#include "mae/dataset_formats.h"

namespace mae {
namespace fs = std::filesystem;

void FileTable::add(std::string_view name, int label) {
  letters_ += name;
  begins_.push_back(letters_.size());
  labels_.push_back(label);
}

void FileTable::shrink() {
  letters_.shrink_to_fit();
  begins_.shrink_to_fit();
  labels_.shrink_to_fit();
}

std::string_view FileTable::name(std::int64_t i) const {
  const auto at = static_cast<std::size_t>(i);
  return std::string_view(letters_).substr(begins_[at], begins_[at + 1] - begins_[at]);
}

std::string extension_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return extension;
}

bool is_image_name(const fs::path& path) {
  const std::string extension = extension_of(path);
  const auto known = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".npy"};
  return std::find(known.begin(), known.end(), extension) != known.end() && !path.filename().string().starts_with('.');
}

bool is_tiff_name(const fs::path& path) {
  const std::string extension = extension_of(path);
  return extension == ".tif" || extension == ".tiff";
}

namespace {

/// An array has the channels that it has, and so has a TIFF, unless there are photographs beside it.
bool keeps_channels(const FileTable& table) {
  if (!is_tiff_name(table.name(0))) return table.name(0).ends_with(".npy");
  for (std::int64_t i = 0; i < table.size(); ++i) {
    if (!table.name(i).ends_with(".npy") && !is_tiff_name(table.name(i))) return false;
  }
  return true;
}

/// The files of a table, on the disk or in memory.
struct Files {
  FileTable table;
  BytesOf bytes_of;

  Image read(std::int64_t i, const Reading& reading) const {
    Image image = bytes_of ? decode_image(bytes_of(i), table.path(i), reading.channels)
                           : read_image(table.path(i), reading.channels);
    if (reading.orientation == Orientation::upright) return upright(std::move(image));
    return image;
  }
  std::uint64_t size(std::int64_t i) const {
    if (bytes_of) return bytes_of(i).size();
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(table.path(i), error);
    return error ? 0 : bytes;
  }
  std::array<char, 4096> head() const {
    std::array<char, 4096> head{};
    if (!bytes_of) {
      std::ifstream(table.path(0), std::ios::binary).read(head.data(), head.size());
    } else if (const auto bytes = bytes_of(0); !bytes.empty()) {
      std::memcpy(head.data(), bytes.data(), std::min(bytes.size(), head.size()));
    }
    return head;
  }
};

/// The first that can be read, of the first hundred and a hundred all over the table; else throws the first's error.
Image first_readable(const Files& files, const Reading& reading) {
  const std::int64_t size = files.table.size();
  std::optional<kernels::Error> first;
  for (std::int64_t n = 0; n < std::min<std::int64_t>(size, 200); ++n) {
    try {
      return files.read(n < 100 ? n : n * size / 200, reading);
    } catch (const kernels::Error& error) {
      if (!first) first = error;
    }
  }
  throw *first;
}

std::uint64_t fingerprint_of(const Files& files, const std::string& format, const Reading& reading) {
  std::uint64_t h = fingerprint(fingerprint_seed, std::string_view(format));
  if (reading.orientation == Orientation::upright) h = fingerprint(h, std::string_view("upright"));
  for (std::int64_t i = 0; i < files.table.size(); ++i) {
    h = fingerprint(fingerprint(h, files.table.name(i)), files.size(i));
    if (format != folder_format) h = fingerprint(h, static_cast<std::uint64_t>(files.table.label(i)));
  }
  const std::array<char, 4096> head = files.head();
  return fingerprint(h, std::as_bytes(std::span(head)));
}

}  // namespace

Dataset dataset_of(FileTable table, std::string format, const Reading& reading, std::vector<std::string> classes,
                   const BytesOf& bytes_of) {
  table.shrink();
  const auto files = std::make_shared<const Files>(Files{std::move(table), bytes_of});
  Reading each = reading;
  if (each.channels == 0 && !keeps_channels(files->table)) each.channels = 3;
  const Image first = first_readable(*files, each);
  each.channels = first.channels;

  Dataset data;
  data.format = std::move(format);
  data.size = files->table.size();
  data.channels = first.channels;
  data.dtype = first.dtype;
  data.classes = std::move(classes);
  data.fingerprint = fingerprint_of(*files, data.format, reading);
  data.image = [files, each, dtype = first.dtype](std::int64_t i) {
    Image image = files->read(i, each);
    if (image.dtype != dtype) {
      throw kernels::Error(
          std::string("is ") + name_of(image.dtype) + ", and the first image of the data set " + name_of(dtype),
          files->table.path(i), "keep pixels of different types in data sets of their own");
    }
    return image;
  };
  data.label = [files](std::int64_t i) { return files->table.label(i); };
  data.file = [files](std::int64_t i) { return files->table.path(i); };
  return data;
}

}  // namespace mae
