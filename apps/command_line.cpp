#include "apps/command_line.h"

#include <CLI/CLI.hpp>

#include "apps/cli.h"

namespace apps {

CommandLine read_command_line(const std::vector<FlagSpec>& specs, int argc, const char* const* argv) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  CommandLine line;
  line.values.resize(specs.size());
  std::vector<CLI::Option*> options;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const auto& [name, kind] = specs[i];
    const bool positional = kind == FlagKind::position || kind == FlagKind::positions;
    CLI::Option* option = kind == FlagKind::boolean ? app.add_flag("--" + name + ",!--no-" + name)
                                                    : app.add_option(positional ? name : "--" + name, line.values[i]);
    if (kind == FlagKind::value || kind == FlagKind::position) option->expected(1);
    if (kind == FlagKind::repeated) option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    if (kind == FlagKind::value || kind == FlagKind::boolean)
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    options.push_back(option);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what(), "command line", "--help lists the flags");
  }
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].kind == FlagKind::boolean && options[i]->count() > 0) line.values[i] = {options[i]->results().back()};
  }
  line.unknown = app.remaining();
  return line;
}

}  // namespace apps
