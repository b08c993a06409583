// Line charts: named series over one x axis, a linear or logarithmic y axis, round ticks, a light grid, a legend.
//
// The y title stands over its axis, where it reads without turning the head. Colours are those of Okabe and Ito, "Color
// Universal Design" (2008), which people with any common colour-vision deficiency can tell apart.
#pragma once

#include <string>
#include <vector>

#include "apps/canvas.h"

namespace apps {

struct Series {
  std::string name;  // empty: not in the legend
  std::vector<double> x,
      y;               // of one length; a value that cannot be drawn (not finite, or <= 0 on a log axis) makes a gap
  bool faint = false;  // drawn pale, in the colour of the next series that is not faint (raw values under their mean)
};

struct Chart {
  std::string title, x_title, y_title;
  bool log_y = false;
  std::vector<Series> series;
};

/// Every point replaced by the mean (of x and of y) over the points at most window / 2 places away. Near the ends these
/// are fewer and lie to one side, and x moves with y, so a slope there is neither bent nor shown where it was not. A
/// point that is not finite is left out. Error: window below 1, x and y of two lengths.
Series smoothed(const Series& series, int window);

/// Errors: x and y of two lengths; less than 320 x 240 pixels. Without a value to draw the chart says "no data".
Canvas draw(const Chart& chart, int width = 1200, int height = 700);

// ---- the parts of draw(), public for the tests

/// Multiples of 1, 2 or 5 times a power of ten in [low, high], at most `at_most` of them, as many as fit.
std::vector<double> linear_ticks(double low, double high, int at_most);

/// The same for a log axis (0 < low < high): whole decades, or 1-2-5 in each where that gives too few, or linear ticks.
std::vector<double> log_ticks(double low, double high, int at_most);

/// One notation for the whole axis: the fewest decimals that tell the ticks exactly, thousands as k, millions as M.
/// Where ticks span three decades or more, each is as short as it can be.
std::vector<std::string> tick_labels(const std::vector<double>& ticks);

struct Frame {
  int left, top, right, bottom;  // of the plot area, pixels
  double x_low, x_high;
  double y_low, y_high;
  bool log_y, empty;
};

Frame frame_of(const Chart& chart, int width, int height);
Point place(const Frame& frame, double x, double y);  // on the canvas; not finite for a value that cannot be drawn
Colour series_colour(const Chart& chart, std::size_t index);

}  // namespace apps
