#include "apps/chart.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "apps/text.h"
#include "kernels/core/check.h"

namespace apps {
namespace {

constexpr std::array<Colour, 7> palette{Colour{0, 114, 178},   Colour{213, 94, 0},  Colour{0, 158, 115},
                                        Colour{204, 121, 167}, Colour{230, 159, 0}, Colour{86, 180, 233},
                                        Colour{0, 0, 0}};
constexpr Colour grid_line{228, 228, 228}, axis_line{150, 150, 150};
constexpr TextStyle title_style{26, ink}, axis_style{18, soft_ink}, label_style{17, soft_ink}, legend_style{18, ink};
constexpr int margin = 28, swatch = 30, gap = 8;  // pixels

void check(const Series& series) {
  if (series.x.size() != series.y.size())
    throw kernels::Error(fmt::format("{} x values and {} y values", series.x.size(), series.y.size()),
                         fmt::format("series '{}'", series.name), "give every point both");
}

/// Values of 1e300 and more are as good as infinite here: their differences overflow.
bool drawable(double x, double y, bool log_y) {
  return std::abs(x) < 1e300 && std::abs(y) < 1e300 && (!log_y || y > 0);
}

struct Range {
  double low = INFINITY, high = -INFINITY;
  void take(double value) { low = std::min(low, value), high = std::max(high, value); }
};

/// A range too narrow to have ticks is opened about its middle.
Range opened(Range range) {
  const double middle = range.low / 2 + range.high / 2, least = 1e-6 * std::max(std::abs(middle), 1e-6);
  if (range.high - range.low >= least) return range;
  const double half = middle == 0 ? 0.5 : std::abs(middle) / 10;
  return {middle - half, middle + half};
}

Range padded(Range range, bool log_y) {
  if (log_y) {
    const double by = std::pow(range.high / range.low, 0.05);
    return {range.low / by, range.high * by};
  }
  const double by = 0.05 * (range.high - range.low);
  return {range.low >= 0 && range.low < by ? 0 : range.low - by, range.high + by};
}

int count_of_ticks(int pixels, int each) { return std::max(2, pixels / each); }

std::vector<double> y_ticks(const Frame& frame) {
  const int at_most = count_of_ticks(frame.bottom - frame.top, 60);
  return frame.log_y ? log_ticks(frame.y_low, frame.y_high, at_most) : linear_ticks(frame.y_low, frame.y_high, at_most);
}

std::vector<double> x_ticks(const Frame& frame) {
  return linear_ticks(frame.x_low, frame.x_high, count_of_ticks(frame.right - frame.left, 100));
}

struct Entry {
  std::size_t series;
  int x, row;  // x from the left edge of the picture
};

/// Legend entries in rows as wide as the plot.
std::vector<Entry> legend_of(const Chart& chart, int left, int right) {
  std::vector<Entry> entries;
  int x = left, row = 0;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    if (chart.series[i].name.empty()) continue;
    const int wide = swatch + gap + text_width(chart.series[i].name, legend_style) + 3 * gap;
    if (x > left && x + wide > right) x = left, ++row;
    entries.push_back({i, x, row});
    x += wide;
  }
  return entries;
}

int legend_height(const Chart& chart, int width) {
  const auto entries = legend_of(chart, margin, width - margin);
  return entries.empty() ? 0 : (entries.back().row + 1) * (text_height(legend_style) + gap / 2) + gap;
}

int title_height(const Chart& chart) { return chart.title.empty() ? 0 : text_height(title_style) + gap; }

double opacity_of(const Series& series) { return series.faint ? 0.3 : 1; }

void draw_legend(Canvas& canvas, const Chart& chart) {
  const int pitch = text_height(legend_style) + gap / 2, top = margin + title_height(chart);
  for (const Entry& entry : legend_of(chart, margin, canvas.width - margin)) {
    const Series& series = chart.series[entry.series];
    const double y = top + entry.row * pitch + text_height(legend_style) / 2.0;
    polyline(canvas, {{entry.x + 3.0, y}, {entry.x + swatch - 3.0, y}},
             {series_colour(chart, entry.series), series.faint ? 3.0 : 4.0, opacity_of(series)});
    draw_text(canvas, entry.x + swatch + gap, top + entry.row * pitch, series.name, legend_style);
  }
}

void draw_axes(Canvas& canvas, const Chart& chart, const Frame& frame) {
  const int high = text_height(label_style);
  const auto ys = y_ticks(frame), xs = x_ticks(frame);
  const auto y_labels = tick_labels(ys), x_labels = tick_labels(xs);
  for (std::size_t i = 0; i < ys.size(); ++i) {
    const int y = int(std::lround(place(frame, frame.x_low, ys[i]).y));
    rectangle(canvas, frame.left, y, frame.right - frame.left, 1, grid_line);
    draw_text(canvas, frame.left - gap - text_width(y_labels[i], label_style), y - high / 2, y_labels[i], label_style);
  }
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const int x = int(std::lround(place(frame, xs[i], frame.y_low).x));
    rectangle(canvas, x, frame.bottom, 1, 6, axis_line);
    draw_text(canvas, x - text_width(x_labels[i], label_style) / 2, frame.bottom + gap, x_labels[i], label_style);
  }
  rectangle(canvas, frame.left, frame.bottom, frame.right - frame.left, 1, axis_line);
  draw_text(canvas, (frame.left + frame.right - text_width(chart.x_title, axis_style)) / 2,
            frame.bottom + gap + high + gap, chart.x_title, axis_style);
  draw_text(canvas, margin, frame.top - gap - text_height(axis_style), chart.y_title, axis_style);
}

void draw_series(Canvas& canvas, const Chart& chart, const Frame& frame, std::size_t index) {
  const Series& series = chart.series[index];
  std::vector<Point> points;
  for (std::size_t i = 0; i < series.x.size(); ++i) points.push_back(place(frame, series.x[i], series.y[i]));
  polyline(canvas, points, {series_colour(chart, index), series.faint ? 1.5 : 2.5, opacity_of(series)});
}

}  // namespace

Series smoothed(const Series& series, int window) {
  check(series);
  if (window < 1)
    throw kernels::Error(fmt::format("a window of {} points", window), "smoothed", "1 leaves a series as it is");
  const std::size_t n = series.y.size();
  std::vector<double> sum_x(n + 1), sum_y(n + 1), count(n + 1);  // of the points before each
  for (std::size_t i = 0; i < n; ++i) {
    const bool finite = std::isfinite(series.x[i]) && std::isfinite(series.y[i]);
    sum_x[i + 1] = sum_x[i] + (finite ? series.x[i] : 0);
    sum_y[i + 1] = sum_y[i] + (finite ? series.y[i] : 0);
    count[i + 1] = count[i] + finite;
  }
  Series out{fmt::format("{} (mean of {})", series.name, window), {}, {}, false};
  const std::size_t reach = std::size_t(window) / 2;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t low = i < reach ? 0 : i - reach, high = std::min(n, i + reach + 1);
    const double points = count[high] - count[low];
    out.x.push_back(points > 0 ? (sum_x[high] - sum_x[low]) / points : NAN);
    out.y.push_back(points > 0 ? (sum_y[high] - sum_y[low]) / points : NAN);
  }
  return out;
}

Colour series_colour(const Chart& chart, std::size_t index) {
  std::size_t before = 0;
  for (std::size_t i = 0; i < index && i < chart.series.size(); ++i) before += !chart.series[i].faint;
  return palette[before % palette.size()];
}

Frame frame_of(const Chart& chart, int width, int height) {
  Range x, y;
  for (const Series& series : chart.series) {
    check(series);
    for (std::size_t i = 0; i < series.x.size(); ++i)
      if (drawable(series.x[i], series.y[i], chart.log_y)) x.take(series.x[i]), y.take(series.y[i]);
  }
  const bool empty = x.low > x.high;
  if (empty) x = {0, 1}, y = chart.log_y ? Range{0.1, 1} : Range{0, 1};
  x = opened(x), y = padded(opened(y), chart.log_y);
  Frame frame{0, 0, width - margin - gap, 0, x.low, x.high, y.low, y.high, chart.log_y, empty};
  frame.top = margin + title_height(chart) + legend_height(chart, width) + gap +
              (chart.y_title.empty() ? 0 : text_height(axis_style) + gap);
  frame.bottom =
      height - margin - gap - text_height(label_style) - (chart.x_title.empty() ? 0 : text_height(axis_style) + gap);
  if (frame.bottom - frame.top < 60)
    throw kernels::Error(fmt::format("{} x {} pixels leave no room for the plot", width, height),
                         "chart '" + chart.title + "'", "ask for a larger picture or fewer series");
  int widest = 0;
  for (const std::string& label : tick_labels(y_ticks(frame)))
    widest = std::max(widest, text_width(label, label_style));
  frame.left = margin + widest + gap;
  return frame;
}

Point place(const Frame& frame, double x, double y) {
  if (!drawable(x, y, frame.log_y)) return {NAN, NAN};
  const double across = (x - frame.x_low) / (frame.x_high - frame.x_low);
  const double up = frame.log_y ? std::log(y / frame.y_low) / std::log(frame.y_high / frame.y_low)
                                : (y - frame.y_low) / (frame.y_high - frame.y_low);
  return {frame.left + across * (frame.right - frame.left), frame.bottom - up * (frame.bottom - frame.top)};
}

Canvas draw(const Chart& chart, int width, int height) {
  if (width < 320 || height < 240)
    throw kernels::Error(fmt::format("{} x {} pixels are too few", width, height), "chart '" + chart.title + "'",
                         "ask for at least 320 x 240");
  const Frame frame = frame_of(chart, width, height);
  Canvas canvas = make_canvas(width, height);
  draw_text(canvas, margin, margin, chart.title, title_style);
  draw_legend(canvas, chart);
  draw_axes(canvas, chart, frame);
  for (const bool faint : {true, false})
    for (std::size_t i = 0; i < chart.series.size(); ++i)
      if (chart.series[i].faint == faint) draw_series(canvas, chart, frame, i);
  if (frame.empty) {
    const std::string text = "no data";
    draw_text(canvas, (frame.left + frame.right - text_width(text, title_style)) / 2, (frame.top + frame.bottom) / 2,
              text, title_style);
  }
  return canvas;
}

}  // namespace apps
