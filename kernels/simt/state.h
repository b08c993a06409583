// What the files of this folder know of the launch that runs; nobody else includes this.
#pragma once

#include <array>
#include <bit>
#include <exception>
#include <memory>
#include <vector>

#include "kernels/simt/fiber.h"
#include "kernels/simt/grid.h"

namespace kernels::simt {

enum class State { ready, at_barrier, at_cluster_barrier, in_warp_step, at_mbarrier, in_warpgroup, done };

struct Thread {
  Fiber fiber;
  State state = State::ready;
  Place place;               // of the wait
  std::uint64_t result = 0;  // of the warp step
  const struct Mbarrier* awaited = nullptr;
  // how many __syncwarps of the warp were over when this thread last met each lane, in one or through others
  std::array<std::uint32_t, warp_lanes> met;
};

/// A warp step that some of its lanes have reached.
struct Meeting {
  WarpStep step;
  unsigned mask, arrived;
  Place place;  // of the lane that came first
  std::uint64_t values[warp_lanes];
  unsigned sources[warp_lanes];
};

struct Warp {
  std::vector<Meeting> open;
  std::uint32_t syncs = 0;
};

/// One launch. There is one at a time: kernels do not launch kernels.
struct Launch {
  Stream& stream;
  Grid grid;
  void (*body)(void*);
  void* context;
  std::vector<Warp> warps;
  unsigned first_block = 0;             // of the cluster that runs
  std::vector<std::uint32_t> barriers;  // of each block of the cluster that runs, those of the cluster among them
  std::uint32_t cluster_barriers = 0;
  std::exception_ptr failure;
};

extern Launch* launch;
extern unsigned running;                              // the thread that runs, counted through its cluster
extern std::vector<std::unique_ptr<Thread>> threads;  // kept for the next launch: making stacks takes long

/// A block's place in its cluster: of the thread that runs, or of any.
inline unsigned rank_of(unsigned thread) { return thread / launch->grid.threads; }
inline unsigned own_rank() { return rank_of(running); }
/// Thread `t` of the cluster is the one that runs.
void become(unsigned t);
/// All threads of that block have.
bool has_ended(unsigned rank);

inline Moment now() {
  return {.block = launch->barriers[own_rank()], .warp = launch->warps[running / warp_lanes].syncs};
}

/// Which of these lanes of `warp` of the same block, had each done something at `then`, are not in order with the
/// thread that runs now: neither a barrier nor __syncwarps of both lie between.
inline unsigned unordered(unsigned warp, unsigned lanes, const Moment& then) {
  if (then.block < launch->barriers[own_rank()]) return 0;
  if (warp != threadIdx.x / warp_lanes) return lanes;
  unsigned left = lanes & ~(1u << running % warp_lanes);
  for (unsigned rest = left; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<unsigned>(std::countr_zero(rest));
    if (threads[running]->met[lane] > then.warp) left &= ~(1u << lane);
  }
  return left;
}

/// Of the order that the seed decides: 0 for seed 0.
std::uint32_t draw();

/// Ends the turn of the thread that runs, until somebody makes it ready.
void wait(State state, Place place);

/// The thread that runs waits in a warp step that will never be whole.
[[noreturn]] void stop_in_warp_step();

std::string text_of(Place place);  // "layernorm.cu:170"

}  // namespace kernels::simt
