#include "bench/roofline.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/chart.h"
#include "apps/text.h"

namespace bench {
namespace {

using apps::Canvas;
using apps::Colour;
using apps::draw_text;
using apps::Point;
using apps::text_height;
using apps::text_width;
using apps::TextStyle;

constexpr Colour ours{0, 114, 178}, library{213, 94, 0}, grid_line{232, 232, 232}, axis_line{150, 150, 150},
    work_line{200, 214, 224};  // of Okabe and Ito, as in apps/chart.h
constexpr TextStyle title_style{26, apps::ink}, axis_style{18, apps::soft_ink}, label_style{16, apps::soft_ink},
    roof_style{17, apps::ink};
constexpr int margin = 28, gap = 8, radius = 6;

struct Box {
  int x, y, width, height;
  bool meets(const Box& o) const {
    return x < o.x + o.width && o.x < x + width && y < o.y + o.height && o.y < y + height;
  }
};

struct Plot {
  Box area;
  double x_low, x_high, y_low, y_high;

  Point at(double x, double y) const {
    return {area.x + area.width * std::log(x / x_low) / std::log(x_high / x_low),
            area.y + area.height * (1 - std::log(y / y_low) / std::log(y_high / y_low))};
  }
};

bool drawable(const Dot& dot) { return dot.intensity > 0 && dot.rate > 0 && std::isfinite(dot.rate); }

double highest(const Roofline& r) {
  double rate = 0;
  for (const Roof& roof : r.roofs) rate = std::max(rate, roof.rate);
  for (const Dot& dot : r.dots) rate = std::max(rate, dot.rate);
  return std::max(rate, 1.0);
}

/// From a bit below the least to a bit above the most; the corner of the roof is always in the picture.
Plot plot_of(const Roofline& r, int width, int height) {
  Plot plot{.area = {margin + 80, 0, 0, 0}, .x_low = 1, .x_high = 1, .y_low = 1, .y_high = 2 * highest(r)};
  plot.area.y = margin + text_height(title_style) + 2 * gap + text_height(axis_style) + gap;
  plot.area.width = width - margin - plot.area.x;
  plot.area.height = height - margin - 3 * text_height(axis_style) - 4 * gap - plot.area.y;
  const double corner = r.bandwidth > 0 ? highest(r) / r.bandwidth : 1;
  double least = corner / 10, most = corner * 4, slowest = highest(r) / 100;
  for (const Dot& dot : r.dots) {
    if (!drawable(dot)) continue;
    least = std::min(least, dot.intensity), most = std::max(most, dot.intensity);
    slowest = std::min(slowest, dot.rate);
  }
  plot.x_low = least / 2, plot.x_high = most * 4, plot.y_low = slowest / 2;
  return plot;
}

std::string rate_text(double rate) {
  constexpr const char* units[] = {"", "k", "M", "G", "T", "P"};
  std::size_t unit = 0;
  while (rate >= 999.5 && unit + 1 < std::size(units)) rate /= 1000, ++unit;
  return fmt::format("{:.3g} {}", rate, units[unit]);
}

void draw_axes(Canvas& canvas, const Plot& plot, const std::string& title) {
  const Box& a = plot.area;
  const int high = text_height(label_style);
  for (const double tick : apps::log_ticks(plot.y_low, plot.y_high, a.height / 40)) {
    const int y = static_cast<int>(std::lround(plot.at(plot.x_low, tick).y));
    const std::string label = rate_text(tick);
    rectangle(canvas, a.x, y, a.width, 1, grid_line);
    draw_text(canvas, a.x - gap - text_width(label, label_style), y - high / 2, label, label_style);
  }
  for (const double tick : apps::log_ticks(plot.x_low, plot.x_high, a.width / 70)) {
    const int x = static_cast<int>(std::lround(plot.at(tick, plot.y_low).x));
    const std::string label = fmt::format("{:g}", tick);
    rectangle(canvas, x, a.y, 1, a.height, grid_line);
    draw_text(canvas, x - text_width(label, label_style) / 2, a.y + a.height + gap, label, label_style);
  }
  rectangle(canvas, a.x, a.y + a.height, a.width, 1, axis_line);
  rectangle(canvas, a.x, a.y, 1, a.height, axis_line);
  const std::string x_title = "operations a byte";
  draw_text(canvas, a.x + a.width - text_width(x_title, axis_style), a.y + a.height + 2 * gap + high, x_title,
            axis_style);
  draw_text(canvas, margin, margin, title, title_style);
  draw_text(canvas, margin, a.y - gap - text_height(axis_style), "operations a second", axis_style);
}

void draw_dot(Canvas& canvas, Point p, bool vendor) {
  polyline(canvas, {p}, {vendor ? library : ours, 1.0 * radius, 1});
}

/// The legend, to the right above the plot.
void draw_legend(Canvas& canvas, const Plot& plot) {
  int x = plot.area.x + plot.area.width;
  const int y = plot.area.y - gap - text_height(axis_style);
  for (const bool vendor : {true, false}) {
    const std::string name = vendor ? "a library's row" : "our row";
    x -= text_width(name, axis_style);
    draw_text(canvas, x, y, name, axis_style);
    x -= gap + 2 * radius;
    draw_dot(canvas, {x + 1.0 * radius, y + text_height(axis_style) / 2.0}, vendor);
    x -= 3 * gap;
  }
}

/// Where a label may stand: beside its point, then up to `reach` lines further up and down on either side.
std::vector<Box> places(Point p, int width, int height, int reach) {
  std::vector<Box> boxes;
  const int x = static_cast<int>(p.x), y = static_cast<int>(p.y) - height / 2;
  for (int step = 0; step <= reach; ++step) {
    for (const int up : {-step, step}) {
      const int away = radius + gap / 2 + (step > 1 ? 2 * gap : 0);
      boxes.push_back({x + away, y + up * height, width, height});
      boxes.push_back({x - away - width, y + up * height, width, height});
    }
  }
  return boxes;
}

/// Names that have been given a place, and dots: nothing may be written there.
class Names {
 public:
  Names(Canvas& canvas, const Plot& plot) : canvas_(canvas), plot_(plot) {}

  void keep_free(const Box& box) { taken_.push_back(box); }
  /// False where there is no room.
  bool write(const std::string& text, Point p, const TextStyle& style, int reach) {
    const int height = text_height(style) + 2;
    for (const Box& box : places(p, text_width(text, style), height, reach)) {
      const Box& a = plot_.area;
      const bool inside =
          box.x > a.x && box.x + box.width < a.x + a.width && box.y > a.y && box.y + height < a.y + a.height;
      const auto meets = [&](const Box& other) { return box.meets(other); };
      if (!inside || std::any_of(taken_.begin(), taken_.end(), meets)) continue;
      const bool right = box.x > p.x;
      if (std::fabs(box.y + height / 2.0 - p.y) > height)
        polyline(canvas_, {p, {right ? box.x - 2.0 : box.x + box.width + 2.0, box.y + height / 2.0}},
                 {axis_line, 1, 1});
      rectangle(canvas_, box.x, box.y, box.width, height, apps::white);
      draw_text(canvas_, box.x, box.y + 1, text, style);
      taken_.push_back(box);
      return true;
    }
    return false;
  }

 private:
  Canvas& canvas_;
  const Plot& plot_;
  std::vector<Box> taken_;
};

void draw_roofs(Canvas& canvas, const Plot& plot, const Roofline& r, Names& names) {
  const double top = highest(r);
  if (r.bandwidth > 0) {
    const double from = std::max(plot.x_low, plot.y_low / r.bandwidth), to = top / r.bandwidth;
    polyline(canvas, {plot.at(from, from * r.bandwidth), plot.at(to, top)}, {apps::ink, 2.5, 1});
    const double middle = std::sqrt(from * to);
    names.write(fmt::format("copy {}B/s", rate_text(r.bandwidth)), plot.at(middle, middle * r.bandwidth * 1.15),
                roof_style, 3);
  }
  for (const Roof& roof : r.roofs) {
    const double corner = r.bandwidth > 0 ? roof.rate / r.bandwidth : plot.x_low;
    polyline(canvas, {plot.at(std::max(corner, plot.x_low), roof.rate), plot.at(plot.x_high, roof.rate)},
             {apps::ink, 2.5, 1});
    const Point end = plot.at(plot.x_high, roof.rate * 1.1);
    names.write(fmt::format("{} {}FLOP/s", roof.name, rate_text(roof.rate)), {end.x - gap, end.y - gap}, roof_style, 3);
  }
}

/// A line from each row up to the roof: what there is to be had.
void draw_gaps(Canvas& canvas, const Plot& plot, const Roofline& r, const std::vector<Dot>& dots) {
  double top = 0;
  for (const Roof& roof : r.roofs) top = std::max(top, roof.rate);
  for (const Dot& dot : dots) {
    const double roof = std::min(top > 0 ? top : dot.rate, r.bandwidth > 0 ? r.bandwidth * dot.intensity : dot.rate);
    if (roof > dot.rate)
      polyline(canvas, {plot.at(dot.intensity, dot.rate), plot.at(dot.intensity, roof)}, {work_line, 1.5, 1});
  }
}

}  // namespace

Canvas draw(const Roofline& roofline, int width, int height) {
  std::vector<Dot> dots;
  std::copy_if(roofline.dots.begin(), roofline.dots.end(), std::back_inserter(dots), drawable);
  const Plot plot = plot_of(roofline, width, height);
  Canvas canvas = apps::make_canvas(width, height);
  Names names(canvas, plot);
  draw_axes(canvas, plot, roofline.title);
  draw_legend(canvas, plot);
  draw_gaps(canvas, plot, roofline, dots);
  for (const Dot& dot : dots) {
    const Point p = plot.at(dot.intensity, dot.rate);
    names.keep_free(
        {static_cast<int>(p.x) - radius - 1, static_cast<int>(p.y) - radius - 1, 2 * radius + 2, 2 * radius + 2});
  }
  draw_roofs(canvas, plot, roofline, names);
  std::size_t nameless = 0;
  const auto write = [&](bool first_of_work) {
    for (std::size_t i = 0; i < dots.size(); ++i) {
      const bool first = i == 0 || dots[i].work != dots[i - 1].work;
      if (first != first_of_work) continue;
      const TextStyle style{15, dots[i].vendor ? library : ours};
      const std::string name = first ? dots[i].work + ": " + dots[i].row : dots[i].row;
      nameless += !names.write(name, plot.at(dots[i].intensity, dots[i].rate), style, first ? 12 : 1);
    }
  };
  write(true), write(false);
  for (const Dot& dot : dots) draw_dot(canvas, plot.at(dot.intensity, dot.rate), dot.vendor);
  std::string note;
  if (nameless) note = fmt::format("{} points have no room for a name. ", nameless);
  if (const std::size_t out = roofline.dots.size() - dots.size())
    note += fmt::format("{} rows do no arithmetic and have no place here.", out);
  draw_text(canvas, plot.area.x, height - margin - text_height(label_style), note, label_style);
  return canvas;
}

}  // namespace bench
