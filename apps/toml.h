// TOML files as a flat list of keys. toml++ compiles slowly and stays inside toml.cpp.
#pragma once

#include <string>
#include <vector>

#include "apps/value.h"

namespace apps {

struct TomlEntry {
  std::string table;  // "" for a key of no table
  std::string key;
  Value value;
  int line = 0;
};

/// In the order of the file. Throws UsageError with `where` and line for text that is not TOML, for tables in tables,
/// and for values that no option can have (dates, mixed arrays).
std::vector<TomlEntry> parse_toml(const std::string& text, const std::string& where);

}  // namespace apps
