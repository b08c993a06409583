#include "bench/contest.h"

#include <algorithm>
#include <optional>

#include "apps/progress.h"

namespace bench {
namespace {

/// Tunes and checks each row that will be timed.
void prepare(const Work& work, Stream& stream, Operands& operands, void* scratch, const ContestOptions& options,
             Contest& contest) {
  std::optional<Reference> reference;
  if (options.check) reference.emplace(work, operands, stream);
  for (Result& result : contest.results) {
    try {
      if (result.row.tunes) work.tune(stream, operands.set(0), result.row.name, scratch);
      if (reference) result.checked = reference->check(result.row, operands, stream);
      else result.checked.note = "--no-check";
      if (options.facts) {
        const kernels::cuda::AskFacts ask(result.facts);
        work.launch(stream, operands.set(0), result.row.name);
        stream.synchronize();
      }
    } catch (const Error& error) {
      result.error = error.what();
    }
  }
}

/// Cold: sets of operands in turn, so many that caches do not hold them.
void time_cold(const Work& work, Stream& stream, const Operands& operands, const Protocol& protocol,
               const std::vector<Result*>& results) {
  std::vector<Contender> contenders;
  for (const Result* result : results) {
    contenders.push_back({[&work, &operands, name = result->row.name](Stream& s, std::size_t i) {
      work.launch(s, operands.set(i), name);
    }});
  }
  const std::vector<Times> times = measure(stream, operands.count(), contenders, protocol);
  for (std::size_t i = 0; i < results.size(); ++i) results[i]->times = times[i];
}

/// Hot: one set for all launches. Rows that take long are left out: caches hold nothing of theirs.
void time_hot(const Work& work, Stream& stream, const Operands& operands, const Protocol& protocol,
              const std::vector<Result*>& results) {
  std::vector<Contender> contenders;
  std::vector<Result*> timed;
  for (Result* result : results) {
    if (result->times.median * 1e-6 > protocol.min_time) continue;
    timed.push_back(result);
    contenders.push_back({[&work, memory = operands.set(0), name = result->row.name](Stream& s, std::size_t) {
      work.launch(s, memory, name);
    }});
  }
  const std::vector<Times> times = measure(stream, 1, contenders, protocol);
  for (std::size_t i = 0; i < timed.size(); ++i) timed[i]->hot_us = times[i].median;
}

}  // namespace

std::vector<const Result*> Contest::by_time() const {
  std::vector<const Result*> timed;
  for (const Result& r : results) {
    if (r.counts() && !r.times.us.empty()) timed.push_back(&r);
  }
  std::stable_sort(timed.begin(), timed.end(),
                   [](const Result* a, const Result* b) { return a->times.median < b->times.median; });
  return timed;
}

double Contest::best_vendor_us() const {
  for (const Result* r : by_time()) {
    if (r->row.vendor && !r->row.reduced_precision) return r->times.median;
  }
  return 0;
}

Contest run_contest(const Work& work, const Device& device, const ContestOptions& options) {
  const double begin = apps::clock_seconds();
  Contest contest;
  std::size_t workspace = 0;
  for (const Row& row : work.rows) {
    const bool asked =
        options.rows.empty() || std::find(options.rows.begin(), options.rows.end(), row.name) != options.rows.end();
    if (!asked) continue;
    if (!row.refusal.empty()) {
      contest.refused.push_back(row);
      continue;
    }
    contest.results.push_back({.row = row});
    workspace = std::max(workspace, row.workspace);
  }
  if (contest.results.empty()) return contest;

  try {
    Stream stream(device);
    const auto scratch = device_memory(device, workspace);
    stream.lend_scratch(scratch.get(), workspace);
    Operands operands(work, device);
    operands.randomise(stream);
    contest.sets = operands.count(), contest.bytes = operands.total_bytes();
    prepare(work, stream, operands, scratch.get(), options, contest);
    contest.prepare_seconds = apps::clock_seconds() - begin;
    std::vector<Result*> timed;
    for (Result& result : contest.results) {
      if (result.error.empty()) timed.push_back(&result);
    }
    time_cold(work, stream, operands, options.protocol, timed);
    if (options.hot) time_hot(work, stream, operands, options.protocol, timed);
  } catch (const Error& error) {  // memory, or a launch within the timing
    for (Result& result : contest.results) {
      if (result.error.empty() && result.times.us.empty()) result.error = error.what();
    }
  }
  return contest;
}

}  // namespace bench
