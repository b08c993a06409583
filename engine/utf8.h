// Whether a text is UTF-8.
#pragma once

#include <string_view>

namespace engine {

/// Surrogates, values beyond U+10FFFF and longer codes than needed are not.
bool is_utf8(std::string_view text);

}  // namespace engine
