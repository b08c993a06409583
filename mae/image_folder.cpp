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

/// Its extension; "hidden" for .name, "no extension" for name.
std::string kind_of(const fs::path& path) {
  if (path.filename().string().starts_with('.')) return "hidden";
  const std::string extension = extension_of(path);
  return extension.empty() ? "no extension" : extension;
}

struct Found {
  std::vector<std::string> images;               // relative to the root, sorted
  std::map<std::string, std::int64_t> left_out;  // as in Dataset
};

/// The images in `folder`; below it too, where `deep`. Links to folders are followed, but not into a folder that the
/// walk is inside of.
Found files_in(const fs::path& folder, const fs::path& root, bool deep) {
  Found found;
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
    } else if (!is_image_name(entry->path())) {
      ++found.left_out[kind_of(entry->path())];
    } else if (entry->is_regular_file() || !entry->exists()) {  // a link to nothing is an image that cannot be read
      found.images.push_back(entry->path().lexically_relative(root).generic_string());
    } else {
      ++found.left_out["no regular file"];
    }
  }
  std::sort(found.images.begin(), found.images.end());
  return found;
}

}  // namespace

std::vector<std::string> folder_names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && !name.starts_with('.')) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool holds_images(const fs::path& folder) {
  std::error_code error;  // one that may not be read holds none for us
  const auto files = fs::directory_iterator(folder, error);
  return std::any_of(begin(files), end(files), [](const auto& file) { return is_image_name(file.path()); });
}

Dataset open_image_folder(const fs::path& folder, const Reading& reading) {
  Found loose = files_in(folder, folder, false);
  FileTable table(folder);
  std::vector<std::string> classes;
  // A TIFF beside class folders is an overview, a map, a mosaic: it does not take the classes away.
  if (std::all_of(loose.images.begin(), loose.images.end(), is_tiff_name)) {
    for (const std::string& name : folder_names(folder)) {
      const Found found = files_in(folder / name, folder, true);
      for (const std::string& image : found.images) table.add(image, static_cast<int>(classes.size()));
      if (!found.images.empty()) classes.push_back(name);
      for (const auto& [kind, count] : found.left_out) loose.left_out[kind] += count;
    }
  }
  if (table.size() > 0) {
    for (const std::string& image : loose.images) ++loose.left_out[extension_of(image)];
  } else if (!loose.images.empty()) {
    loose = files_in(folder, folder, true);
    for (const std::string& image : loose.images) table.add(image, -1);
  }
  if (table.size() == 0) {
    throw kernels::Error("holds no .jpg, .jpeg, .png, .tif, .tiff or .npy files", folder.string(),
                         "check the path of the data set");
  }
  Dataset data = dataset_of(std::move(table), folder_format, reading, std::move(classes));
  data.folder = folder.string();
  data.left_out = std::move(loose.left_out);
  return data;
}

}  // namespace mae
