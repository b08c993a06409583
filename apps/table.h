// Plain-text tables and numbers for terminals.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace apps {

/// Control characters, which a terminal would obey, as '?': for names that come from files.
std::string printable(std::string text);

/// Text (UTF-8) of more than `most` bytes is cut before a letter and ends in "...", which count too.
std::string shortened(const std::string& text, std::size_t most);

/// One line a row, columns two spaces apart, the first row a heading, every cell printable. `columns`: 'l' or 'r' for
/// each.
std::string aligned(const std::vector<std::vector<std::string>>& rows, const std::string& columns);

/// 111,907,840
std::string thousands(std::int64_t value);
/// 12,345.68 with `digits` behind the point.
std::string thousands(double value, int digits);
/// "26.4 MB": powers of 1000, as memory plans and data sheets count.
std::string bytes_text(double bytes);

}  // namespace apps
