#include "bench/contest.h"

#include <algorithm>
#include <chrono>
#include <optional>

namespace bench {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Contest run_contest(const Work& work, const Device& device, const ContestOptions& options) {
  const double begin = now();
  Contest contest;
  std::size_t workspace = 0;
  for (const Row& row : work.rows) {
    const bool asked =
        options.rows.empty() || std::find(options.rows.begin(), options.rows.end(), row.name) != options.rows.end();
    if (!asked || !row.refusal.empty()) continue;
    contest.results.push_back({.row = row});
    workspace = std::max(workspace, row.workspace);
  }
  if (contest.results.empty()) return contest;

  Stream stream(device);
  const auto scratch = device_memory(device, workspace);
  stream.lend_scratch(scratch.get(), workspace);
  Operands operands(work, device);
  operands.randomise(stream);
  contest.sets = operands.count(), contest.bytes = operands.total_bytes();
  std::optional<Reference> reference;
  if (options.check) reference.emplace(work, operands, stream);
  for (Result& result : contest.results) {
    try {
      if (result.row.tunes) work.tune(stream, operands.set(0), result.row.name, scratch.get());
      if (reference) result.checked = reference->check(result.row, operands, stream);
      else result.checked.note = "--no-check";
    } catch (const Error& error) {
      result.error = error.what();
    }
  }
  reference.reset();
  contest.prepare_seconds = now() - begin;

  std::vector<Contender> contenders;
  std::vector<Result*> timed;
  for (Result& result : contest.results) {
    if (!result.error.empty()) continue;
    timed.push_back(&result);
    contenders.push_back({[&work, &operands, name = result.row.name](Stream& s, std::size_t i) {
      work.launch(s, operands.set(i), name);
    }});
  }
  const std::vector<Times> times = measure(stream, operands.count(), contenders, options.protocol);
  for (std::size_t i = 0; i < timed.size(); ++i) timed[i]->times = times[i];
  return contest;
}

}  // namespace bench
