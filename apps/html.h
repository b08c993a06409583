// The few pieces of HTML that a report is made of. Whatever comes from a file goes through escaped().
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace apps {

/// Text as it may stand between tags and in quoted attributes: & < > " ' become entities, control characters a space.
std::string escaped(std::string_view text);

/// `<tag class="...">escaped content</tag>`; no class where it is empty.
std::string element(std::string_view tag, std::string_view content, std::string_view css_class = {});

/// A table in a box that scrolls by itself. The first row is its heading, the first cell of each other one its name.
std::string html_table(const std::vector<std::vector<std::string>>& rows);

/// A picture inside the page: <img src="data:image/png;base64,...">.
std::string png_element(std::string_view png, std::string_view alternative);

}  // namespace apps
