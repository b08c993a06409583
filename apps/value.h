// A value on its way from a command line or a file to an option.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace apps {

using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<double>, std::vector<std::string>>;

}  // namespace apps
