// Images named by a file: FILE.txt, one path a line; or FILE.csv with a header, the columns path, and, where wanted,
// label and split. Paths are relative to the folder of the list, or absolute.
#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "engine/files.h"
#include "engine/number.h"
#include "kernels/core/check.h"
#include "mae/csv.h"
#include "mae/dataset_formats.h"
#include "mae/file_table.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

constexpr int most_classes = 1 << 16;  // that numbers can be; a row with a large one must not ask for that many names

/// Counts names that are no files, to report all in one error.
class MissingFiles {
 public:
  explicit MissingFiles(const fs::path& list) : list_(list) {}

  void check(const FileTable& table, int line) {
    const std::int64_t i = table.size() - 1;
    std::error_code error;
    if (fs::is_regular_file(table.path(i), error)) return;
    if (++count_ == 1) first_ = table.path(i), line_ = line;
  }
  void refuse_if_any(std::int64_t files) const {
    if (count_ == 0) return;
    throw kernels::Error(
        std::to_string(count_) + " of " + std::to_string(files) + " names are no files; the first: " + first_,
        list_.string() + ":" + std::to_string(line_), "paths are relative to the folder of the list, or absolute");
  }

 private:
  fs::path list_;
  std::int64_t count_ = 0;
  std::string first_;
  int line_ = 0;
};

const std::string& field(const Csv& csv, std::size_t row, int at) {
  return csv.rows[row][static_cast<std::size_t>(at)];
}

struct Labels {
  std::vector<std::string> classes;
  std::vector<int> of_row;
};

/// Whole numbers from 0 to 65535 are classes themselves; with anything else among them all are names, and names are
/// classes in sorted order.
Labels labels_of(const Csv& csv, int at, const std::string& where) {
  Labels labels;
  std::set<std::string> names;
  int largest = -1;
  bool numbers = true;
  for (std::size_t row = 0; row < csv.rows.size(); ++row) {
    const std::string& text = field(csv, row, at);
    if (text.empty()) {
      throw kernels::Error("has no label", where + ":" + std::to_string(csv.lines[row]), "a label for every image");
    }
    names.insert(text);
    const auto number = engine::parse_number<int>(text);
    numbers = numbers && number && *number >= 0 && *number < most_classes;
    if (numbers) largest = std::max(largest, *number);
  }
  if (numbers) {
    for (int i = 0; i <= largest; ++i) labels.classes.push_back(std::to_string(i));
  } else {
    labels.classes.assign(names.begin(), names.end());
  }
  std::map<std::string, int> index;
  for (const std::string& name : names) index.emplace(name, static_cast<int>(index.size()));
  for (std::size_t row = 0; row < csv.rows.size(); ++row) {
    const std::string& text = field(csv, row, at);
    labels.of_row.push_back(numbers ? *engine::parse_number<int>(text) : index[text]);
  }
  return labels;
}

Split split_of(const Csv& csv, std::size_t row, int at, const std::string& where) {
  if (at < 0) return Split::train;
  std::string name = field(csv, row, at);
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (const auto split = split_named(name)) return *split;
  throw kernels::Error("the split \"" + field(csv, row, at) + "\" is not known",
                       where + ":" + std::to_string(csv.lines[row]), "train, val or test; without the column: train");
}

std::set<Split> splits_of(const Csv& csv, int at, const std::string& where) {
  std::set<Split> there;
  for (std::size_t row = 0; row < csv.rows.size(); ++row) there.insert(split_of(csv, row, at, where));
  return there;
}

}  // namespace

Dataset open_image_list(const fs::path& list, const Reading& reading) {
  FileTable table(list.parent_path());
  MissingFiles missing(list);
  const std::string text = engine::read_file(list.string());
  int line = 0;
  for (std::size_t begin = text.starts_with("\xef\xbb\xbf") ? 3 : 0; begin < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view name = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (name.ends_with('\r')) name.remove_suffix(1);
    if (name.empty() || name.starts_with('#')) continue;
    if (name.find('\0') != std::string_view::npos) {
      throw kernels::Error("a name with a NUL byte in it", list.string() + ":" + std::to_string(line + 1),
                           "one path a line: find -print, not -print0");
    }
    table.add(name, -1);
    missing.check(table, line + 1);
  }
  if (table.size() == 0) throw kernels::Error("names no files", list.string(), "one path a line");
  missing.refuse_if_any(table.size());
  return dataset_of(std::move(table), "image list", reading, {});
}

Dataset open_image_csv(const fs::path& path, Split split, const Reading& reading) {
  const std::string where = path.string();
  const Csv csv = parse_csv(engine::read_file(where), where);
  const int name = column_of(csv, path_columns), label = column_of(csv, {"label", "class"}),
            part = column_of(csv, {"split"});
  if (name < 0) {
    throw kernels::Error("has no column path, file, filename or image", where, "a header row that names the columns");
  }
  Labels labels;
  if (label >= 0) labels = labels_of(csv, label, where);
  FileTable table(path.parent_path());
  MissingFiles missing(path);
  const Split wanted = split_among(splits_of(csv, part, where), split);
  for (std::size_t row = 0; row < csv.rows.size(); ++row) {
    if (split_of(csv, row, part, where) != wanted) continue;
    table.add(field(csv, row, name), label >= 0 ? labels.of_row[row] : -1);
    missing.check(table, csv.lines[row]);
  }
  if (table.size() == 0) {
    throw kernels::Error(std::string("has no rows of the split ") + split_names[static_cast<int>(split)], where,
                         "rows with that in a column split");
  }
  missing.refuse_if_any(table.size());
  return dataset_of(std::move(table), "image table", reading, std::move(labels.classes));
}

std::set<Split> splits_of_csv(const fs::path& path) {
  const Csv csv = parse_csv(engine::read_file(path.string()), path.string());
  return splits_of(csv, column_of(csv, {"split"}), path.string());
}

}  // namespace mae
