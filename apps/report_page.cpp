#include "apps/report_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/html.h"
#include "apps/report_charts.h"
#include "apps/report_style.h"
#include "apps/svg_chart.h"

namespace apps {
namespace {

using Runs = std::vector<ReportedRun>;
using Rows = std::vector<std::vector<std::string>>;

std::string heading(const std::string& text) { return element("h2", text) + "\n"; }

std::string charts(const Runs& runs) {
  std::string out = heading("Curves") + "<div class=\"charts\">\n";
  for (const Chart& chart : charts_of(runs)) out += svg_figure(chart);
  return out + "</div>\n";
}

std::string tiles(const ReportedRun& run) {
  std::string out = "<div class=\"tiles\">\n";
  for (const Fact& fact : headline(run))
    out += "<div>" + element("b", fact.value) + element("span", fact.name) + "</div>\n";
  return out + "</div>\n";
}

std::string reconstructions(const Runs& runs) {
  std::string out;
  for (const ReportedRun& run : runs) {
    if (run.learning.empty()) continue;
    if (runs.size() > 1) out += element("h3", run.name) + "\n";
    out += "<div class=\"scroll\">" +
           png_element(run.learning, "images: original, masked, and as the model fills them in, from early to late") +
           "</div>\n";
  }
  return out.empty() ? "" : heading("Reconstructions over time") + out;
}

std::string table_of(const std::vector<std::pair<std::string, std::string>>& pairs, const char* name) {
  Rows rows{{name, "value"}};
  for (const auto& [key, value] : pairs)
    if (key != "command") rows.push_back({key, value});
  return html_table(rows);
}

std::string one_run(const ReportedRun& run) {
  std::string out = element("h1", run.name) + "\n";
  const std::vector<Fact> all = facts(run);
  out += element("p", all.front().value, "lead") + "\n" + tiles(run);
  Rows rows{{"figure", "value"}};
  for (const Fact& fact : all) rows.push_back({fact.name, fact.value});
  out += charts({run}) + heading("Summary") + html_table(rows) + reconstructions({run});
  if (const std::string command = run.ran_on("command"); !command.empty())
    out += heading("Command") + element("pre", command) + "\n";
  out += heading("Options") + table_of(run.options, "config.toml");
  return out + heading("What it ran on") + table_of(run.ran, "run");
}

/// A row for each name that a run has, in the order in which they come up.
Rows side_by_side(const Runs& runs, const char* name, const std::vector<std::vector<Fact>>& of_runs) {
  Rows rows{{name}};
  std::vector<std::string> names;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    rows[0].push_back(runs[i].name);
    for (const Fact& fact : of_runs[i])
      if (std::find(names.begin(), names.end(), fact.name) == names.end()) names.push_back(fact.name);
  }
  for (const std::string& wanted : names) {
    rows.push_back({wanted});
    for (const auto& of_run : of_runs) {
      const auto found = std::find_if(of_run.begin(), of_run.end(), [&](const Fact& f) { return f.name == wanted; });
      rows.back().push_back(found == of_run.end() ? "–" : found->value);
    }
  }
  return rows;
}

/// Options, and what runs ran on, whose values are not the same everywhere. Where a run lies differs always.
Rows differences(const Runs& runs) {
  std::vector<std::vector<Fact>> all(runs.size());
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const auto& [key, value] : runs[i].options)
      if (key != "out" && key != "resume") all[i].push_back({key, value});
    for (const auto& [key, value] : runs[i].ran)
      if (key != "command") all[i].push_back({"run: " + key, value});
  }
  Rows rows = side_by_side(runs, "option", all);
  rows.erase(std::remove_if(rows.begin() + 1, rows.end(),
                            [](const auto& row) {
                              return std::all_of(row.begin() + 2, row.end(),
                                                 [&](const auto& v) { return v == row[1]; });
                            }),
             rows.end());
  return rows;
}

std::string title_of(const Runs& runs) {
  std::string title;
  for (const ReportedRun& run : runs) title += (title.empty() ? "" : ", ") + run.name;
  return title;
}

std::string several_runs(const Runs& runs) {
  std::string out = element("h1", title_of(runs)) + "\n";
  out += element("p", fmt::format("{} runs compared", runs.size()), "lead") + "\n" + charts(runs);
  std::vector<std::vector<Fact>> figures;
  for (const ReportedRun& run : runs) figures.push_back(facts(run));
  out += heading("Figures") + html_table(side_by_side(runs, "figure", figures));
  const Rows different = differences(runs);
  out += heading("Differences");
  out += different.size() > 1 ? html_table(different) : element("p", "All options are the same.") + "\n";
  out += reconstructions(runs) + heading("Commands");
  for (const ReportedRun& run : runs) out += element("pre", run.ran_on("command")) + "\n";
  return out;
}

}  // namespace

std::string report_page(const Runs& runs) {
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n" +
         element("title", title_of(runs)) + "\n<style>" + report_style + "</style>\n</head>\n<body>\n" +
         (runs.size() == 1 ? one_run(runs[0]) : several_runs(runs)) + "<script>" + report_script +
         "</script>\n</body>\n</html>\n";
}

}  // namespace apps
