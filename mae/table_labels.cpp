#include "mae/table_labels.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <unordered_map>

#include "engine/files.h"
#include "engine/number.h"
#include "kernels/core/check.h"
#include "mae/csv.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

using kernels::Error;

std::string place(const std::string& path, int line) { return path + ":" + std::to_string(line); }

/// The columns that are classes, in order.
std::vector<std::size_t> class_columns(const Csv& csv, const std::string& path) {
  const int name = column_of(csv, path_columns), split = column_of(csv, {"split"});
  std::vector<std::size_t> columns;
  std::set<std::string> seen;
  for (std::size_t i = 0; i < csv.header.size(); ++i) {
    if (static_cast<int>(i) == name || static_cast<int>(i) == split) continue;
    if (csv.header[i].empty()) throw Error("column " + std::to_string(i + 1) + " has no name", place(path, 1));
    if (!seen.insert(csv.header[i]).second)
      throw Error("two columns are named \"" + csv.header[i] + "\"", place(path, 1), "one column a class");
    columns.push_back(i);
  }
  if (columns.empty()) throw Error("has no columns of classes", path, "a column of 0, 1 and -1 for each class");
  return columns;
}

/// "1.0" is taken too: so are columns written that once had gaps.
std::int8_t target_of(const std::string& text, const std::string& name, const std::string& where) {
  if (text.empty()) return -1;
  const std::optional<double> value = engine::parse_number<double>(text);
  if (value && (*value == 0 || *value == 1 || *value == -1)) return static_cast<std::int8_t>(*value);
  throw Error("\"" + text + "\" is no label of the class " + name, where, "1, 0, or -1 or nothing for not known");
}

std::string normal(const fs::path& path) { return fs::absolute(path).lexically_normal().string(); }

/// Which sample each row of the table is about, -1: none.
class Matcher {
 public:
  Matcher(const std::string& table, const Dataset& data) {
    folders_.push_back(fs::path(table).parent_path());
    if (!data.folder.empty()) folders_.emplace_back(data.folder);
    folders_.push_back(fs::path(data.path).parent_path());
    samples_.reserve(static_cast<std::size_t>(data.size));
    for (std::int64_t i = 0; i < data.size; ++i) samples_.emplace(normal(data.file(i)), i);
  }

  std::int64_t sample_of(const std::string& name) const {
    for (const fs::path& folder : folders_) {
      if (const auto found = samples_.find(normal(folder / name)); found != samples_.end()) return found->second;
    }
    return -1;
  }

 private:
  std::vector<fs::path> folders_;
  std::unordered_map<std::string, std::int64_t> samples_;
};

std::vector<std::int64_t> samples_by_path(const Csv& csv, const std::string& path, const Dataset& data) {
  const int column = column_of(csv, path_columns);
  if (column < 0)
    throw Error("has no column path, file, filename or image", path, "a header row that names the columns");
  const Matcher matcher(path, data);
  std::vector<std::int64_t> samples;
  for (std::size_t row = 0; row < csv.rows.size(); ++row) {
    const std::string& name = csv.rows[row][static_cast<std::size_t>(column)];
    if (name.empty()) throw Error("names no file", place(path, csv.lines[row]), "a path for every row");
    samples.push_back(matcher.sample_of(name));
  }
  return samples;
}

std::vector<std::int64_t> samples_by_order(const Csv& csv, const std::string& path, const Dataset& data) {
  const auto rows = static_cast<std::int64_t>(csv.rows.size());
  if (rows != data.size)
    throw Error("has " + std::to_string(rows) + " rows for " + std::to_string(data.size) + " samples of " + data.path,
                path, "a row for each sample, in their order: these have no files that a path could name");
  std::vector<std::int64_t> samples;
  for (std::int64_t i = 0; i < rows; ++i) samples.push_back(i);
  return samples;
}

/// The row of each sample.
std::vector<std::size_t> rows_of_samples(const Csv& csv, const std::string& path, const Dataset& data) {
  const auto sample_of_row = data.file ? samples_by_path(csv, path, data) : samples_by_order(csv, path, data);
  constexpr std::size_t none = ~std::size_t{0};
  std::vector<std::size_t> rows(static_cast<std::size_t>(data.size), none);
  for (std::size_t row = 0; row < sample_of_row.size(); ++row) {
    if (sample_of_row[row] < 0) continue;
    std::size_t& held = rows[static_cast<std::size_t>(sample_of_row[row])];
    if (held != none)
      throw Error(
          "the same sample as line " + std::to_string(csv.lines[held]) + ": " + name_of(data, sample_of_row[row]),
          place(path, csv.lines[row]), "one row a sample");
    held = row;
  }
  const auto missing = std::count(rows.begin(), rows.end(), none);
  if (missing > 0)
    throw Error(std::to_string(missing) + " of " + std::to_string(data.size) + " samples have no row; the first: " +
                    name_of(data, std::find(rows.begin(), rows.end(), none) - rows.begin()),
                path, "paths are relative to the table's folder or the data set's, or absolute");
  return rows;
}

void refuse_empty(const MultiLabels& labels, const std::string& path) {
  const std::size_t K = labels.classes.size();
  for (const std::int8_t wanted : {std::int8_t{1}, std::int8_t{0}}) {
    std::string names;
    for (std::size_t k = 0; k < K; ++k) {
      bool there = false;
      for (std::size_t at = k; at < labels.targets.size() && !there; at += K) there = labels.targets[at] == wanted;
      if (!there) names += (names.empty() ? "" : ", ") + labels.classes[k];
    }
    if (!names.empty())
      throw Error(std::string("no sample is a ") + (wanted == 1 ? "positive" : "negative") + " of: " + names, path,
                  "a table without these columns");
  }
}

}  // namespace

MultiLabels load_multi_labels(const std::string& path, const Dataset& data, EmptyClasses empty) {
  const Csv csv = parse_csv(engine::read_file(path), path);
  const std::vector<std::size_t> columns = class_columns(csv, path);
  std::vector<std::int8_t> values;  // (rows, K): all of them, so that a fault in any is seen
  for (std::size_t row = 0; row < csv.rows.size(); ++row) {
    for (const std::size_t column : columns)
      values.push_back(target_of(csv.rows[row][column], csv.header[column], place(path, csv.lines[row])));
  }
  MultiLabels labels;
  for (const std::size_t column : columns) labels.classes.push_back(csv.header[column]);
  for (const std::size_t row : rows_of_samples(csv, path, data)) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row * columns.size());
    labels.targets.insert(labels.targets.end(), begin, begin + static_cast<std::ptrdiff_t>(columns.size()));
  }
  if (empty == EmptyClasses::refuse) refuse_empty(labels, path);
  return labels;
}

}  // namespace mae
