#include "mae/dataset.h"

#include <zlib.h>

#include <algorithm>
#include <fstream>

#include "kernels/core/check.h"
#include "mae/dataset_formats.h"

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
  const std::string split = text.substr(colon + 1);
  if (split != "train" && split != "test" && split != "val") return request;
  return {.path = text.substr(0, colon), .split = split == "train" ? Split::train : Split::test, .said = true};
}

[[noreturn]] void no_such_split(const Request& request) {
  throw kernels::Error(std::string("has no ") + (request.split == Split::train ? "training" : "test") + " split",
                       request.path.string(), "name the split that is there: DIR:train or DIR:test");
}

Dataset open_file(const Request& request, const std::string& text, const Reading& reading) {
  const fs::path extension = request.path.extension();
  if (extension == ".csv") return open_image_csv(request.path, request.split, reading);
  if (request.said) throw kernels::Error("a split is chosen for a folder, and this is a file", text, "leave it out");
  const fs::path& path = request.path;
  if (!fs::is_regular_file(path)) throw kernels::Error("is neither a file nor a folder", text, "a file or a folder");
  if (extension == ".txt") return open_image_list(path, reading);
  unsigned char head[4] = {};
  std::ifstream(path, std::ios::binary).read(reinterpret_cast<char*>(head), sizeof head);
  const bool gzip = head[0] == 0x1f && head[1] == 0x8b;
  const bool idx = head[0] == 0 && head[1] == 0 && head[2] >= 0x08 && head[2] <= 0x0e && head[3] >= 1 && head[3] <= 4;
  if (gzip || (idx && extension != ".bin")) return open_idx(path);
  if (extension == ".bin") return open_cifar10({path});
  throw kernels::Error(
      "is not a data set: neither IDX, nor CIFAR-10 (*.bin), nor a list (*.txt, *.csv), nor a folder of images",
      path.string(), "check that the file is whole; put single images into a folder");
}

Dataset open_folder(const Request& request, const Reading& reading) {
  const fs::path& folder = request.path;
  const bool train = request.split == Split::train;

  const auto idx_train = entries(folder, "train-images", ""), idx_test = entries(folder, "t10k-images", "");
  if (!idx_train.empty() || !idx_test.empty()) {
    const auto& files = train ? idx_train : idx_test;
    if (files.empty()) no_such_split(request);
    return open_idx(files.front());
  }

  auto cifar_train = entries(folder, "data_batch_", ".bin"), cifar_test = entries(folder, "test_batch", ".bin");
  if (cifar_train.empty()) cifar_train = entries(folder, "train.bin", "");
  if (cifar_test.empty()) cifar_test = entries(folder, "test.bin", "");
  if (!cifar_train.empty() || !cifar_test.empty()) {
    const auto& files = train ? cifar_train : cifar_test;
    if (files.empty()) no_such_split(request);
    return open_cifar10(files);
  }

  if (fs::is_directory(folder / "train")) {
    for (const char* name : {train ? "train" : "val", train ? "train" : "test"}) {
      if (fs::is_directory(folder / name)) return open_image_folder(folder / name, reading);
    }
    no_such_split(request);
  }
  if (request.said) no_such_split(request);
  return open_image_folder(folder, reading);
}

}  // namespace

Dataset open_dataset(const std::string& path, const Reading& reading) {
  const Request request = parse(path);
  if (!fs::exists(request.path)) {
    throw kernels::Error("does not exist", request.path.string(), "check the path of the data set");
  }
  Dataset data = fs::is_directory(request.path) ? open_folder(request, reading) : open_file(request, path, reading);
  data.path = path;
  if (reading.channels != 0 && reading.channels != data.channels) {
    data.image = [inner = data.image, path, wanted = reading.channels](std::int64_t i) {
      return with_channels(inner(i), wanted, path);
    };
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

bool has_test_split(const std::string& text) {
  const fs::path path = text;
  if (path.extension() == ".csv" && fs::is_regular_file(path)) return csv_has_test_split(path);
  if (!fs::is_directory(path)) return false;
  if (!entries(path, "t10k-images", "").empty() || !entries(path, "test_batch", ".bin").empty()) return true;
  if (!entries(path, "train.bin", "").empty() && !entries(path, "test.bin", "").empty()) return true;
  return fs::is_directory(path / "train") && (fs::is_directory(path / "val") || fs::is_directory(path / "test"));
}

}  // namespace mae
