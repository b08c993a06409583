// A folder of images: DIR/<class>/**/<file>, labels in the order of the class names; or, where images also lie beside
// the folders, all of them without labels.
#include <sys/stat.h>

#include <algorithm>

#include "kernels/core/check.h"
#include "mae/dataset_formats.h"
#include "mae/file_table.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

/// What makes a folder the same one, by whatever links it is reached.
std::pair<dev_t, ino_t> identity(const fs::path& folder) {
  struct stat info {};
  ::stat(folder.c_str(), &info);
  return {info.st_dev, info.st_ino};
}

/// Names, relative to `root` and sorted, of the images in `folder`; below it too, where `deep`. Links to folders are
/// followed, but not into a folder that the walk is inside of.
std::vector<std::string> image_names(const fs::path& folder, const fs::path& root, bool deep) {
  std::vector<std::string> names;
  std::vector<std::pair<dev_t, ino_t>> inside{identity(root), identity(folder)};
  const auto links = fs::directory_options::follow_directory_symlink;
  for (auto entry = fs::recursive_directory_iterator(folder, links); entry != fs::recursive_directory_iterator();
       ++entry) {
    inside.resize(2 + static_cast<std::size_t>(entry.depth()));
    if (entry->is_directory()) {
      const auto here = identity(entry->path());
      const bool loop = std::find(inside.begin(), inside.end(), here) != inside.end();
      if (!deep || loop) entry.disable_recursion_pending();
      inside.push_back(here);
    } else if (is_image_name(entry->path()) && entry->is_regular_file()) {
      names.push_back(entry->path().lexically_relative(root).generic_string());
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> folder_names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && !name.starts_with('.')) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Dataset open_image_folder(const fs::path& folder, const Reading& reading) {
  const std::vector<std::string> loose = image_names(folder, folder, false);
  FileTable table(folder);
  std::vector<std::string> classes;
  if (loose.empty()) {
    for (const std::string& name : folder_names(folder)) {
      const std::vector<std::string> images = image_names(folder / name, folder, true);
      for (const std::string& image : images) table.add(image, static_cast<int>(classes.size()));
      if (!images.empty()) classes.push_back(name);
    }
  } else {
    for (const std::string& image : image_names(folder, folder, true)) table.add(image, -1);
  }
  if (table.size() == 0) {
    throw kernels::Error("holds no .jpg, .jpeg, .png or .npy files", folder.string(), "check the path of the data set");
  }
  return dataset_of(std::move(table), folder_format, reading, std::move(classes));
}

}  // namespace mae
