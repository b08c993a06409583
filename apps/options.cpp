#include "apps/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>

#include "apps/cli.h"
#include "apps/command_line.h"
#include "apps/toml.h"
#include "engine/files.h"
#include "engine/number.h"

namespace apps {
namespace {

constexpr std::size_t config_spec = 0;  // --config comes first among the specs

const char* type_name(const Value& like) {
  constexpr const char* names[] = {
      "true or false", "a whole number", "a number", "a text", "numbers, such as 0.5 or 0.5,0.5", "a list of texts"};
  return names[like.index()];
}

template <class T>
std::optional<Value> number(const std::string& text) {
  const auto parsed = engine::parse_number<T>(text);
  return parsed ? std::optional<Value>(*parsed) : std::nullopt;
}

std::optional<Value> numbers(const std::string& text) {
  std::vector<double> list;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const auto value = engine::parse_number<double>(text.substr(at, end - at));
    if (!value) return std::nullopt;
    list.push_back(*value);
    at = end + 1;
  }
  return list;
}

/// What was typed behind a flag, as the type of `like`.
std::optional<Value> from_text(const std::vector<std::string>& texts, const Value& like) {
  const std::string& text = texts.back();
  switch (like.index()) {
    case 0:
      return text == "true" || text == "false" ? std::optional<Value>(text == "true") : std::nullopt;
    case 1:
      return number<std::int64_t>(text);
    case 2:
      return number<double>(text);
    case 3:
      return text;
    case 4:
      return numbers(text);
    default:
      return texts;
  }
}

bool finite(const Value& value) {
  if (const auto* x = std::get_if<double>(&value)) return std::isfinite(*x);
  const auto* list = std::get_if<std::vector<double>>(&value);
  return !list || std::all_of(list->begin(), list->end(), [](double x) { return std::isfinite(x); });
}

/// A TOML value as the type of the option: whole numbers serve as numbers, one value as a list of one.
std::optional<Value> converted(const Value& value, const Option& option) {
  const Value like = option.get();
  if (!finite(value)) return std::nullopt;
  if (value.index() == like.index()) return value;
  const auto* integer = std::get_if<std::int64_t>(&value);
  const auto* real = std::get_if<double>(&value);
  const auto* list = std::get_if<std::vector<double>>(&value);
  if (option.number_too && integer) return fmt::format("{}", *integer);
  if (option.number_too && real) return fmt::format("{}", *real);
  if (std::holds_alternative<double>(like) && integer) return static_cast<double>(*integer);
  if (std::holds_alternative<std::vector<double>>(like) && (integer || real))
    return std::vector<double>{integer ? static_cast<double>(*integer) : *real};
  if (std::holds_alternative<std::vector<std::string>>(like)) {
    if (const auto* text = std::get_if<std::string>(&value)) return std::vector<std::string>{*text};
    if (list && list->empty()) return std::vector<std::string>{};
  }
  return std::nullopt;
}

std::string slug(std::string name) {
  for (char& c : name) c = c == ' ' || c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names, const std::string& otherwise) {
  const std::string near = nearest(word, names);
  return near.empty() ? otherwise : near;
}

/// "--mask_ratio" is as good as "--mask-ratio".
std::vector<std::string> dashed(int argc, const char* const* argv) {
  std::vector<std::string> words(argv, argv + argc);
  for (std::string& word : words) {
    if (word == "--") break;
    if (!word.starts_with("--")) continue;
    std::replace(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(std::min(word.find('='), word.size())), '_',
                 '-');
  }
  return words;
}

FlagKind kind_of(const Option& option) {
  const Value like = option.get();
  const bool list = std::holds_alternative<std::vector<std::string>>(like);
  if (option.place == Option::Place::position) return list ? FlagKind::positions : FlagKind::position;
  if (std::holds_alternative<bool>(like)) return FlagKind::boolean;
  return list ? FlagKind::repeated : FlagKind::value;
}

}  // namespace

std::string flag_of(const Option& option) {
  std::string flag = option.flag.empty() ? option.key : option.flag;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

Option& OptionTable::add(const std::string& key, const std::string& help, std::function<Value()> get,
                         std::function<std::string(const Value&)> set) {
  return options_.emplace_back(
      Option{.key = key, .group = group_, .help = help, .get = std::move(get), .set = std::move(set)});
}

std::vector<std::string> OptionTable::keys() const {
  std::vector<std::string> keys;
  for (const Option& option : options_) keys.push_back(option.key);
  return keys;
}

Option* OptionTable::find(const std::string& key) {
  const auto found = std::find_if(options_.begin(), options_.end(), [&](const Option& o) { return o.key == key; });
  return found == options_.end() ? nullptr : &*found;
}

void OptionTable::read_flags(int argc, const char* const* argv, std::vector<Assignment>& assignments) {
  std::vector<FlagSpec> specs{{"config", FlagKind::value}};
  std::vector<std::string> names{"--config", "--help"};
  for (const Option& option : options_) {
    specs.push_back({flag_of(option), kind_of(option)});
    if (option.place == Option::Place::flag) names.push_back("--" + specs.back().name);
    if (specs.back().kind == FlagKind::boolean) names.push_back("--no-" + specs.back().name);
  }
  const std::vector<std::string> words = dashed(argc, argv);
  std::vector<const char*> given;
  for (const std::string& word : words) given.push_back(word.c_str());
  CommandLine line = read_command_line(specs, argc, given.data());
  if (!line.unknown.empty()) {
    const auto dashed = std::find_if(line.unknown.begin(), line.unknown.end(),
                                     [](const std::string& text) { return text.starts_with("-"); });
    const std::string word = dashed == line.unknown.end() ? line.unknown.front() : *dashed;
    const std::string name = word.substr(0, word.find('='));
    throw UsageError(dashed == line.unknown.end() ? "nothing takes this argument" : "there is no such flag", name,
                     did_you_mean(name, names, "mae " + command_ + " --help lists the flags"));
  }
  if (!line.values[config_spec].empty()) config_file_ = line.values[config_spec].back();
  for (std::size_t i = 0; i < options_.size(); ++i) {
    const std::vector<std::string>& texts = line.values[i + 1];
    Option& option = options_[i];
    if (texts.empty()) continue;
    const std::string where = option.place == Option::Place::flag ? "--" + flag_of(option) : option.key;
    const auto value = from_text(texts, option.get());
    if (!value) throw UsageError(fmt::format("\"{}\" should be {}", texts.back(), type_name(option.get())), where);
    assignments.push_back({&option, *value, where});
  }
}

void OptionTable::read_file(const std::string& path, std::vector<Assignment>& assignments) {
  const std::vector<std::string> keys = this->keys();
  std::vector<std::string> groups{"run"};
  for (const Option& option : options_) groups.push_back(slug(option.group));
  std::map<std::string, int> lines;
  for (const TomlEntry& entry : parse_toml(engine::read_file(path), path)) {
    const std::string where = fmt::format("{}:{}", path, entry.line);
    if (entry.table == "run") continue;  // facts of the run that wrote the file
    if (!entry.table.empty() && std::find(groups.begin(), groups.end(), entry.table) == groups.end())
      throw UsageError(fmt::format("there is no table \"{}\"", entry.table), where,
                       did_you_mean(entry.table, groups, "the keys without a table"));
    Option* option = find(entry.key);
    if (!option && passed_over_.contains(entry.key)) continue;
    if (!option)
      throw UsageError(fmt::format("there is no key \"{}\"", entry.key), where,
                       did_you_mean(entry.key, keys, "mae " + command_ + " --help; keys are flags with underscores"));
    const auto [first, fresh] = lines.emplace(entry.key, entry.line);
    if (!fresh)
      throw UsageError(fmt::format("the key \"{}\" stands in line {} already", entry.key, first->second), where);
    const auto value = converted(entry.value, *option);
    if (!value) throw UsageError(fmt::format("\"{}\" should be {}", entry.key, type_name(option->get())), where);
    assignments.push_back({option, *value, where});
  }
}

void OptionTable::assign(const Assignment& a) {
  const auto* text = std::get_if<std::string>(&a.value);
  const std::vector<std::string>& choices = a.option->choices;
  if (text && !choices.empty() && std::find(choices.begin(), choices.end(), *text) == choices.end())
    throw UsageError(fmt::format("\"{}\" is none of {}", *text, fmt::join(choices, ", ")), a.where,
                     nearest(*text, choices));
  const std::string wrong = a.option->set(a.value);
  if (!wrong.empty()) throw UsageError(fmt::format("{}: {}", a.option->key, wrong), a.where);
  given_[a.option->key] = a.where;
}

void OptionTable::apply(const std::vector<Assignment>& assignments) {
  std::set<std::string> done;
  for (const auto& [key, callback] : hooks_) {
    for (const Assignment& a : assignments) {
      if (a.option->key == key) assign(a);
    }
    done.insert(key);
    if (given(key)) callback();
  }
  for (const Assignment& a : assignments) {
    if (!done.contains(a.option->key)) assign(a);
  }
}

bool OptionTable::parse(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") break;
    if (word == "--help" || word == "-h") {
      std::fputs(help().c_str(), stdout);
      return false;
    }
  }
  std::vector<Assignment> flags, assignments;
  read_flags(argc, argv, flags);
  if (!config_file_.empty()) read_file(config_file_, assignments);
  assignments.insert(assignments.end(), flags.begin(), flags.end());
  apply(assignments);
  for (const Option& option : options_) {
    if (!option.required || given(option.key)) continue;
    const bool positional = option.place == Option::Place::position;
    throw UsageError(fmt::format("{} is missing", positional ? option.key : "--" + flag_of(option)), "mae " + command_,
                     example_);
  }
  return true;
}

}  // namespace apps
