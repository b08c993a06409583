#include "apps/toml.h"

#include <toml++/toml.h>

#include <algorithm>
#include <string_view>

#include "apps/cli.h"

namespace apps {
namespace {

/// Looks at what stands outside of quotes and comments, and refuses what toml++ 3.3 is not safe from: letters beyond
/// ASCII, which it looks up behind a __builtin_unreachable, and keys of many parts, which cost it stack.
class Precheck {
 public:
  Precheck(std::string_view text, const std::string& where) : text_(text), where_(where) {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;
  }

  void run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"' || c == '\'') skip_quoted();
      else if (c == '#') at_ = std::min(text_.find('\n', at_), text_.size());
      else look_at(c);
    }
  }

 private:
  void look_at(char c) {
    if (static_cast<unsigned char>(c) >= 0x80) refuse("a letter that is not ASCII stands outside of quotes");
    if (std::string_view("=,[]{}\n").find(c) != std::string_view::npos) dots_ = 0;
    if (c == '.' && ++dots_ > most_dots) refuse("a key has too many parts");
    ++at_;
  }
  /// Three quotes open what may have many lines; a backslash counts between double quotes only.
  void skip_quoted() {
    const char quote = text_[at_];
    const std::string three(3, quote);
    const bool lines = text_.substr(at_).starts_with(three);
    for (at_ += lines ? 3 : 1; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\' && quote == '"') ++at_;
      else if (text_[at_] == '\n' && !lines) return;
      else if (text_[at_] == quote && (!lines || text_.substr(at_).starts_with(three))) break;
    }
    at_ = std::min(at_ + (lines ? 3 : 1), text_.size());
    for (int i = 0; lines && i < 2 && text_.substr(at_).starts_with(quote); ++i) ++at_;  // """a quote at the end"""""
  }
  [[noreturn]] void refuse(const std::string& what) const {
    throw UsageError(what, where_ + ":" +
                               std::to_string(1 + std::count(text_.begin(),
                                                             text_.begin() + static_cast<std::ptrdiff_t>(at_), '\n')));
  }

  static constexpr int most_dots = 8;
  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
  int dots_ = 0;  // since the last mark that parts keys from values
};

struct Reader {
  const std::string& where;
  std::vector<TomlEntry> entries;

  int line(const toml::node& node) const { return static_cast<int>(node.source().begin.line); }
  [[noreturn]] void refuse(const std::string& what, int at) const {
    throw UsageError(what, where + ":" + std::to_string(at));
  }

  Value array(const std::string& key, const toml::array& values) const {
    std::vector<double> numbers;
    std::vector<std::string> texts;
    for (const toml::node& item : values) {
      if (const auto* text = item.as_string()) {
        texts.push_back(text->get());
      } else if (item.is_number()) {
        numbers.push_back(*item.value<double>());
      } else {
        refuse("the list \"" + key + "\" holds something that is neither a number nor a text", line(item));
      }
    }
    if (!texts.empty() && !numbers.empty()) refuse("the list \"" + key + "\" mixes numbers and texts", line(values));
    return texts.empty() ? Value(numbers) : Value(texts);
  }

  Value value(const std::string& key, const toml::node& node) const {
    if (const auto* flag = node.as_boolean()) return flag->get();
    if (const auto* integer = node.as_integer()) return integer->get();
    if (const auto* number = node.as_floating_point()) return number->get();
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* values = node.as_array()) return array(key, *values);
    refuse("\"" + key + "\" must be a number, a text, true or false, or a list", line(node));
  }

  void table(const std::string& name, const toml::table& members) {
    for (const auto& [toml_key, node] : members) {
      const std::string key(toml_key.str());
      const auto* inner = node.as_table();
      if (inner && !name.empty()) refuse("the table \"" + key + "\" stands inside another table", line(node));
      if (inner) {
        table(key, *inner);
      } else {
        entries.push_back({name, key, value(key, node), line(node)});
      }
    }
  }
};

}  // namespace

std::vector<TomlEntry> parse_toml(const std::string& text, const std::string& where) {
  Precheck(text, where).run();
  Reader reader{where, {}};
  try {
    reader.table("", toml::parse(text));
  } catch (const toml::parse_error& error) {
    reader.refuse(std::string(error.description()), static_cast<int>(error.source().begin.line));
  }
  std::stable_sort(reader.entries.begin(), reader.entries.end(),
                   [](const TomlEntry& a, const TomlEntry& b) { return a.line < b.line; });
  return reader.entries;
}

}  // namespace apps
