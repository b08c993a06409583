#include <fmt/format.h>

#include "apps/options.h"
#include "engine/json.h"

namespace apps {
namespace {

constexpr std::size_t help_column = 32;

std::string hint_of(const Option& option) {
  constexpr const char* hints[] = {"", "N", "X", "TEXT", "X,...", "TEXT"};
  return option.hint.empty() ? hints[option.get().index()] : option.hint;
}

struct Plain {
  std::string operator()(bool v) const { return v ? "on" : "off"; }
  std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
  std::string operator()(double v) const { return fmt::format("{}", v); }
  std::string operator()(const std::string& v) const { return v; }
  std::string operator()(const std::vector<double>& v) const { return fmt::format("{}", fmt::join(v, ",")); }
  std::string operator()(const std::vector<std::string>& v) const { return fmt::format("{}", fmt::join(v, " ")); }
};

void entry(std::string& text, const std::string& left, const std::string& right) {
  text += "  " + left;
  if (left.size() + 3 > help_column) text += "\n" + std::string(help_column, ' ');
  else text += std::string(help_column - left.size() - 2, ' ');
  text += right + "\n";
}

void describe(std::string& text, const Option& option) {
  const Value value = option.get();
  std::string left = hint_of(option);
  if (option.place == Option::Place::flag) {
    const bool boolean = std::holds_alternative<bool>(value);
    left = boolean ? "--[no-]" + flag_of(option) : "--" + flag_of(option) + " " + left;
  }
  const std::string now = std::visit(Plain{}, value);
  entry(text, left, option.help + (now.empty() ? "" : " (" + now + ")"));
  if (!option.choices.empty()) entry(text, "", fmt::format("one of {}", fmt::join(option.choices, ", ")));
}

std::string toml_value(const Value& value) {
  return engine::to_text(std::visit([](const auto& v) { return engine::Json(v); }, value));
}

}  // namespace

std::string OptionTable::help() const {
  std::string text = fmt::format("mae {}: {}\n\nusage: mae {} [options]", command_, summary_, command_);
  for (const Option& option : options_) {
    if (option.place != Option::Place::position) continue;
    const bool list = std::holds_alternative<std::vector<std::string>>(option.get());
    text += " " + hint_of(option) + (list ? "..." : "");
  }
  text += "\n";
  std::string group;
  for (const Option& option : options_) {
    if (option.group != group) text += "\n" + option.group + "\n";
    group = option.group;
    describe(text, option);
  }
  text += "\nGeneral\n";
  entry(text, "--config FILE", "options from a TOML file: the same names with underscores; flags override");
  entry(text, "--help", "this text");
  return text + "\nexample\n  " + example_ + "\n";
}

std::string OptionTable::to_toml(const std::vector<std::pair<std::string, std::string>>& run) const {
  std::string text, group;
  for (const Option& option : options_) {
    if (option.group != group) text += (group.empty() ? "# " : "\n# ") + option.group + "\n";
    group = option.group;
    text += option.key + " = " + toml_value(option.get()) + "\n";
  }
  if (!run.empty()) text += "\n[run]\n";
  for (const auto& [key, value] : run) text += engine::to_text(engine::Json(key)) + " = " + toml_value(value) + "\n";
  return text;
}

}  // namespace apps
