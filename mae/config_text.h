// The one list of a Config's fields, and a Config as text: the `config.*` keys of a checkpoint, the model options of
// the command line.
//
// Text is lossless: a double has the fewest digits that read back to the same bits. Reading wants every field.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "mae/config.h"

namespace mae {

/// A field that holds one of a few names.
struct NamedChoice {
  std::vector<std::string> names;
  int (*get)(const Config&);
  void (*set)(Config&, int);
};

struct ConfigField {
  const char* key;
  const char* help;
  std::variant<std::string Config::*, int Config::*, double Config::*, bool Config::*, std::vector<double> Config::*,
               NamedChoice>
      member;
};

/// Every field, in the order of the struct.
const std::vector<ConfigField>& config_fields();

std::map<std::string, std::string> to_text(const Config& config);

/// Throws kernels::Error with `where` (a file) for a key that is missing, unknown, or not of its field's type.
Config config_from_text(const std::map<std::string, std::string>& text, const std::string& where);

}  // namespace mae
