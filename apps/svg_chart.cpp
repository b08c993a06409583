#include "apps/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/html.h"

namespace apps {
namespace {

constexpr int letter = 7;  // width of a digit at the page's 12 px

/// The ranges of frame_of, which leaves nothing to legends here, and the page's own margins.
Frame svg_frame(Chart chart, std::vector<double>& ys) {
  for (Series& series : chart.series) series.name.clear();
  Frame frame = frame_of(chart, 1200, 700);
  frame.top = 28;
  frame.bottom = svg_height - 44;
  const int at_most = (frame.bottom - frame.top) / (frame.log_y ? 24 : 38);  // 1-2-5 in a decade need more
  ys = frame.log_y ? log_ticks(frame.y_low, frame.y_high, at_most) : linear_ticks(frame.y_low, frame.y_high, at_most);
  std::size_t widest = 1;
  for (const std::string& label : tick_labels(ys)) widest = std::max(widest, label.size());
  frame.left = 12 + letter * static_cast<int>(widest);
  frame.right = svg_width - 14;
  return frame;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, escaped(text));
}

std::string line(double x1, double y1, double x2, double y2, const char* css_class) {
  return fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", css_class, x1,
                     y1, x2, y2);
}

std::string axes(const Chart& chart, const Frame& f, const std::vector<double>& ys) {
  const auto xs = linear_ticks(f.x_low, f.x_high, std::max(2, (f.right - f.left) / 60));
  const auto y_labels = tick_labels(ys), x_labels = tick_labels(xs);
  std::string out;
  for (std::size_t i = 0; i < ys.size(); ++i) {
    const double y = place(f, f.x_low, ys[i]).y;
    out += line(f.left, y, f.right, y, "grid") + text_at(f.left - 6, y + 4, "end", y_labels[i]);
  }
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const double x = place(f, xs[i], f.y_low).x;
    out += line(x, f.bottom, x, f.bottom + 4, "axis") + text_at(x, f.bottom + 18, "middle", x_labels[i]);
  }
  return out + line(f.left, f.bottom, f.right, f.bottom, "axis") +
         text_at((f.left + f.right) / 2.0, svg_height - 6, "middle", chart.x_title) +
         text_at(0, 14, "start", chart.y_title + (f.log_y ? ", log scale" : ""));
}

std::string data_attribute(const char* name, const std::vector<double>& values) {
  std::string out = fmt::format(" data-{}=\"", name);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += ' ';
    out += std::isfinite(values[i]) ? fmt::format("{}", values[i]) : "-";
  }
  return out + "\"";
}

/// Lines between gaps; points that are few have a dot each, and so has one between two gaps.
std::string strokes(const Series& series, const Frame& frame) {
  std::string out, points, dots;
  std::size_t run = 0;
  const auto dot = [](const Point& p) {
    return fmt::format("<circle cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"3\"/>\n", p.x, p.y);
  };
  Point last{};
  const auto end_line = [&] {
    if (run > 1) out += "<polyline points=\"" + points + "\"/>\n";
    if (run == 1) out += dot(last);
    points.clear(), run = 0;
  };
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    const Point p = place(frame, series.x[i], series.y[i]);
    if (!std::isfinite(p.x)) {
      end_line();
      continue;
    }
    points += fmt::format("{}{:.2f},{:.2f}", run > 0 ? " " : "", p.x, p.y);
    last = p, ++run;
    if (series.x.size() <= 40 && !series.faint) dots += dot(p);
  }
  end_line();
  return out + dots;
}

/// "s2": the colour; " d1" from the eighth on, where colours come round again and lines are dashed instead.
std::string colour_class(const Chart& chart, std::size_t index) {
  std::size_t before = 0;
  for (std::size_t i = 0; i < index; ++i) before += !chart.series[i].faint;
  return fmt::format("s{}", before % 7) + (before < 7 ? "" : fmt::format(" d{}", std::min<std::size_t>(before / 7, 2)));
}

std::string legend(const Chart& chart) {
  std::string out;
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    if (!chart.series[i].name.empty())
      out += "<li class=\"" + colour_class(chart, i) + "\">" + escaped(chart.series[i].name) + "</li>";
  return out.empty() ? "" : "<ul class=\"legend\">" + out + "</ul>\n";
}

}  // namespace

Series thinned(const Series& series, std::size_t most) {
  const std::size_t n = series.y.size(), parts = most / 2;
  if (n <= most || parts == 0) return series;
  Series out{.name = series.name, .x = {}, .y = {}, .faint = series.faint};
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t begin = part * n / parts, end = (part + 1) * n / parts;
    std::size_t low = begin, high = begin;
    for (std::size_t i = begin; i < end; ++i) {
      if (std::isnan(series.y[low]) || series.y[i] < series.y[low]) low = i;
      if (std::isnan(series.y[high]) || series.y[i] > series.y[high]) high = i;
    }
    for (const std::size_t i : {std::min(low, high), std::max(low, high)}) {
      out.x.push_back(series.x[i]);
      out.y.push_back(series.y[i]);
    }
  }
  return out;
}

std::string svg_figure(const Chart& chart) {
  std::vector<double> ys;
  const Frame frame = svg_frame(chart, ys);
  std::string out = "<figure>\n<figcaption>" + element("b", chart.title) + "\n" + legend(chart) + "</figcaption>\n";
  out += fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" data-left=\"{}\" data-right=\"{}\" data-low=\"{}\" "
      "data-high=\"{}\" data-unit=\"{}\">\n",
      svg_width, svg_height, escaped(chart.title), frame.left, frame.right, frame.x_low, frame.x_high,
      escaped(chart.x_title));
  out += axes(chart, frame, ys);
  for (const bool faint : {true, false}) {
    for (std::size_t i = 0; i < chart.series.size(); ++i) {
      if (chart.series[i].faint != faint) continue;
      const Series series = thinned(chart.series[i]);
      out += fmt::format("<g class=\"series {}{}\" data-name=\"{}\"", colour_class(chart, i), faint ? " faint" : "",
                         escaped(series.name)) +
             data_attribute("x", series.x) + data_attribute("y", series.y) + ">\n" + strokes(series, frame) + "</g>\n";
    }
  }
  if (frame.empty) out += text_at((frame.left + frame.right) / 2.0, svg_height / 2.0, "middle", "no data yet");
  return out + line(0, frame.top, 0, frame.bottom, "cursor") + "</svg>\n<p class=\"read\"></p>\n</figure>\n";
}

}  // namespace apps
