// A folder of JPEG and PNG files, with or without a level of class folders.
#include <algorithm>
#include <cctype>
#include <fstream>
#include <memory>
#include <optional>

#include "kernels/core/check.h"
#include "mae/dataset_formats.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

bool is_image_name(const fs::path& path) {
  const std::string name = path.filename().string();
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return !name.starts_with('.') && (extension == ".jpg" || extension == ".jpeg" || extension == ".png");
}

struct Held {
  fs::path folder;
  std::vector<std::string> names;  // relative to folder, sorted, so in the order of the classes
  std::vector<int> labels;         // empty for a flat folder
};

/// Relative names of the images in `folder` (below it too, where `deep`), sorted.
std::vector<std::string> image_names(const fs::path& folder, const fs::path& root, bool deep) {
  std::vector<std::string> names;
  const auto take = [&](const fs::directory_entry& entry) {
    if (is_image_name(entry.path()) && entry.is_regular_file()) {
      names.push_back(entry.path().lexically_relative(root).generic_string());
    }
  };
  if (deep) {
    const auto links = fs::directory_options::follow_directory_symlink;
    for (const auto& entry : fs::recursive_directory_iterator(folder, links)) take(entry);
  } else {
    for (const auto& entry : fs::directory_iterator(folder)) take(entry);
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// Fills `held` and gives the class names, empty for a flat folder.
std::vector<std::string> scan(Held& held) {
  std::vector<std::string> folders, classes;
  for (const auto& entry : fs::directory_iterator(held.folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && !name.starts_with('.')) folders.push_back(name);
  }
  std::sort(folders.begin(), folders.end());
  for (const std::string& name : folders) {
    const std::vector<std::string> images = image_names(held.folder / name, held.folder, true);
    if (images.empty()) continue;
    held.names.insert(held.names.end(), images.begin(), images.end());
    held.labels.insert(held.labels.end(), images.size(), static_cast<int>(classes.size()));
    classes.push_back(name);
  }
  const std::vector<std::string> loose = image_names(held.folder, held.folder, false);
  if (!loose.empty() && !classes.empty()) {
    throw kernels::Error("images lie both in class folders and beside them, such as " + loose.front(),
                         held.folder.string(), "move the loose ones into a class folder, or away");
  }
  if (classes.empty()) held.names = loose;
  if (held.names.empty()) {
    throw kernels::Error("holds no .jpg, .jpeg or .png files", held.folder.string(), "check the path of the data set");
  }
  return classes;
}

std::uint64_t fingerprint_of(const Held& held) {
  std::uint64_t h = fingerprint(fingerprint_seed, std::string_view("image folder"));
  for (const std::string& name : held.names) {
    h = fingerprint(fingerprint(h, name), static_cast<std::uint64_t>(fs::file_size(held.folder / name)));
  }
  char head[4096] = {};
  std::ifstream(held.folder / held.names.front(), std::ios::binary).read(head, sizeof head);
  return fingerprint(h, std::as_bytes(std::span(head)));
}

/// Of the first image that can be read; throws the first's error where none of a hundred can.
kernels::DType dtype_of(const Held& held, int channels) {
  std::optional<kernels::Error> first;
  for (std::size_t i = 0; i < std::min<std::size_t>(held.names.size(), 100); ++i) {
    try {
      return read_image((held.folder / held.names[i]).string(), channels).dtype;
    } catch (const kernels::Error& error) {
      if (!first) first = error;
    }
  }
  throw *first;
}

}  // namespace

Dataset open_image_folder(const fs::path& folder, int channels) {
  const auto held = std::make_shared<Held>();
  held->folder = folder;
  Dataset data;
  data.format = "image folder";
  data.classes = scan(*held);
  data.size = static_cast<std::int64_t>(held->names.size());
  data.channels = channels;
  data.dtype = dtype_of(*held, channels);
  data.fingerprint = fingerprint_of(*held);
  data.image = [held, channels, dtype = data.dtype](std::int64_t i) {
    const std::string path = (held->folder / held->names[static_cast<std::size_t>(i)]).string();
    Image image = read_image(path, channels);
    if (image.dtype != dtype) {
      throw kernels::Error(
          std::string("is ") + name_of(image.dtype) + ", and the first image of the folder " + name_of(dtype), path,
          "keep 8-bit and 16-bit images in folders of their own");
    }
    return image;
  };
  data.label = [held](std::int64_t i) { return held->labels.empty() ? -1 : held->labels[static_cast<std::size_t>(i)]; };
  return data;
}

}  // namespace mae
