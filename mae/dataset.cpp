#include "mae/dataset.h"

#include <zlib.h>

#include <algorithm>
#include <fstream>

#include "kernels/core/check.h"
#include "mae/dataset_formats.h"
#include "mae/file_table.h"
#include "mae/tar.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

struct Request {
  fs::path path;
  Split split = Split::train;
  bool said = false;  // the split was written out
};

/// Takes `:train`, `:test` or `:val` off the end, unless a file has that very name.
Request parse(const std::string& text) {
  Request request{.path = text, .split = Split::train, .said = false};
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || fs::exists(request.path)) return request;
  const std::optional<Split> split = split_named(text.substr(colon + 1));
  if (!split) return request;
  return {.path = text.substr(0, colon), .split = *split, .said = true};
}

[[noreturn]] void no_such_split(const Request& request) {
  throw kernels::Error(std::string("has no split ") + split_names[static_cast<int>(request.split)],
                       request.path.string(), "the folder alone, or the split that is there: `mae data` says which");
}

[[noreturn]] void no_split_of_file(const std::string& text) {
  throw kernels::Error("a split is chosen for a folder, and this is a file", text, "leave it out");
}

/// DIR/train, DIR/val (valid, validation) and DIR/test; nothing where there is no DIR/train. A folder `train` alone,
/// with images in it as in the folders beside it, is a class, of vehicles.
std::map<Split, fs::path> split_folders(const fs::path& folder) {
  std::map<Split, fs::path> there;
  for (const char* name : {"train", "val", "valid", "validation", "test"}) {
    if (fs::is_directory(folder / name)) there.emplace(*split_named(name), folder / name);
  }
  if (there.count(Split::train) == 0) return {};
  if (there.size() > 1 || !holds_images(folder / "train")) return there;
  const std::vector<std::string> names = folder_names(folder);
  const bool among_classes = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name != "train" && holds_images(folder / name);
  });
  return among_classes ? std::map<Split, fs::path>{} : there;
}

template <class Place>
std::set<Split> names_of(const std::map<Split, Place>& splits) {
  std::set<Split> names;
  for (const auto& [split, place] : splits) names.insert(split);
  return names;
}

/// The place of the split that is meant.
template <class Place>
const Place& place_of(const std::map<Split, Place>& splits, const Request& request) {
  const auto found = splits.find(split_among(names_of(splits), request.split));
  if (found == splits.end()) no_such_split(request);
  return found->second;
}

/// IDX files of a folder: of the training split and of the other.
std::vector<fs::path> idx_files(const fs::path& folder, const char* start) {
  std::vector<fs::path> found = entries(folder, start, "");
  std::erase_if(found, [](const fs::path& path) { return is_image_name(path); });
  return found;
}

struct CifarFiles {
  std::vector<fs::path> train, test;
};

CifarFiles cifar_files(const fs::path& folder) {
  CifarFiles files{entries(folder, "data_batch_", ".bin"), entries(folder, "test_batch", ".bin")};
  const auto one = [&](const char* name) {
    return fs::is_regular_file(folder / name) ? std::vector{folder / name} : std::vector<fs::path>{};
  };
  if (files.train.empty()) files.train = one("train.bin");
  if (files.test.empty()) files.test = one("test.bin");
  return files;
}

Dataset open_file(const Request& request, const std::string& text, const Reading& reading) {
  const fs::path extension = request.path.extension();
  if (extension == ".csv") return open_image_csv(request.path, request.split, reading);
  if (request.said) no_split_of_file(text);
  const fs::path& path = request.path;
  if (!fs::is_regular_file(path)) throw kernels::Error("is neither a file nor a folder", text, "a file or a folder");
  if (extension == ".txt") return open_image_list(path, reading);
  unsigned char head[4] = {};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(head), sizeof head);
  if (is_tar(path.string())) return open_shards({path}, reading);
  const bool gzip = head[0] == 0x1f && head[1] == 0x8b;
  const bool idx = head[0] == 0 && head[1] == 0 && head[2] >= 0x08 && head[2] <= 0x0e && head[3] >= 1 && head[3] <= 4;
  if (gzip || (idx && extension != ".bin")) return open_idx(path);
  if (extension == ".bin") return open_cifar({path});
  throw kernels::Error(
      "is not a data set: neither IDX, nor CIFAR (*.bin), nor tar, nor a list (*.txt, *.csv), nor a folder of images",
      path.string(), "check that the file is whole; put single images into a folder");
}

/// A folder that is one split.
Dataset open_images(const fs::path& folder, const Reading& reading) {
  if (is_packed(folder)) return open_packed(folder, reading);
  std::vector<fs::path> shards;
  for (const auto& [split, files] : shards_in(folder)) shards.insert(shards.end(), files.begin(), files.end());
  return shards.empty() ? open_image_folder(folder, reading) : open_shards(shards, reading);
}

Dataset open_folder(const Request& request, const Reading& reading) {
  const fs::path& folder = request.path;
  const bool train = request.split == Split::train;

  const auto idx_train = idx_files(folder, "train-images"), idx_test = idx_files(folder, "t10k-images");
  if (!idx_train.empty() || !idx_test.empty()) {
    const auto& files = train ? idx_train : idx_test;
    if (files.empty()) no_such_split(request);
    return open_idx(files.front());
  }

  const CifarFiles cifar = cifar_files(folder);
  if (!cifar.train.empty() || !cifar.test.empty()) {
    const auto& files = train ? cifar.train : cifar.test;
    if (files.empty()) no_such_split(request);
    return open_cifar(files);
  }

  if (const auto there = split_folders(folder); !there.empty()) return open_images(place_of(there, request), reading);
  if (const auto there = shards_in(folder); !there.empty()) return open_shards(place_of(there, request), reading);
  if (request.said) no_such_split(request);
  return open_images(folder, reading);
}

}  // namespace

Dataset open_dataset(const std::string& path, const Reading& reading) {
  const Request request = parse(path);
  const std::vector<fs::path> shards =
      fs::exists(request.path) ? std::vector<fs::path>() : expand_braces(request.path.string());
  if (!fs::exists(request.path) && shards.empty()) {
    throw kernels::Error("does not exist", request.path.string(), "check the path of the data set");
  }
  if (!shards.empty() && request.said) no_split_of_file(path);
  Dataset data = !shards.empty()                  ? open_shards(shards, reading)
                 : fs::is_directory(request.path) ? open_folder(request, reading)
                                                  : open_file(request, path, reading);
  data.path = path;
  if (reading.channels != 0 && reading.channels != data.channels) {
    data.image = [inner = data.image, path, wanted = reading.channels](std::int64_t i) {
      return with_channels(inner(i), wanted, path);
    };
    data.view = {};
    data.channels = data.image(0).channels;  // the first image says now whether that can be done
  }
  return data;
}

std::string name_of(const Dataset& data, std::int64_t sample) {
  return data.file ? data.file(sample) : data.path + ", sample " + std::to_string(sample);
}

std::vector<fs::path> entries(const fs::path& folder, std::string_view start, std::string_view end) {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(start) && name.ends_with(end) && entry.is_regular_file()) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::uint64_t fingerprint(std::uint64_t h, std::span<const std::byte> bytes) {
  for (std::byte b : bytes) h = (h ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3ull;
  return h;
}

std::uint64_t fingerprint(std::uint64_t h, std::string_view text) {
  return fingerprint(fingerprint(h, std::as_bytes(std::span(text))), text.size());
}

std::uint64_t fingerprint(std::uint64_t h, std::uint64_t number) {
  for (int i = 0; i < 8; ++i) h = (h ^ (number >> (8 * i) & 0xff)) * 0x100000001b3ull;
  return h;
}

std::uint64_t checksum(std::span<const std::byte> bytes) {
  return crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
}

std::optional<Split> split_named(std::string_view name) {
  if (name == "train" || name == "training") return Split::train;
  if (name == "val" || name == "valid" || name == "validation") return Split::val;
  if (name == "test") return Split::test;
  return std::nullopt;
}

Split split_among(const std::set<Split>& there, Split wanted) {
  if (wanted == Split::train || there.count(wanted) == 1) return wanted;
  const Split other = wanted == Split::val ? Split::test : Split::val;
  return there.count(other) == 1 ? other : wanted;
}

std::vector<std::string> other_splits(const std::string& text) {
  const fs::path path = text;
  std::set<Split> there;
  if (fs::is_directory(path)) {
    if (!idx_files(path, "t10k-images").empty() || !cifar_files(path).test.empty()) return {"test"};
    there = names_of(split_folders(path));
    if (there.empty()) there = names_of(shards_in(path));
  } else if (path.extension() == ".csv" && fs::is_regular_file(path)) {
    there = splits_of_csv(path);
  }
  std::vector<std::string> names;
  for (const Split split : there) {
    if (split != Split::train) names.emplace_back(split_names[static_cast<int>(split)]);
  }
  return names;
}

}  // namespace mae
