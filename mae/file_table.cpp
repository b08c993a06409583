#include "mae/file_table.h"

#include <algorithm>
#include <cctype>
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
  const bool known = extension == ".jpg" || extension == ".jpeg" || extension == ".png" || extension == ".npy";
  return known && !path.filename().string().starts_with('.');
}

namespace {

Image read_entry(const FileTable& table, std::int64_t i, const Reading& reading) {
  Image image = read_image(table.path(i), reading.channels);
  if (reading.orientation == Orientation::upright) return upright(std::move(image));
  return image;
}

/// The first that can be read, of the first hundred and a hundred all over the table; else throws the first's error.
Image first_readable(const FileTable& table, const Reading& reading) {
  std::optional<kernels::Error> first;
  for (std::int64_t n = 0; n < std::min<std::int64_t>(table.size(), 200); ++n) {
    try {
      return read_entry(table, n < 100 ? n : n * table.size() / 200, reading);
    } catch (const kernels::Error& error) {
      if (!first) first = error;
    }
  }
  throw *first;
}

std::uint64_t fingerprint_of(const FileTable& table, const std::string& format, const Reading& reading) {
  std::uint64_t h = fingerprint(fingerprint_seed, std::string_view(format));
  if (reading.orientation == Orientation::upright) h = fingerprint(h, std::string_view("upright"));
  for (std::int64_t i = 0; i < table.size(); ++i) {
    std::error_code error;
    const std::uintmax_t bytes = fs::file_size(table.path(i), error);
    h = fingerprint(fingerprint(h, table.name(i)), static_cast<std::uint64_t>(error ? 0 : bytes));
    if (format != folder_format) h = fingerprint(h, static_cast<std::uint64_t>(table.label(i)));
  }
  char head[4096] = {};
  std::ifstream(table.path(0), std::ios::binary).read(head, sizeof head);
  return fingerprint(h, std::as_bytes(std::span(head)));
}

}  // namespace

Dataset dataset_of(FileTable table, std::string format, const Reading& reading, std::vector<std::string> classes) {
  table.shrink();
  const auto held = std::make_shared<const FileTable>(std::move(table));
  Reading each = reading;
  const bool arrays = fs::path(held->name(0)).extension() == ".npy";
  if (each.channels == 0 && !arrays) each.channels = 3;
  const Image first = first_readable(*held, each);
  each.channels = first.channels;

  Dataset data;
  data.format = std::move(format);
  data.size = held->size();
  data.channels = first.channels;
  data.dtype = first.dtype;
  data.classes = std::move(classes);
  data.fingerprint = fingerprint_of(*held, data.format, reading);
  data.image = [held, each, dtype = first.dtype](std::int64_t i) {
    Image image = read_entry(*held, i, each);
    if (image.dtype != dtype) {
      throw kernels::Error(
          std::string("is ") + name_of(image.dtype) + ", and the first image of the data set " + name_of(dtype),
          held->path(i), "keep pixels of different types in data sets of their own");
    }
    return image;
  };
  data.label = [held](std::int64_t i) { return held->label(i); };
  data.file = [held](std::int64_t i) { return held->path(i); };
  return data;
}

}  // namespace mae
