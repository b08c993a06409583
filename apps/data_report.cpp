#include "apps/data_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/pixel_keys.h"
#include "apps/table.h"

namespace apps {
namespace {

using engine::Json;

constexpr std::size_t classes_shown = 20;

struct ClassCount {
  std::string name;
  std::int64_t images = 0;
};

/// In the order of the labels; of all samples, read or not.
std::vector<ClassCount> class_counts(const mae::Dataset& data) {
  std::vector<ClassCount> counts;
  for (const std::string& name : data.classes) counts.push_back({name});
  for (std::int64_t i = 0; !counts.empty() && i < data.size; ++i) {
    if (const int label = data.label(i); label >= 0) ++counts[static_cast<std::size_t>(label)].images;
  }
  return counts;
}

struct Sizes {
  std::pair<int, int> smallest, median, largest;  // (height, width), by area
};

Sizes sizes_of(const mae::Survey& survey) {
  std::vector<std::pair<std::pair<int, int>, std::int64_t>> sizes(survey.sizes.begin(), survey.sizes.end());
  const auto area = [](const auto& size) { return std::int64_t{size.first.first} * size.first.second; };
  std::stable_sort(sizes.begin(), sizes.end(), [&](const auto& a, const auto& b) { return area(a) < area(b); });
  Sizes found{.smallest = sizes.front().first, .median = {}, .largest = sizes.back().first};
  std::int64_t seen = 0;
  for (const auto& [size, count] : sizes) {
    if (seen <= (survey.images - 1) / 2) found.median = size;
    seen += count;
  }
  return found;
}

std::string size_text(const std::pair<int, int>& size) { return fmt::format("{} x {}", size.first, size.second); }

std::string sizes_text(const mae::Survey& survey) {
  const Sizes sizes = sizes_of(survey);
  if (survey.sizes.size() == 1) return size_text(sizes.median) + " (height x width)";
  return fmt::format("{} to {}, median {} (height x width), {} different", size_text(sizes.smallest),
                     size_text(sizes.largest), size_text(sizes.median),
                     thousands(static_cast<std::int64_t>(survey.sizes.size())));
}

const char* depth_text(kernels::DType dtype) {
  return dtype == kernels::DType::u8 ? "8 bits" : dtype == kernels::DType::u16 ? "16 bits" : "32-bit floats";
}

std::string images_text(const DataReport& r) {
  const auto unreadable = static_cast<std::int64_t>(r.survey.unreadable.size());
  const std::int64_t looked_at = r.survey.images + unreadable;
  std::string text = thousands(r.data.size);
  if (looked_at < r.data.size) text += fmt::format(", {} of them looked at", thousands(looked_at));
  return text + (unreadable == 0 ? ", all readable" : fmt::format(", {} unreadable", thousands(unreadable)));
}

std::string classes_text(const std::vector<ClassCount>& counts) {
  if (counts.empty()) return "none";
  const auto [low, high] = std::minmax_element(counts.begin(), counts.end(),
                                               [](const auto& a, const auto& b) { return a.images < b.images; });
  const std::string number = thousands(static_cast<std::int64_t>(counts.size()));
  if (low->images == high->images) return fmt::format("{}, of {} images each", number, thousands(low->images));
  return fmt::format("{}, of {} to {} images", number, thousands(low->images), thousands(high->images));
}

std::string left_out_text(const mae::Dataset& data) {
  std::string text;
  for (const auto& [kind, count] : data.left_out)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", thousands(count), kind);
  return text;
}

void print_classes(std::vector<ClassCount> counts) {
  if (counts.empty()) return;
  std::vector<std::vector<std::string>> rows{{"class", "images", ""}};
  const auto add = [&](const ClassCount& c, const char* remark) {
    rows.push_back({c.name, thousands(c.images), remark});
  };
  if (counts.size() <= classes_shown) {
    for (const ClassCount& c : counts) add(c, "");
  } else {
    std::stable_sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.images < b.images; });
    add(counts.front(), "smallest");
    add(counts[(counts.size() - 1) / 2], "median");
    add(counts.back(), "largest; --json FILE has all");
  }
  fmt::print("\n{}", aligned(rows, "lrl"));
}

Json damaged_json(const std::vector<mae::Damaged>& damaged) {
  Json list = Json::array();
  for (const mae::Damaged& d : damaged)
    list.add({}, Json::object({{"sample", d.sample}, {"file", d.error.where()}, {"error", d.error.fact()}}));
  return list;
}

Json size_json(const std::pair<int, int>& size) { return Json::array({size.first, size.second}); }

Json sizes_json(const mae::Survey& survey) {
  if (survey.images == 0) return nullptr;
  const Sizes sizes = sizes_of(survey);
  return Json::object({{"different", survey.sizes.size()},
                       {"smallest", size_json(sizes.smallest)},
                       {"median", size_json(sizes.median)},
                       {"largest", size_json(sizes.largest)}});
}

}  // namespace

void print_damaged(const char* title, const std::vector<mae::Damaged>& damaged) {
  if (damaged.empty()) return;
  std::vector<std::vector<std::string>> rows{{title, ""}};
  for (const mae::Damaged& d : damaged) rows.push_back({d.error.where(), d.error.fact()});
  fmt::print("\n{}", aligned(rows, "ll"));
}

std::string pixel_kind(const mae::Dataset& data) {
  return fmt::format("{} channel{} of {}", data.channels, data.channels == 1 ? "" : "s", depth_text(data.dtype));
}

void print_report(const DataReport& r) {
  const std::vector<ClassCount> counts = class_counts(r.data);
  std::vector<std::vector<std::string>> rows{
      {"data", r.data.path}, {"format", r.data.format}, {"images", images_text(r)}, {"classes", classes_text(counts)}};
  if (const auto others = mae::other_splits(r.data.path); !others.empty())
    rows.insert(rows.begin() + 1, {"split", fmt::format("training; beside it PATH:{}", fmt::join(others, ", PATH:"))});
  if (r.survey.images > 0) {
    rows.push_back({"size", sizes_text(r.survey)});
    rows.push_back({"pixels", fmt::format("{}, values {:g} to {:g}", pixel_kind(r.data), r.survey.smallest(),
                                          r.survey.largest())});
  }
  if (!r.data.left_out.empty())
    rows.push_back(
        {"left out", left_out_text(r.data) + " (not .jpg, .jpeg, .png, .tif, .tiff or .npy, or not read there)"});
  fmt::print("{}", aligned(rows, "ll"));
  print_classes(counts);
  print_damaged("unreadable", r.survey.unreadable);
  print_damaged("not finite", r.survey.not_finite);
  if (r.survey.images > 0) fmt::print("\nfor the config of mae pretrain:\n\n{}", pixel_toml(r.survey, r.data.dtype));
}

Json to_json(const DataReport& r) {
  Json classes = Json::array(), channels = Json::array(), left_out = Json::object({});
  for (const ClassCount& c : class_counts(r.data))
    classes.add({}, Json::object({{"name", c.name}, {"images", c.images}}));
  const double range = mae::full_scale(r.data.dtype, r.survey.largest());
  for (const mae::ChannelValues& c : r.survey.channels)
    channels.add(
        {},
        Json::object(
            {{"mean", c.mean / range}, {"std", c.std() / range}, {"smallest", c.smallest}, {"largest", c.largest}}));
  for (const auto& [kind, count] : r.data.left_out) left_out.add(kind, count);
  return Json::object({{"data", r.data.path},
                       {"format", r.data.format},
                       {"fingerprint", fmt::format("{:016x}", r.data.fingerprint)},
                       {"images", r.data.size},
                       {"read", r.survey.images},
                       {"dtype", kernels::name_of(r.data.dtype)},
                       {"sizes", sizes_json(r.survey)},
                       {"value_range", range},
                       {"channels", channels},
                       {"classes", classes},
                       {"left_out", left_out},
                       {"unreadable", damaged_json(r.survey.unreadable)},
                       {"not_finite", damaged_json(r.survey.not_finite)}});
}

}  // namespace apps
