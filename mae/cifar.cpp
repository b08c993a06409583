// CIFAR-10's binary files: records of 3073 bytes, a label below 10 and then 32 x 32 pixels as three planes.
#include <memory>

#include "kernels/core/check.h"
#include "mae/dataset_formats.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t side = 32, plane = side * side, record = 1 + 3 * plane;
constexpr std::size_t record_of_100 = record + 1;  // CIFAR-100 has two labels

struct Held {
  std::vector<std::byte> pixels;  // (N, 32, 32, 3)
  std::vector<std::byte> labels;  // (N)
};

void append_records(Held& held, const fs::path& path) {
  const std::vector<std::byte> file = read_bytes(path.string());
  if (file.empty() || file.size() % record != 0) {
    const bool other = !file.empty() && file.size() % record_of_100 == 0;
    throw kernels::Error(other ? "looks like CIFAR-100, whose records have two labels; CIFAR-10 is read"
                               : "cut or damaged CIFAR-10 file: not a whole number of 3073-byte records",
                         path.string(), other ? "use CIFAR-10's binary version" : "fetch the file again");
  }
  const std::size_t old = held.pixels.size();
  held.pixels.resize(old + file.size() / record * 3 * plane);
  std::byte* out = held.pixels.data() + old;
  for (std::size_t at = 0; at < file.size(); at += record, out += 3 * plane) {
    const int label = std::to_integer<int>(file[at]);
    if (label > 9) {
      throw kernels::Error(
          "not a CIFAR-10 file: record " + std::to_string(at / record) + " has label " + std::to_string(label),
          path.string(), "fetch the file again");
    }
    held.labels.push_back(file[at]);
    const std::byte* planes = &file[at + 1];
    for (std::size_t i = 0; i < plane; ++i) {
      for (std::size_t c = 0; c < 3; ++c) out[3 * i + c] = planes[c * plane + i];
    }
  }
}

}  // namespace

Dataset open_cifar10(const std::vector<fs::path>& files) {
  const auto held = std::make_shared<Held>();
  for (const fs::path& path : files) append_records(*held, path);

  Dataset data;
  data.format = "CIFAR-10";
  data.size = static_cast<std::int64_t>(held->labels.size());
  data.channels = 3;
  data.height = data.width = static_cast<int>(side);
  data.classes = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  data.fingerprint = fingerprint(fingerprint(fingerprint_seed, data.format), held->labels.size());
  data.fingerprint = fingerprint(fingerprint(data.fingerprint, checksum(held->pixels)), checksum(held->labels));
  data.view = [held](std::int64_t i) {
    const std::byte* pixels = held->pixels.data() + static_cast<std::size_t>(i) * 3 * plane;
    return ImageView{side, side, 3, kernels::DType::u8, pixels};
  };
  data.image = [view = data.view](std::int64_t i) { return copy_of(view(i)); };
  data.label = [held](std::int64_t i) { return std::to_integer<int>(held->labels[static_cast<std::size_t>(i)]); };
  return data;
}

}  // namespace mae
