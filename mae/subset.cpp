// A part of a data set that is a data set itself.
#include <algorithm>
#include <cmath>
#include <memory>

#include "kernels/core/check.h"
#include "mae/dataset.h"
#include "mae/dataset_formats.h"
#include "mae/probe.h"

namespace mae {

Dataset subset(const Dataset& data, std::vector<std::int64_t> indices) {
  if (indices.empty()) throw kernels::Error("a part without samples is asked for", data.path);
  Dataset part = data;
  part.size = static_cast<std::int64_t>(indices.size());
  part.fingerprint = fingerprint(data.fingerprint, std::string_view("subset"));
  for (const std::int64_t i : indices) {
    if (i < 0 || i >= data.size)
      throw kernels::Error("there is no sample " + std::to_string(i) + " of " + std::to_string(data.size), data.path);
    part.fingerprint = fingerprint(part.fingerprint, static_cast<std::uint64_t>(i));
  }
  const auto held = std::make_shared<const std::vector<std::int64_t>>(std::move(indices));
  const auto mapped = [&]<class T>(const std::function<T(std::int64_t)>& inner) -> std::function<T(std::int64_t)> {
    if (!inner) return {};
    return [held, inner](std::int64_t i) { return inner((*held)[static_cast<std::size_t>(i)]); };
  };
  part.image = mapped(data.image);
  part.label = mapped(data.label);
  part.file = mapped(data.file);
  part.view = mapped(data.view);
  return part;
}

Dataset label_fraction(const Dataset& data, double fraction, std::uint32_t seed) {
  if (!(fraction > 0 && fraction <= 1))
    throw kernels::Error("a part of " + std::to_string(fraction) + " is asked for", data.path, "above 0, at most 1");
  if (data.classes.empty())
    throw kernels::Error("has no labels to take a part of", data.path,
                         "class folders, IDX, CIFAR, tar shards with .cls files, or a table");
  std::vector<std::int64_t> labelled, counts(data.classes.size());
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < data.size; ++i) {
    const int label = data.label(i);
    if (label < 0) continue;
    labelled.push_back(i);
    labels.push_back(label);
    ++counts[static_cast<std::size_t>(label)];
  }
  const auto none = std::find(counts.begin(), counts.end(), 0);
  if (none != counts.end())
    throw kernels::Error(
        "there is no sample of the class " + data.classes[static_cast<std::size_t>(none - counts.begin())], data.path,
        "a data set with samples of every class");
  const std::int64_t wanted = std::llround(fraction * static_cast<double>(labelled.size()));
  const auto classes = static_cast<std::int64_t>(counts.size());
  if (wanted < classes)
    throw kernels::Error("a part of " + std::to_string(fraction) + " is " + std::to_string(wanted) + " of " +
                             std::to_string(labelled.size()) + " samples, and there are " + std::to_string(classes) +
                             " classes",
                         data.path, "a larger part, so that no class is empty");
  std::vector<std::int64_t> chosen;
  for (const std::int64_t i : choose_labels(labels, wanted, seed))
    chosen.push_back(labelled[static_cast<std::size_t>(i)]);
  std::sort(chosen.begin(), chosen.end());
  return subset(data, std::move(chosen));
}

}  // namespace mae
