#include "bench/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "apps/table.h"

namespace bench {
namespace {

constexpr std::size_t widest = 100;

/// Four digits, whole microseconds from 1000 on.
std::string us_text(double us) {
  if (us <= 0) return "-";
  if (us >= 1000) return apps::thousands(us, 0);
  return fmt::format("{:.{}f}", us, us < 10 ? 3 : us < 100 ? 2 : 1);
}

std::string percent(double part) { return part > 0 ? fmt::format("{:.1f}", std::min(part * 100, 9999.0)) : "-"; }

/// The 10th and 90th percentile by their distance from the median: "-0.4% +1.2%"; "-" for one sample.
std::string spread_text(const Times& times) {
  if (times.us.size() < 2) return "-";
  const auto away = [&](double us) {
    const double by = (us / times.median - 1) * 100;
    return fmt::format("{}{:.{}f}%", by < 0 ? "-" : "+", std::fabs(by), std::fabs(by) < 9.95 ? 1 : 0);
  };
  return away(std::min(times.p10, times.median)) + " " + away(std::max(times.p90, times.median));
}

std::string error_text(const Checked& checked) { return checked.done ? fmt::format("{:.1e}", checked.worst) : "-"; }

std::vector<std::string> head(const Device& device, bool wide) {
  const bool gpu = device.kind == DeviceKind::cuda;
  std::vector<std::string> cells{
      "row",    "cold us", "p10 p90", "hot us", "GB/s", gpu ? "TFLOP/s" : "GFLOP/s", gpu ? "%prod" : "%fma",
      "%floor", "vendor",  "error"};
  if (wide) cells.insert(cells.end(), {"regs", "shared", "warps"});
  return cells;
}

struct Scale {
  double floor_us, peak, vendor_us, flops_unit;
  bool wide;
};

/// Registers a thread, bytes of shared memory a block, part of a multiprocessor's warps.
void add_facts(std::vector<std::string>& cells, const kernels::cuda::LaunchFacts& facts) {
  if (facts.warps == 0) cells.insert(cells.end(), {"-", "-", "-"});
  else
    cells.insert(cells.end(),
                 {std::to_string(facts.registers), apps::thousands(static_cast<std::int64_t>(facts.shared)),
                  fmt::format("{:.0f}%", facts.occupancy * 100)});
}

std::vector<std::string> cells_of(const Work& work, const Result& r, const Scale& scale) {
  const double us = r.times.median, flops = work.cost.flops / us * 1e6;
  std::vector<std::string> cells{apps::shortened(r.row.name, 16) + (r.row.reduced_precision ? "~" : ""),
                                 us_text(us),
                                 spread_text(r.times) + (r.times.known() ? " " : "*"),
                                 us_text(r.hot_us),
                                 fmt::format("{:.1f}", work.cost.bytes / us * 1e-3),
                                 work.cost.flops > 0 ? fmt::format("{:.1f}", flops / scale.flops_unit) : "-",
                                 scale.peak > 0 ? percent(flops / scale.peak) : "-",
                                 percent(scale.floor_us / us),
                                 scale.vendor_us > 0 ? fmt::format("{:.2f}x", scale.vendor_us / us) : "-",
                                 error_text(r.checked)};
  if (scale.wide) add_facts(cells, r.facts);
  return cells;
}

/// "variation 1: qkv, bias -> out, lse"; what is updated stands on both sides.
std::string views_of(const Work& work) {
  std::vector<std::string> read, written;
  for (const Field& field : work.fields) {
    if (field.role != Role::output) read.emplace_back(field.name);
    if (field.role != Role::input) written.emplace_back(field.name);
  }
  return fmt::format("variation {}: {} -> {}", work.variation, fmt::join(read, ", "), fmt::join(written, ", "));
}

std::vector<Without> without_of(const Contest& contest) {
  std::vector<Without> rows;
  for (const Result& r : contest.results) {
    if (!r.error.empty()) rows.push_back({r.row.name, "FAILED: " + r.error});
    else if (r.wrong())
      rows.push_back({r.row.name, fmt::format("WRONG: {} is off by {:.1e} from f64, {:.0e} is allowed", r.checked.note,
                                              r.checked.worst, r.checked.bound)});
  }
  for (const Row& row : contest.refused) rows.push_back({row.name, "refuses: " + row.refusal});
  return rows;
}

/// Lines that begin with `first`, those that follow as far to the right; broken at spaces.
std::string wrapped(const std::string& first, const std::string& text) {
  std::string lines = first;
  std::size_t used = first.size();
  bool begin = true;
  std::istringstream words(text);
  for (std::string word; words >> word; begin = false) {
    word = apps::shortened(word, widest - first.size());
    if (!begin && used + 1 + word.size() > widest) {
      lines += "\n" + std::string(first.size(), ' ');
      used = first.size(), begin = true;
    }
    lines += (begin ? "" : " ") + word;
    used += word.size() + !begin;
  }
  return lines + "\n";
}

}  // namespace

Block block_of(const Work& work, const Device& device, const Contest& contest, const Ceilings& ceilings, bool wide) {
  bool by_bytes = true;
  const Scale scale{.floor_us = ceilings.floor_us(work.cost, work.dtype, by_bytes),
                    .peak = ceilings.peak(work.dtype),
                    .vendor_us = contest.best_vendor_us(),
                    .flops_unit = device.kind == DeviceKind::cuda ? 1e12 : 1e9,
                    .wide = wide};
  Block block;
  const bool cached = contest.bytes > 0 && contest.bytes < cache_bytes(device);
  block.heading = fmt::format("{}  {}  {}  {}  (floor {} us: {}{})", work.kernel, work.shape, name_of(work.dtype),
                              name_of(device.kind), us_text(scale.floor_us), by_bytes ? "bytes" : "operations",
                              cached ? "; caches hold all operands" : "");
  block.views = views_of(work);
  block.cells.push_back(head(device, wide));
  for (const Result* r : contest.by_time()) {
    block.cells.push_back(cells_of(work, *r, scale));
    block.doubtful |= !r->times.known(), block.rounded |= r->row.reduced_precision;
  }
  block.without = without_of(contest);
  return block;
}

std::string text_of(const Block& block) {
  std::string text = apps::shortened(block.heading, widest) + "\n" + apps::shortened("  " + block.views, widest) + "\n";
  if (block.cells.size() > 1) text += apps::aligned(block.cells, "l" + std::string(block.cells[0].size() - 1, 'r'));
  std::size_t longest = 0;
  for (const Without& row : block.without) longest = std::max(longest, row.row.size());
  for (const Without& row : block.without)
    text += wrapped(row.row + std::string(longest - row.row.size() + 2, ' '), row.why);
  return text + "\n";
}

std::string markdown_of(const Block& block) {
  const auto line = [](const std::vector<std::string>& cells) {
    return fmt::format("| {} |\n", fmt::join(cells, " | "));
  };
  std::string text = fmt::format("### {}\n\n{}\n\n", block.heading, block.views);
  const std::size_t columns = block.cells[0].size();
  for (std::size_t i = 0; i < block.cells.size(); ++i) {
    text += line(block.cells[i]);
    if (i > 0) continue;
    text += "| ---";
    for (std::size_t c = 1; c < columns; ++c) text += " | ---:";
    text += " |\n";
  }
  for (const Without& row : block.without) {
    std::vector<std::string> cells(columns);
    cells[0] = row.row, cells[1] = row.why;
    text += line(cells);
  }
  return text + "\n";
}

std::string mark_notes(bool doubtful, bool rounded) {
  std::string text;
  if (doubtful) text += "* the median is not known to 1 % (its 95 % interval is wider): --max-time\n";
  if (rounded) text += "~ this row rounds more than the type asks for: it takes no part in comparisons\n";
  return text;
}

}  // namespace bench
