// The command line of `mae`: its commands, its errors, and what it returns to the shell.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/core/check.h"

namespace apps {

/// A flag, key or command that cannot be as it was typed.
class UsageError : public kernels::Error {
  using kernels::Error::Error;
};

/// What a command returns. It throws kernels::Error for bad input and UsageError for bad usage, and returns
/// `not_finite` itself once a loss is not finite, and `interrupted` when a signal or --max-time ended a run that is
/// saved: sysexits.h calls 75 a temporary failure, and batch queues can be told to repeat such a command.
enum Exit { done = 0, bad_input = 1, bad_usage = 2, not_finite = 3, interrupted = 75 };

/// "error: ...", "where: ...", "try: ...": one line each, empty ones left out.
std::string error_text(const kernels::Error& error);

/// The same on standard error, as a warning: what is allowed and probably not meant.
void warn(const kernels::Error& error);

/// Of a program that is a door to others: argv[0] of run is the name.
struct Command {
  const char* name;
  const char* summary;
  int (*run)(int argc, char** argv);
};

/// A line each: name and summary.
std::string listed(std::span<const Command> commands);

/// Throws UsageError for a name that none has, with the nearest one; `door`: "mae", what is typed before the name.
const Command& command_named(std::span<const Command> commands, const std::string& name, const std::string& door);

/// What `command` returns; what it throws becomes text on standard error and an exit code. Never throws.
int guarded(const std::function<int()>& command);

/// argv[0] is the program, argv[1] the command. Never throws.
int run(int argc, char** argv);

/// The name that was probably meant, by edit distance; empty when none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& names);

}  // namespace apps
