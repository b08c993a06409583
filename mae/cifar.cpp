// CIFAR's binary files: records of a label below 10 and then 32 x 32 pixels as three planes (CIFAR-10), or of a label
// below 20, one below 100, and the pixels (CIFAR-100). Which one a file is, is told by its size.
#include <array>
#include <memory>

#include "kernels/core/check.h"
#include "mae/dataset_formats.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t side = 32, plane = side * side;

constexpr const char* classes_of_10[] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                         "dog",      "frog",       "horse", "ship", "truck"};
constexpr const char* classes_of_100[] = {
    "apple",      "aquarium_fish", "baby",         "bear",       "beaver",      "bed",         "bee",
    "beetle",     "bicycle",       "bottle",       "bowl",       "boy",         "bridge",      "bus",
    "butterfly",  "camel",         "can",          "castle",     "caterpillar", "cattle",      "chair",
    "chimpanzee", "clock",         "cloud",        "cockroach",  "couch",       "crab",        "crocodile",
    "cup",        "dinosaur",      "dolphin",      "elephant",   "flatfish",    "forest",      "fox",
    "girl",       "hamster",       "house",        "kangaroo",   "keyboard",    "lamp",        "lawn_mower",
    "leopard",    "lion",          "lizard",       "lobster",    "man",         "maple_tree",  "motorcycle",
    "mountain",   "mouse",         "mushroom",     "oak_tree",   "orange",      "orchid",      "otter",
    "palm_tree",  "pear",          "pickup_truck", "pine_tree",  "plain",       "plate",       "poppy",
    "porcupine",  "possum",        "rabbit",       "raccoon",    "ray",         "road",        "rocket",
    "rose",       "sea",           "seal",         "shark",      "shrew",       "skunk",       "skyscraper",
    "snail",      "snake",         "spider",       "squirrel",   "streetcar",   "sunflower",   "sweet_pepper",
    "table",      "tank",          "telephone",    "television", "tiger",       "tractor",     "train",
    "trout",      "tulip",         "turtle",       "wardrobe",   "whale",       "willow_tree", "wolf",
    "woman",      "worm"};

struct Kind {
  const char* name;
  std::size_t labels;  // bytes in front of the pixels; the last one is the label
  std::span<const char* const> classes;

  std::size_t record() const { return labels + 3 * plane; }
};
const Kind kinds[] = {{"CIFAR-10", 1, classes_of_10}, {"CIFAR-100", 2, classes_of_100}};
static_assert(std::size(classes_of_100) == 100);

struct Held {
  std::vector<std::byte> pixels;  // (N, 32, 32, 3)
  std::vector<std::byte> labels;  // (N)
};

const Kind& kind_of(std::size_t bytes, const fs::path& path) {
  for (const Kind& kind : kinds) {
    if (bytes > 0 && bytes % kind.record() == 0) return kind;
  }
  throw kernels::Error("cut or damaged CIFAR file: not a whole number of 3073-byte records, nor of CIFAR-100's 3074",
                       path.string(), "fetch the file again");
}

void append_records(Held& held, const Kind& kind, std::span<const std::byte> file, const fs::path& path) {
  const std::size_t record = kind.record(), old = held.pixels.size();
  held.pixels.resize(old + file.size() / record * 3 * plane);
  std::byte* out = held.pixels.data() + old;
  for (std::size_t at = 0; at < file.size(); at += record, out += 3 * plane) {
    const std::byte label = file[at + kind.labels - 1];
    if (std::to_integer<std::size_t>(label) >= kind.classes.size()) {
      throw kernels::Error("not a " + std::string(kind.name) + " file: record " + std::to_string(at / record) +
                               " has label " + std::to_string(std::to_integer<int>(label)),
                           path.string(), "fetch the file again");
    }
    held.labels.push_back(label);
    const std::byte* planes = &file[at + kind.labels];
    for (std::size_t i = 0; i < plane; ++i) {
      for (std::size_t c = 0; c < 3; ++c) out[3 * i + c] = planes[c * plane + i];
    }
  }
}

}  // namespace

Dataset open_cifar(const std::vector<fs::path>& files) {
  const auto held = std::make_shared<Held>();
  const Kind* kind = nullptr;
  for (const fs::path& path : files) {
    const std::vector<std::byte> file = read_bytes(path.string());
    const Kind& its = kind_of(file.size(), path);
    if (kind != nullptr && kind != &its)
      throw kernels::Error("is a " + std::string(its.name) + " file beside files of " + kind->name, path.string(),
                           "keep data sets in folders of their own");
    kind = &its;
    append_records(*held, its, file, path);
  }

  Dataset data;
  data.format = kind->name;
  data.size = static_cast<std::int64_t>(held->labels.size());
  data.channels = 3;
  data.height = data.width = static_cast<int>(side);
  data.classes.assign(kind->classes.begin(), kind->classes.end());
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
