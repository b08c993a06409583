// What the lanes of a warp do together.
#include <algorithm>
#include <bit>
#include <cstdio>

#include "kernels/simt/matrix.h"
#include "kernels/simt/state.h"

namespace kernels::simt {
namespace {

std::string hex(unsigned mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

const char* text_of(WarpStep step) {
  constexpr const char* names[] = {"a __syncwarp", "a shuffle",   "a vote",
                                   "an mma",       "an ldmatrix", "an ldmatrix (transposed)"};
  return names[static_cast<int>(step)];
}

/// Behind a __syncwarp each of its lanes knows what any of them knew.
void share_met(const Meeting& meeting, unsigned first_lane) {
  const std::uint32_t syncs = ++launch->warps[first_lane / warp_lanes].syncs;
  std::array<std::uint32_t, warp_lanes> met{};
  for (unsigned i = 0; i < warp_lanes; ++i) {
    if (meeting.mask >> i & 1u) {
      met[i] = syncs;
    } else {
      for (unsigned lane = 0; lane < warp_lanes; ++lane) {
        if (meeting.mask >> lane & 1u) met[i] = std::max(met[i], threads[first_lane + lane]->met[i]);
      }
    }
  }
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    if (meeting.mask >> lane & 1u) threads[first_lane + lane]->met = met;
  }
}

void finish(const Meeting& meeting, unsigned first_lane) {
  std::uint64_t ballot = 0;
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    if (meeting.values[lane] != 0) ballot |= std::uint64_t{1} << lane;
  }
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    if (!(meeting.mask >> lane & 1u)) continue;
    Thread& thread = *threads[first_lane + lane];
    thread.state = State::ready;
    thread.result = meeting.step == WarpStep::shuffle ? meeting.values[meeting.sources[lane]] : ballot;
  }
  if (meeting.step == WarpStep::sync) share_met(meeting, first_lane);
  if (meeting.step == WarpStep::mma) finish_product(meeting.values);
  if (meeting.step == WarpStep::ldmatrix) finish_loads(meeting.values, false);
  if (meeting.step == WarpStep::ldmatrix_transposed) finish_loads(meeting.values, true);
}

/// The meeting that a lane now comes to; null: it is the first.
Meeting* find_meeting(std::vector<Meeting>& open, WarpStep step, unsigned mask, unsigned lane, Place place) {
  Meeting* mine = nullptr;
  for (Meeting& meeting : open) {
    if (meeting.mask == mask && meeting.step == step && (meeting.place == place || step == WarpStep::sync)) {
      mine = &meeting;
    } else if (meeting.mask >> lane & 1u && meeting.arrived & mask) {  // each waits for the other
      stop(std::string("comes to ") + text_of(step) + " with mask " + hex(mask) +
               ", and lanes of it wait for this one in " + text_of(meeting.step) + " with mask " + hex(meeting.mask) +
               " at " + text_of(meeting.place),
           place);
    }
  }
  return mine;
}

}  // namespace

std::uint64_t meet(WarpStep step, unsigned mask, std::uint64_t value, unsigned source, Place place) {
  const unsigned lane = running % warp_lanes, first_lane = running - lane;
  if (!(mask >> lane & 1u)) stop("is not in its own mask " + hex(mask), place);
  if (!(mask >> source & 1u))
    stop("reads from lane " + std::to_string(source) + ", which mask " + hex(mask) + " leaves out", place);
  std::vector<Meeting>& open = launch->warps[running / warp_lanes].open;
  Meeting* mine = find_meeting(open, step, mask, lane, place);
  if (!mine) {
    mine = &open.emplace_back(
        Meeting{.step = step, .mask = mask, .arrived = 0, .place = place, .values = {}, .sources = {}});
  }
  mine->arrived |= 1u << lane;
  mine->values[lane] = value;
  mine->sources[lane] = source;
  if (mine->arrived == mask) {
    finish(*mine, first_lane);
    open.erase(open.begin() + (mine - open.data()));
  } else {
    wait(State::in_warp_step, place);
  }
  return threads[first_lane + lane]->result;
}

void stop_in_warp_step() {
  const unsigned lane = running % warp_lanes;
  const auto& open = launch->warps[running / warp_lanes].open;
  const Meeting& mine = *std::find_if(open.begin(), open.end(), [&](auto& m) { return m.arrived >> lane & 1u; });
  const auto missing = static_cast<unsigned>(std::countr_zero(mine.mask & ~mine.arrived));
  const Thread& other = *threads[running - lane + missing];
  stop(std::string("waits in ") + text_of(mine.step) + " with mask " + hex(mine.mask) + " for lane " +
           std::to_string(missing) + ", which " +
           (other.state == State::done ? "has ended" : "waits elsewhere, at " + text_of(other.place)),
       threads[running]->place);
}

}  // namespace kernels::simt
