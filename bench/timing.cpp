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

struct Timed {
  std::unique_ptr<Region> region;
  Times times;
  double spent_ms = 0;
};

/// Some regions of one contender; at least one while it has no time at all.
void time_round(Timed& t, double round_ms, double most_ms, bool counts) {
  for (int k = t.region->regions(round_ms); k > 0 && (t.times.us.empty() || t.spent_ms <= most_ms); --k) {
    t.spent_ms += t.region->milliseconds();
    if (counts) t.times.us.push_back(t.region->us());
  }
  if (!t.times.us.empty()) t.times.launches = t.region->launches();
}

Times summary(Times t) {
  t.median = quantile(t.us, 0.5), t.p10 = quantile(t.us, 0.1), t.p90 = quantile(t.us, 0.9);
  t.doubt = doubt_of(t.us);
  return t;
}

}  // namespace

double quantile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const double at = p * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
}

double doubt_of(const std::vector<double>& values) {
  if (values.size() < 2) return INFINITY;
  const double half = std::min(0.98 / std::sqrt(static_cast<double>(values.size())), 0.5);
  return (quantile(values, 0.5 + half) - quantile(values, 0.5 - half)) / 2 / quantile(values, 0.5);
}

std::vector<Times> measure(Stream& stream, std::size_t sets, const std::vector<Contender>& contenders,
                           const Protocol& protocol) {
  const double round_ms = protocol.min_time * 1e3 / protocol.rounds;
  const double most_ms = 10 * protocol.min_time * 1e3;  // a row that has taken so long is not timed again
  std::vector<Timed> timed(contenders.size());
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    Timed& t = timed[i];
    t.region = std::make_unique<Region>(stream, sets, contenders[i]);
    t.spent_ms = t.region->us() * 1e-3 * t.region->launches();
    if (t.spent_ms > most_ms) t.times = {.us = {t.region->us()}, .launches = t.region->launches()};
    else t.region->stretch(round_ms / regions_a_round);
  }
  for (int round = -1; round < protocol.rounds; ++round) {  // round -1 warms up
    for (Timed& t : timed) {
      if (round < 0 && t.region->launches() == 1) continue;  // slow enough to be warm by now
      time_round(t, round_ms, most_ms, round >= 0);
    }
  }
  const double longest_ms = std::max(protocol.max_time, protocol.min_time) * 1e3;
  for (bool again = true; again;) {
    again = false;
    for (Timed& t : timed) {
      if (t.spent_ms >= longest_ms || doubt_of(t.times.us) <= known_within) continue;
      time_round(t, round_ms, longest_ms, true);
      again = true;
    }
  }
  std::vector<Times> times;
  for (Timed& t : timed) times.push_back(summary(std::move(t.times)));
  return times;
}

}  // namespace bench
