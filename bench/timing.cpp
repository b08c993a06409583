#include "bench/timing.h"

#include <algorithm>
#include <cmath>
#include <memory>

namespace bench {
namespace {

constexpr int most_nodes = 256, regions_a_round = 4;

/// The launches of one region.
class Region {
 public:
  Region(Stream& stream, std::size_t sets, const Contender& contender) : stream_(stream), contender_(contender) {
    gpu_ = stream.device().kind == DeviceKind::cuda;
    sets_ = static_cast<int>(sets);
    nodes_ = gpu_ ? sets_ : 1;
    capture();
    run();  // the first launch pays for what later ones find done
    stream.synchronize();
    while (milliseconds() < 1 && replays_ < 4096) replays_ *= 4;
  }

  /// Makes a region last about so long.
  void stretch(double wanted_ms) {
    const double launch_ms = std::max(us_ * 1e-3, 1e-5);
    const int wanted = static_cast<int>(std::clamp(std::ceil(wanted_ms / launch_ms), 1.0, 1e8));
    if (gpu_) {
      const int rounds_of_sets = (std::min(wanted, most_nodes) + sets_ - 1) / sets_;
      nodes_ = std::max(1, rounds_of_sets) * sets_;
      capture();
    }
    replays_ = (wanted + nodes_ - 1) / nodes_;
  }

  /// Runs the region; milliseconds that it took.
  double milliseconds() {
    kernels::Event begin(stream_.device()), end(stream_.device());
    begin.record(stream_);
    for (int i = 0; i < replays_; ++i) run();
    end.record(stream_);
    const double ms = end.milliseconds_since(begin);
    us_ = ms * 1e3 / launches();
    return ms;
  }

  double us() const { return us_; }  // a launch, in the last region
  int launches() const { return replays_ * nodes_; }
  /// How many more regions of this length a round may have.
  int regions(double round_ms) const {
    const double ms = us_ * 1e-3 * launches();
    return ms > 0 ? static_cast<int>(std::clamp(round_ms / ms, 1.0, double{regions_a_round})) : regions_a_round;
  }

 private:
  void capture() {
    if (!gpu_) return;
    graph_ = std::make_unique<kernels::Graph>(stream_, [this] {
      for (int i = 0; i < nodes_; ++i) contender_.launch(stream_, static_cast<std::size_t>(i));
    });
  }
  void run() {
    if (gpu_) graph_->replay(stream_);
    else contender_.launch(stream_, next_++);
  }

  Stream& stream_;
  const Contender& contender_;
  bool gpu_ = false;
  int sets_ = 1, nodes_ = 1, replays_ = 1;
  std::size_t next_ = 0;
  double us_ = 0;
  std::unique_ptr<kernels::Graph> graph_;
};

}  // namespace

double quantile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

std::vector<Times> measure(Stream& stream, std::size_t sets, const std::vector<Contender>& contenders,
                           const Protocol& protocol) {
  const double round_ms = protocol.min_time * 1e3 / protocol.rounds;
  const double most_ms = 10 * protocol.min_time * 1e3;  // a row that has taken so long is not timed again
  std::vector<Times> times(contenders.size());
  std::vector<double> spent_ms(contenders.size());
  std::vector<std::unique_ptr<Region>> regions;
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    regions.push_back(std::make_unique<Region>(stream, sets, contenders[i]));
    spent_ms[i] = regions[i]->us() * 1e-3 * regions[i]->launches();
    if (spent_ms[i] > most_ms) times[i] = {.us = {regions[i]->us()}, .launches = regions[i]->launches()};
    else regions[i]->stretch(round_ms / regions_a_round);
  }
  for (int round = -1; round < protocol.rounds; ++round) {  // round -1 warms up
    for (std::size_t i = 0; i < regions.size(); ++i) {
      Region& region = *regions[i];
      if (round < 0 && region.launches() == 1) continue;  // slow enough to be warm by now
      for (int k = region.regions(round_ms); k > 0 && (times[i].us.empty() || spent_ms[i] <= most_ms); --k) {
        spent_ms[i] += region.milliseconds();
        if (round >= 0) times[i].us.push_back(region.us());
      }
      if (!times[i].us.empty()) times[i].launches = region.launches();
    }
  }
  for (Times& t : times) t.median = quantile(t.us, 0.5), t.p10 = quantile(t.us, 0.1), t.p90 = quantile(t.us, 0.9);
  return times;
}

}  // namespace bench
