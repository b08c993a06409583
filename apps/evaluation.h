// What an evaluation of a classifier finds: a line of evaluations.jsonl, what `mae eval` prints, and its JSON.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "engine/json.h"
#include "mae/classifier.h"
#include "mae/evaluator.h"
#include "mae/metrics.h"

namespace apps {

using Evaluation = std::variant<mae::SingleLabelMetrics, mae::MultiLabelMetrics>;

/// `targets`: of Task::multi, as FinetuningOptions::targets.
Evaluation evaluate(const mae::Scores& scores, mae::Task task, const std::vector<std::int8_t>& targets);

/// {"top1", "top5", "balanced_accuracy", "validation_loss"}, or {"auroc", "map", "macro_f1"}.
engine::Json summary(const Evaluation& evaluation);
/// The number of a summary whose largest is called best.
std::string deciding_number(mae::Task task);

/// summary(), and what it is a mean of: a recall, or the numbers of ClassMetrics, for each class; confusions, (K, K)
/// rows of the true class. A number that a class does not have is left out.
engine::Json details(const Evaluation& evaluation, const std::vector<std::string>& classes);
/// The same as a table for people; confusions of at most 20 classes.
std::string table_of(const Evaluation& evaluation, const std::vector<std::string>& classes);

}  // namespace apps
