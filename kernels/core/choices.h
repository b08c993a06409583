// What rows have chosen by timing (autotuning): the algorithm of a library for one shape on one GPU, say. The process
// keeps them, and the first choice stands, so equal launches have equal bits. Checkpoints keep them too, and a resumed
// run adopts them before its first launch.
#pragma once

#include <map>
#include <optional>
#include <string>

namespace kernels {

/// What was to be chosen, in words that fit nothing else -> what was chosen. Neither holds a ';' or a '='.
using Choices = std::map<std::string, std::string>;

Choices choices();
/// From now on these stand, before any of our own; graphs that are already captured stay as they are.
void adopt_choices(const Choices& choices);

std::optional<std::string> find_choice(const std::string& key);
/// Returns what stands now: the value, or an earlier one.
std::string keep_choice(const std::string& key, const std::string& value);

/// "key=value;key=value", and back. What has no '=' is left out; whoever reads a value must be ready for any.
std::string to_text(const Choices& choices);
Choices choices_from(const std::string& text);

}  // namespace kernels
