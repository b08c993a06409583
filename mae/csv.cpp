#include "mae/csv.h"

#include <algorithm>

#include "kernels/core/check.h"

namespace mae {
namespace {

class Reader {
 public:
  Reader(std::string_view text, const std::string& where) : text_(text), where_(where) {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
    if (const std::size_t nul = text_.find('\0'); nul != std::string_view::npos) {
      refuse("a NUL byte",
             1 + static_cast<int>(std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(nul), '\n')));
    }
  }

  bool more() {
    while (line_ends()) end_line();
    return at_ < text_.size();
  }
  int line() const { return line_; }

  std::vector<std::string> row() {
    std::vector<std::string> fields;
    while (true) {
      fields.push_back(text_.substr(at_).starts_with('"') ? quoted() : plain());
      if (at_ >= text_.size()) return fields;
      if (text_[at_] != ',') break;
      ++at_;
    }
    end_line();
    return fields;
  }

  [[noreturn]] void refuse(const std::string& what, int line) const {
    throw kernels::Error(what, where_ + ":" + std::to_string(line), "one row a line, fields parted by commas");
  }

 private:
  bool line_ends() const { return text_.substr(at_).starts_with('\n') || text_.substr(at_).starts_with("\r\n"); }
  void end_line() {
    at_ += text_[at_] == '\r' ? 2 : 1;
    ++line_;
  }
  std::string plain() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != ',' && !line_ends()) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::string quoted() {
    const int begin = line_;
    std::string field;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        if (!text_.substr(at_ + 1).starts_with('"')) break;
        ++at_;
      }
      if (text_[at_] == '\n') ++line_;
      field += text_[at_];
    }
    if (at_ >= text_.size()) refuse("a quote has no end", begin);
    ++at_;
    if (at_ < text_.size() && text_[at_] != ',' && !line_ends()) refuse("text stands behind a closing quote", line_);
    return field;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

Csv parse_csv(std::string_view text, const std::string& where) {
  Reader reader(text, where);
  if (!reader.more()) reader.refuse("is empty: a header row is wanted", 1);
  Csv csv;
  csv.header = reader.row();
  while (reader.more()) {
    csv.lines.push_back(reader.line());
    csv.rows.push_back(reader.row());
    if (csv.rows.back().size() != csv.header.size()) {
      reader.refuse(
          "has " + std::to_string(csv.rows.back().size()) + " fields, the header " + std::to_string(csv.header.size()),
          csv.lines.back());
    }
  }
  return csv;
}

int column_of(const Csv& csv, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const auto found = std::find(csv.header.begin(), csv.header.end(), name);
    if (found != csv.header.end()) return static_cast<int>(found - csv.header.begin());
  }
  return -1;
}

}  // namespace mae
