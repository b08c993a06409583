// Tar shards in the layout of WebDataset: files that follow each other and share a name up to the first dot are one
// sample, KEY.jpg its image (or .jpeg .png .tif .tiff .npy) and KEY.cls its label, a whole number. All else is counted
// and left out. Plain shards stay where they are, mapped into memory; of compressed ones the images are held.
#include <algorithm>
#include <cctype>
#include <memory>

#include "engine/number.h"
#include "kernels/core/check.h"
#include "mae/dataset_formats.h"
#include "mae/file_table.h"
#include "mae/tar.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t most_in_memory = std::uint64_t{8} << 30;
constexpr int most_labels = 1 << 16;

/// "a/b.seg.png" -> "a/b" and "seg.png".
struct SampleName {
  explicit SampleName(std::string_view name) {
    const std::size_t folder = name.rfind('/') + 1;  // 0 where there is none
    const std::size_t dot = std::min(name.find('.', folder), name.size());
    key = name.substr(0, dot);
    extension = name.substr(std::min(dot + 1, name.size()));
  }
  std::string_view key, extension;
};

bool is_label(std::string_view name) { return SampleName(name).extension == "cls"; }
bool is_sample_image(std::string_view name) {
  return is_image_name(fs::path(name)) && SampleName(name).extension.find('.') == std::string_view::npos;
}

int label_in(std::span<const std::byte> text, const std::string& where) {
  std::string_view digits(reinterpret_cast<const char*>(text.data()), text.size());
  while (!digits.empty() && (digits.back() == '\n' || digits.back() == '\r' || digits.back() == ' '))
    digits.remove_suffix(1);
  const auto label = engine::parse_number<int>(digits);
  if (label && *label >= 0 && *label < most_labels) return *label;
  throw kernels::Error("is no label", where, "a whole number from 0 to 65535 in every .cls file");
}

/// All samples of some shards.
struct Shards {
  explicit Shards(const fs::path& folder) : table(folder) {}

  FileTable table;                                  // SHARD/MEMBER
  std::vector<std::shared_ptr<const void>> memory;  // of the shards
  std::vector<std::span<const std::byte>> images;   // as the table
  std::map<std::string, std::int64_t> left_out;
  int last_label = -1;
};

/// a.tar.gz and a.tgz -> a.tar.
fs::path unpacked_name(fs::path shard) {
  const fs::path extension = shard.extension();
  if (extension == ".tgz") return shard.replace_extension(".tar");
  return extension == ".gz" ? shard.replace_extension() : shard;
}

/// Adds the samples of one shard.
class ShardReader {
 public:
  ShardReader(Shards& to, const fs::path& path)
      : to_(to), path_(path), shard_(unpacked_name(path.lexically_relative(to.table.folder()))) {}

  void read(const std::vector<TarMember>& members) {
    for (const TarMember& member : members) {
      const SampleName name(member.name);
      if (name.key.empty() || name.key.ends_with('/') || name.extension.empty()) {  // hidden: ._0.jpg of a Mac
        ++to_.left_out[name.extension.empty() ? "no extension" : "hidden"];
        continue;
      }
      if (name.key != key_) finish();
      key_ = name.key;
      if (is_label(member.name)) {
        label_ = label_in(member.bytes, (path_ / fs::path(member.name).relative_path()).string());
      } else if (is_sample_image(member.name) && image_ == nullptr) {
        image_ = &member;
      } else {
        ++to_.left_out["." + std::string(name.extension)];
      }
    }
    finish();
  }

 private:
  void finish() {
    if (image_ != nullptr) {
      to_.table.add((shard_ / fs::path(image_->name).relative_path()).string(), label_);
      to_.images.push_back(image_->bytes);
      to_.last_label = std::max(to_.last_label, label_);
    }
    image_ = nullptr, label_ = -1;
  }

  Shards& to_;
  const fs::path& path_;
  fs::path shard_;  // in names of samples, which do not change where it is unpacked
  std::string_view key_;
  const TarMember* image_ = nullptr;
  int label_ = -1;
};

/// A whole word of the name, in any case: imagenet-val-0007.tar.
std::optional<Split> split_in(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  for (std::size_t begin = 0; begin < name.size();) {
    const auto is_letter = [](unsigned char c) { return std::isalpha(c) != 0; };
    const auto end = std::find_if_not(name.begin() + static_cast<std::ptrdiff_t>(begin), name.end(), is_letter);
    const auto length = static_cast<std::size_t>(end - name.begin()) - begin;
    if (const auto split = split_named(std::string_view(name).substr(begin, length))) return split;
    begin += length + 1;
  }
  return std::nullopt;
}

}  // namespace

std::map<Split, std::vector<fs::path>> shards_in(const fs::path& folder) {
  if (holds_images(folder) || !folder_names(folder).empty()) return {};
  std::map<Split, std::vector<fs::path>> found;
  std::vector<fs::path> all;
  for (const fs::path& path : entries(folder, "", "")) {
    const std::string name = path.filename().string();
    if (!is_tar_name(name) || name.starts_with('.')) continue;
    found[split_in(name).value_or(Split::train)].push_back(path);
    all.push_back(path);
  }
  if (!found.empty() && found.count(Split::train) == 0) return {{Split::train, std::move(all)}};
  return found;
}

std::vector<fs::path> expand_braces(const std::string& pattern) {
  const std::size_t open = pattern.find('{'), dots = pattern.find("..", open), close = pattern.find('}', open);
  if (!is_tar_name(pattern) || open == std::string::npos || dots == std::string::npos || close == std::string::npos ||
      dots > close)
    return {};
  const std::string first = pattern.substr(open + 1, dots - open - 1),
                    last = pattern.substr(dots + 2, close - dots - 2);
  const auto begin = engine::parse_number<std::int64_t>(first), end = engine::parse_number<std::int64_t>(last);
  constexpr std::int64_t most = 1 << 20;
  if (!begin || !end || *begin < 0 || *end < *begin || *end - *begin >= most) return {};
  std::vector<fs::path> paths;
  for (std::int64_t count = 0; count <= *end - *begin; ++count) {
    std::string number = std::to_string(*begin + count);
    number.insert(0, first.size() - std::min(first.size(), number.size()), '0');
    paths.push_back(pattern.substr(0, open) + number + pattern.substr(close + 1));
  }
  return paths;
}

Dataset open_shards(const std::vector<fs::path>& paths, const Reading& reading) {
  const auto shards = std::make_shared<Shards>(paths.front().parent_path());
  const auto wanted = [](std::string_view name) { return is_label(name) || is_sample_image(name); };
  std::uint64_t held = 0;
  for (const fs::path& path : paths) {
    const TarContent shard = read_tar(path.string(), wanted, most_in_memory - held);
    held += shard.held;
    ShardReader(*shards, path).read(shard.members);
    if (shard.others > 0) shards->left_out["no regular file"] += shard.others;
    shards->memory.push_back(shard.memory);
  }
  if (shards->table.size() == 0)
    throw kernels::Error("holds no .jpg, .jpeg, .png, .tif, .tiff or .npy files", paths.front().string(),
                         "tar files in the layout of WebDataset");
  std::vector<std::string> classes;
  for (int i = 0; i <= shards->last_label; ++i) classes.push_back(std::to_string(i));
  const auto bytes_of = [shards](std::int64_t i) { return shards->images[static_cast<std::size_t>(i)]; };
  Dataset data = dataset_of(std::move(shards->table), shards_format, reading, std::move(classes), bytes_of);
  data.left_out = std::move(shards->left_out);
  return data;
}

}  // namespace mae
