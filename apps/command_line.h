// Splits a command line into flags and their values. CLI11 compiles slowly and stays inside command_line.cpp.
#pragma once

#include <string>
#include <vector>

namespace apps {

enum class FlagKind { boolean, value, repeated, position, positions };

struct FlagSpec {
  std::string name;  // "norm-pix": --norm-pix and, where boolean, --no-norm-pix
  FlagKind kind;
};

struct CommandLine {
  /// One list for each spec, empty where it was not given; "true" or "false" for booleans. Of a value that was given
  /// twice, the last.
  std::vector<std::vector<std::string>> values;
  std::vector<std::string> unknown;  // what no spec takes
};

/// argv[0] is skipped. Throws UsageError where a value is missing.
CommandLine read_command_line(const std::vector<FlagSpec>& specs, int argc, const char* const* argv);

}  // namespace apps
