// The options of one command: one table from which come its flags, its --help, the keys of its TOML file, and the
// config file that a run writes back.
//
//     built-in default  <  what a hook sets (the preset of --model)  <  TOML file (--config FILE)  <  flag
//
// The key `micro_batch` is the flag --micro-batch and the TOML key micro_batch; TOML tables may be named like groups
// and are otherwise only for order. Booleans are --flag and --no-flag, lists of numbers are 1,2,3, lists of texts
// repeat their flag.
#pragma once

#include <cmath>
#include <concepts>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "apps/value.h"

namespace apps {

struct Option {
  std::string key, group, help;
  std::function<Value()> get;                    // its alternative is the option's type
  std::function<std::string(const Value&)> set;  // that type; returns what is wrong with the value, or nothing

  std::vector<std::string> choices{};  // of a text; none: any
  std::string flag{};                  // where it is not the key with dashes
  std::string hint{};                  // of the value in --help: "FILE"
  enum class Place { flag, position } place = Place::flag;
  bool required = false;
  bool number_too = false;  // a text that a file may also give as a number

  // for chaining behind OptionTable::add
  Option& one_of(std::vector<std::string> names) { return choices = std::move(names), *this; }
  Option& as(std::string name) { return flag = std::move(name), *this; }
  Option& shown_as(std::string text) { return hint = std::move(text), *this; }
  Option& positional() { return place = Place::position, *this; }
  Option& or_number() { return number_too = true, *this; }
  Option& must_be_given() { return required = true, *this; }
};

class OptionTable {
 public:
  /// "plan", "parameters, FLOPs and memory of a training step", "mae plan --model ... --batch 4096"
  OptionTable(std::string command, std::string summary, std::string example)
      : command_(std::move(command)), summary_(std::move(summary)), example_(std::move(example)) {}

  /// Options that follow stand under this heading.
  void group(const std::string& name) { group_ = name; }

  Option& add(const std::string& key, bool& target, const std::string& help) { return bind<bool>(key, target, help); }
  Option& add(const std::string& key, double& target, const std::string& help) {
    return bind<double>(key, target, help);
  }
  Option& add(const std::string& key, std::string& target, const std::string& help) {
    return bind<std::string>(key, target, help);
  }
  Option& add(const std::string& key, std::vector<double>& target, const std::string& help) {
    return bind<std::vector<double>>(key, target, help);
  }
  Option& add(const std::string& key, std::vector<std::string>& target, const std::string& help) {
    return bind<std::vector<std::string>>(key, target, help);
  }
  template <std::integral T>
  Option& add(const std::string& key, T& target, const std::string& help) {
    return add(
        key, help, [&target] { return Value(static_cast<std::int64_t>(target)); },
        [&target](const Value& value) -> std::string {
          const auto wide = std::get<std::int64_t>(value);
          if (!std::in_range<T>(wide)) return std::to_string(wide) + " is out of range";
          target = static_cast<T>(wide);
          return {};
        });
  }
  template <std::integral T>
  Option& add(const std::string& key, std::vector<T>& target, const std::string& help) {
    return add(
        key, help, [&target] { return Value(std::vector<double>(target.begin(), target.end())); },
        [&target](const Value& value) -> std::string {
          const auto& numbers = std::get<std::vector<double>>(value);
          std::vector<T> whole;
          for (double x : numbers) {
            if (x != std::floor(x) || std::fabs(x) > 1e15 || !std::in_range<T>(static_cast<std::int64_t>(x)))
              return "whole numbers are wanted";
            whole.push_back(static_cast<T>(x));
          }
          target = whole;
          return {};
        });
  }
  Option& add(const std::string& key, const std::string& help, std::function<Value()> get,
              std::function<std::string(const Value&)> set);

  /// Calls back when the key was given, after it was set and before any other key is: for a preset, which changes
  /// the defaults of others.
  void on_key(const std::string& key, std::function<void()> callback) { hooks_.emplace_back(key, std::move(callback)); }

  /// Keys of a file that belong to another command: passed over. So `plan` reads the config of a run.
  void pass_over(const std::vector<std::string>& keys) { passed_over_.insert(keys.begin(), keys.end()); }
  std::vector<std::string> keys() const;

  /// False after --help, which it prints: the command then returns 0. Throws UsageError for unknown flags and keys,
  /// with the nearest name, and for values of a wrong type, with flag, or file and line.
  bool parse(int argc, const char* const* argv);
  /// Whether flag or file gave the key.
  bool given(const std::string& key) const { return given_.contains(key); }
  /// The flag, or the file and its line, that gave the key last; empty: none did.
  std::string source_of(const std::string& key) const { return given(key) ? given_.at(key) : ""; }

  std::string help() const;
  /// A file that parse() reads back to the same values. `run` are facts about a run; they go to a table [run], which
  /// reading passes over.
  std::string to_toml(const std::vector<std::pair<std::string, std::string>>& run = {}) const;

 private:
  struct Assignment {
    Option* option;
    Value value;
    std::string where;
  };

  template <class T>
  Option& bind(const std::string& key, T& target, const std::string& help) {
    return add(
        key, help, [&target] { return Value(target); },
        [&target](const Value& value) -> std::string {
          target = std::get<T>(value);
          return {};
        });
  }
  Option* find(const std::string& key);
  void read_flags(int argc, const char* const* argv, std::vector<Assignment>& assignments);
  void read_file(const std::string& path, std::vector<Assignment>& assignments);
  void assign(const Assignment& assignment);
  void apply(const std::vector<Assignment>& assignments);

  std::string command_, summary_, example_, group_ = "Options", config_file_;
  std::deque<Option> options_;  // a deque: add() hands out references
  std::vector<std::pair<std::string, std::function<void()>>> hooks_;
  std::map<std::string, std::string> given_;  // key -> its source
  std::set<std::string> passed_over_;
};

/// "micro-batch"
std::string flag_of(const Option& option);

}  // namespace apps
