#include "apps/toml.h"

#include <toml++/toml.h>

#include <algorithm>

#include "apps/cli.h"

namespace apps {
namespace {

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
