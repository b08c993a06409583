#include "apps/evaluation.h"

#include <fmt/format.h>

#include <optional>

#include "apps/table.h"

namespace apps {
namespace {

using engine::Json;
using mae::ClassMetrics, mae::MultiLabelMetrics, mae::SingleLabelMetrics;

using Classes = std::vector<std::string>;

Json summary_of(const SingleLabelMetrics& m) {
  return Json::object(
      {{"top1", m.top1}, {"top5", m.top5}, {"balanced_accuracy", m.balanced_accuracy}, {"validation_loss", m.loss}});
}

Json summary_of(const MultiLabelMetrics& m) {
  return Json::object({{"auroc", m.auroc}, {"map", m.mean_average_precision}, {"macro_f1", m.macro_f1}});
}

void add_if(Json& object, const char* key, const std::optional<double>& value) {
  if (value) object.add(key, *value);
}

void add_details(Json& json, const SingleLabelMetrics& m, const Classes& names) {
  const std::size_t K = names.size();
  Json classes = Json::array(), confusion = Json::array();
  for (std::size_t k = 0; k < K; ++k) {
    Json one = Json::object({{"class", names[k]}}), row = Json::array();
    add_if(one, "recall", m.recall[k]);
    classes.add({}, one);
    for (std::size_t j = 0; j < K; ++j) row.add({}, m.confusion[k * K + j]);
    confusion.add({}, row);
  }
  json.add("classes", classes);
  json.add("confusion", confusion);
}

void add_details(Json& json, const MultiLabelMetrics& m, const Classes& names) {
  Json classes = Json::array();
  for (std::size_t k = 0; k < names.size(); ++k) {
    const ClassMetrics& c = m.classes[k];
    Json one = Json::object({{"class", names[k]}, {"positives", c.positives}, {"negatives", c.negatives}});
    add_if(one, "auroc", c.auroc);
    add_if(one, "average_precision", c.average_precision);
    add_if(one, "f1", c.f1);
    classes.add({}, one);
  }
  json.add("classes", classes);
}

std::string text_of(const std::optional<double>& number, int digits) {
  return number ? fmt::format("{:.{}f}", *number, digits) : "none";
}

std::string table(const SingleLabelMetrics& m, const Classes& names) {
  constexpr std::size_t most_classes = 20, most_letters = 14;
  const std::size_t K = names.size();
  if (K > most_classes) return {};
  std::vector<std::vector<std::string>> rows{{"is \\ taken for"}};
  for (std::size_t k = 0; k < K; ++k) rows[0].push_back(std::to_string(k));
  rows[0].push_back("recall %");
  for (std::size_t i = 0; i < K; ++i) {
    rows.push_back({fmt::format("{} {}", i, shortened(names[i], most_letters))});
    for (std::size_t j = 0; j < K; ++j) rows.back().push_back(std::to_string(m.confusion[i * K + j]));
    rows.back().push_back(text_of(m.recall[i], 2));
  }
  return aligned(rows, "l" + std::string(K + 1, 'r'));
}

std::string table(const MultiLabelMetrics& m, const Classes& names) {
  std::vector<std::vector<std::string>> rows{{"class", "positives", "negatives", "AUROC", "AP", "F1"}};
  for (std::size_t k = 0; k < names.size(); ++k) {
    const ClassMetrics& c = m.classes[k];
    rows.push_back({names[k], std::to_string(c.positives), std::to_string(c.negatives), text_of(c.auroc, 4),
                    text_of(c.average_precision, 4), text_of(c.f1, 4)});
  }
  return aligned(rows, "lrrrrr");
}

}  // namespace

Evaluation evaluate(const mae::Scores& scores, mae::Task task, const std::vector<std::int8_t>& targets) {
  if (task == mae::Task::single) return mae::single_label_metrics(scores.view(), scores.labels);
  return mae::multi_label_metrics(scores.view(), targets);
}

Json summary(const Evaluation& evaluation) {
  return std::visit([](const auto& metrics) { return summary_of(metrics); }, evaluation);
}

std::string deciding_number(mae::Task task) { return task == mae::Task::single ? "top1" : "auroc"; }

Json details(const Evaluation& evaluation, const Classes& classes) {
  Json json = summary(evaluation);
  std::visit([&](const auto& metrics) { add_details(json, metrics, classes); }, evaluation);
  return json;
}

std::string table_of(const Evaluation& evaluation, const Classes& classes) {
  return std::visit([&](const auto& metrics) { return table(metrics, classes); }, evaluation);
}

}  // namespace apps
