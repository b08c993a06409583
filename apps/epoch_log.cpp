#include "apps/epoch_log.h"

#include <cstddef>
#include <map>

namespace apps {

using engine::Json;

void EpochLog::step(const StepRecord& record) {
  sums_.lr += record.lr;
  ++sums_.steps;
  if (!record.skipped) sums_.loss += record.loss, ++sums_.learnt;
  const auto number = ended_(record.step + 1);
  if (!number) return;
  waiting_.push_back({.number = *number, .done = record.step + 1, .sums = sums_});
  sums_ = {};
}

void EpochLog::evaluation(const Json& line) {
  const std::int64_t done = line.at("step").as_int();
  for (Epoch& epoch : waiting_)
    if (epoch.done == done) epoch.evaluation = line;
}

std::string EpochLog::line_of(const Epoch& epoch) const {
  static const std::map<std::string, std::string> names{
      {"validation_loss", "test_loss"}, {"top1", "test_acc1"}, {"top5", "test_acc5"}};
  const Sums& s = epoch.sums;  // of no step: NaN, which becomes null
  Json line = Json::object(
      {{"train_lr", s.lr / static_cast<double>(s.steps)}, {"train_loss", s.loss / static_cast<double>(s.learnt)}});
  const Json none = Json::object();
  for (const Json& number : (epoch.evaluation ? *epoch.evaluation : none).as_object()) {
    if (number.key == "step" || number.key == "epoch") continue;
    const auto known = names.find(number.key);
    line.add(known != names.end() ? known->second : "test_" + number.key, number);
  }
  line.add("epoch", epoch.number);
  if (kind_ == RunKind::finetuning) line.add("n_parameters", trained_parameters_);
  return to_text(line);
}

void EpochLog::open(std::int64_t done) {
  std::size_t kept = 0, ended = 0;
  while (ended < waiting_.size() && waiting_[ended].done < done) ++ended;
  engine::keep_lines(path_, [&](std::string_view line) {
    const bool same = kept < ended && line == line_of(waiting_[kept]);
    kept += same;
    return same;
  });
  write_lines(kept, ended);
}

void EpochLog::end_epoch() { write_lines(0, waiting_.size()); }

void EpochLog::write_lines(std::size_t first, std::size_t end) {
  std::string lines;
  for (std::size_t i = first; i < end; ++i) lines += line_of(waiting_[i]) + "\n";
  waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(end));
  if (!lines.empty()) file_.append_record(lines);  // what the disk does not take waits there
}

}  // namespace apps
