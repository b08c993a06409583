// A chart of chart.h as a part of a web page: title, legend, and an SVG whose colours and letters are the page's.
//
// Each series is a <g class="series sN"> with its values in data-x and data-y, in the digits that read back to the same
// bits, and with its lines, in pixels of the SVG. Colours are the palette of chart.h: .s0 to .s6 of the page's style.
#pragma once

#include <string>

#include "apps/chart.h"

namespace apps {

inline constexpr int svg_width = 440, svg_height = 270;
inline constexpr std::size_t most_points = 1500;  // of a series in a page

/// A series of at most `most` points: for each of most / 2 stretches its lowest and its highest, so that no peak is
/// lost. One that is short enough stays as it is.
Series thinned(const Series& series, std::size_t most = most_points);

/// `<figure>`. Errors: those of draw().
std::string svg_figure(const Chart& chart);

}  // namespace apps
