#include "apps/report_charts.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/number.h"

namespace apps {
namespace {

using engine::Json;
using Runs = std::vector<ReportedRun>;

Series of_steps(const ReportedRun& run, const std::string& name, double StepRecord::*field) {
  Series series{.name = name, .x = {}, .y = {}};
  for (const StepRecord& step : run.logs.steps) {
    if (step.skipped && field != &StepRecord::lr) continue;
    series.x.push_back(step.epoch);
    series.y.push_back(step.*field);
  }
  return series;
}

Series of_evaluations(const ReportedRun& run, const std::string& name, const std::string& key) {
  Series series{.name = name, .x = {}, .y = {}};
  for (const Json& line : run.logs.evaluations) {
    const Json* value = line.find(key);
    if (!value) continue;
    series.x.push_back(line.at("epoch").as_double());
    series.y.push_back(value->kind == Json::Kind::null ? NAN : value->as_double());
  }
  return series;
}

/// Of the events that end an epoch.
Series weight_norm_of(const ReportedRun& run, const std::string& name) {
  Series series{.name = name, .x = {}, .y = {}};
  for (const Json& line : run.logs.events) {
    const Json* norm = line.find("weight_norm");
    if (!norm || norm->kind == Json::Kind::null) continue;
    const double epoch = line.at("epoch").as_double();
    while (!series.x.empty() && series.x.back() >= epoch) series.x.pop_back(), series.y.pop_back();  // gone over again
    series.x.push_back(epoch);
    series.y.push_back(norm->as_double());
  }
  return series;
}

/// The mean over a fiftieth of the run.
Series calm(const Series& series) {
  Series mean = smoothed(series, std::max<int>(1, static_cast<int>(series.x.size() / 50)));
  mean.name = series.name;
  return mean;
}

Series faint(Series series) {
  series.faint = true;
  series.name.clear();
  return series;
}

/// Of the mean time, not the mean of rates, in which short steps would count too much.
Series rate_of(const ReportedRun& run, const std::string& name) {
  Series series = calm(of_steps(run, name, &StepRecord::seconds));
  const double batch = engine::parse_number<double>(run.option("batch")).value_or(NAN);
  for (double& y : series.y) y = batch / y;
  return series;
}

Series wait_of(const ReportedRun& run, const std::string& name) {
  Series series = calm(of_steps(run, name, &StepRecord::data_wait));
  const Series whole = calm(of_steps(run, name, &StepRecord::seconds));
  for (std::size_t i = 0; i < series.y.size(); ++i) series.y[i] *= 100 / whole.y[i];
  return series;
}

std::string loss_title(const Runs& runs) {
  const auto all = [&](RunKind kind) {
    return std::all_of(runs.begin(), runs.end(), [&](const ReportedRun& run) { return run.kind == kind; });
  };
  if (all(RunKind::pretraining)) return "mean squared error on masked patches";
  if (!all(RunKind::finetuning)) return "loss";
  const bool multi =
      std::any_of(runs.begin(), runs.end(), [](const auto& run) { return run.option("task") == "multi"; });
  return multi ? "binary cross-entropy" : "cross-entropy";
}

bool empty(const Chart& chart) {
  return std::all_of(chart.series.begin(), chart.series.end(), [](const Series& series) {
    return std::none_of(series.y.begin(), series.y.end(), [](double y) { return std::isfinite(y); });
  });
}

/// One line a run, named where there are several.
Chart chart_by_run(const Runs& runs, const std::string& title, const std::string& y_title,
                   const std::function<Series(const ReportedRun&, const std::string& name)>& series) {
  Chart chart{.title = title, .x_title = "epoch", .y_title = y_title};
  for (const ReportedRun& run : runs) chart.series.push_back(series(run, runs.size() > 1 ? run.name : ""));
  return chart;
}

Chart loss_of_one(const ReportedRun& run, const std::string& y_title) {
  const Series steps = of_steps(run, "training", &StepRecord::loss);
  Chart chart{
      .title = "Loss", .x_title = "epoch", .y_title = y_title, .log_y = true, .series = {faint(steps), calm(steps)}};
  const Series validation = of_evaluations(run, "validation", "validation_loss");
  if (!validation.x.empty()) chart.series.push_back(validation);
  return chart;
}

Chart accuracy_of_one(const ReportedRun& run) {
  const bool percent = deciding_key(run) == "top1";
  Chart chart{.title = percent ? "Validation accuracy" : "Validation",
              .x_title = "epoch",
              .y_title = percent ? "% of the images" : "0 to 1"};
  const std::vector<std::pair<const char*, const char*>> single{
      {"top-1", "top1"}, {"top-5", "top5"}, {"mean over classes", "balanced_accuracy"}},
      multi{{"AUROC", "auroc"}, {"mean average precision", "map"}, {"macro F1", "macro_f1"}};
  for (const auto& [name, key] : percent ? single : multi) chart.series.push_back(of_evaluations(run, name, key));
  return chart;
}

void add_results(std::vector<Chart>& charts, const Runs& runs) {
  const std::string loss = loss_title(runs);
  if (runs.size() == 1) {
    charts.push_back(loss_of_one(runs[0], loss));
    charts.push_back(accuracy_of_one(runs[0]));
    return;
  }
  const auto training = [](const ReportedRun& run, const std::string& name) {
    return calm(of_steps(run, name, &StepRecord::loss));
  };
  const auto validation = [](const std::string& key) {
    return [key](const ReportedRun& run, const std::string& name) { return of_evaluations(run, name, key); };
  };
  charts.push_back(chart_by_run(runs, "Training loss", loss, training));
  charts.push_back(chart_by_run(runs, "Validation loss", loss, validation("validation_loss")));
  charts[0].log_y = charts[1].log_y = true;
  charts.push_back(chart_by_run(runs, "Validation accuracy, top-1", "% of the images", validation("top1")));
  charts.push_back(chart_by_run(runs, "Validation AUROC", "0 to 1", validation("auroc")));
}

}  // namespace

std::vector<Chart> charts_of(const Runs& runs) {
  std::vector<Chart> charts;
  add_results(charts, runs);
  charts.push_back(chart_by_run(runs, "Learning rate", "lr", [](const auto& run, const std::string& name) {
    return of_steps(run, name, &StepRecord::lr);
  }));
  charts.push_back(chart_by_run(runs, "Gradient norm", "L2 norm", [](const auto& run, const std::string& name) {
    return calm(of_steps(run, name, &StepRecord::gradient_norm));
  }));
  charts.back().log_y = true;
  if (runs.size() == 1) {
    auto& series = charts.back().series;
    series.insert(series.begin(), faint(of_steps(runs[0], "", &StepRecord::gradient_norm)));
  }
  charts.push_back(chart_by_run(runs, "Weight norm", "L2 norm of all trained weights", weight_norm_of));
  charts.push_back(chart_by_run(runs, "Throughput", "images per second", rate_of));
  charts.push_back(chart_by_run(runs, "Time waiting for images", "% of a step", wait_of));
  const Chart first = charts[0];
  charts.erase(std::remove_if(charts.begin(), charts.end(), empty), charts.end());
  if (charts.empty() || charts[0].title != first.title) charts.insert(charts.begin(), first);
  return charts;
}

}  // namespace apps
