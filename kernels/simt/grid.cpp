#include "kernels/simt/grid.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <numeric>
#include <vector>

#include "kernels/core/check.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/shared.h"

namespace kernels::simt {

Index threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr unsigned most_threads = 1024;

enum class State { ready, at_barrier, in_warp_step, done };

struct Thread {
  Fiber fiber;
  State state = State::ready;
  Place place;               // of the wait
  std::uint64_t result = 0;  // of the warp step
  std::uint32_t warp_syncs = 0;
};

/// A warp step that some of its lanes have reached.
struct Meeting {
  WarpStep step;
  unsigned mask, arrived;
  std::uint64_t values[warp_lanes];
  unsigned sources[warp_lanes];
};

struct Warp {
  std::vector<Meeting> open;
};

/// One launch. There is one at a time: kernels do not launch kernels.
struct Launch {
  Stream& stream;
  Grid grid;
  void (*body)(void*);
  void* context;
  std::vector<Warp> warps;
  std::uint32_t barriers = 0;
  std::exception_ptr failure;
};

Launch* launch = nullptr;
unsigned running = 0;                          // the thread that runs
std::vector<std::unique_ptr<Thread>> threads;  // kept for the next launch: making stacks takes longer than using them

std::uint32_t seed = [] {
  const char* text = std::getenv("MAE_SIMT_SEED");
  return text ? static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10)) : 0u;
}();

std::uint32_t draws = 0;  // since the seed was set
std::uint32_t draw() {    // 0 for seed 0
  if (seed == 0) return 0;
  std::uint64_t x = (static_cast<std::uint64_t>(seed) << 32) + ++draws;  // splitmix64
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return static_cast<std::uint32_t>((x ^ (x >> 31)) >> 16);
}

/// An order of 0 ... count - 1 without a table: start + i * step, step and count without a common factor.
class Order {
 public:
  explicit Order(unsigned count) : count_(count), start_(draw() % count), step_(1 + draw() % count) {
    while (std::gcd(step_, count_) != 1) ++step_;
  }
  unsigned operator[](unsigned i) const {
    return static_cast<unsigned>((start_ + static_cast<std::uint64_t>(i) * step_) % count_);
  }

 private:
  unsigned count_, start_, step_;
};

std::string text_of(Place place) {
  const std::string file = place.file;
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(place.line);
}

void run_thread(void*) {
  try {
    launch->body(launch->context);
    threads[running]->state = State::done;
  } catch (...) {
    launch->failure = std::current_exception();
  }
}

void wait(State state, Place place) {
  Thread& thread = *threads[running];
  thread.state = state;
  thread.place = place;
  thread.fiber.yield();
}

/// Nobody can go on: everybody is at one barrier, and it opens, or somebody waits for ever.
void open_barrier() {
  const unsigned count = launch->grid.threads;
  for (unsigned t = 0; t < count; ++t) {
    running = threadIdx.x = t;
    if (threads[t]->state == State::in_warp_step)
      stop(
          "waits for lanes that do not come to this warp step: the mask names lanes that have ended or went another "
          "way",
          threads[t]->place);
  }
  const Thread* first = nullptr;
  for (unsigned t = 0; t < count; ++t) {
    if (threads[t]->state == State::at_barrier && !first) first = threads[t].get();
  }
  for (unsigned t = 0; t < count; ++t) {
    running = threadIdx.x = t;
    if (threads[t]->state == State::done) stop("has ended, and others of its block wait at a barrier", first->place);
    if (threads[t]->place.line != first->place.line)
      stop("is at another barrier than others of its block, which wait at " + text_of(first->place), threads[t]->place);
  }
  ++launch->barriers;
  for (unsigned t = 0; t < count; ++t) threads[t]->state = State::ready;
}

void run_block() {
  const unsigned count = launch->grid.threads;
  launch->barriers = 0;
  for (Warp& warp : launch->warps) warp.open.clear();
  begin_shared(launch->grid.shared);
  for (unsigned t = 0; t < count; ++t) {
    threads[t]->state = State::ready;
    threads[t]->warp_syncs = 0;
    threads[t]->fiber.start(run_thread, nullptr);
  }
  for (unsigned done = 0; done < count;) {
    const Order order(count);
    bool moved = false;
    for (unsigned i = 0; i < count; ++i) {
      running = threadIdx.x = order[i];
      Thread& thread = *threads[running];
      if (thread.state != State::ready) continue;
      thread.fiber.resume();
      if (launch->failure) std::rethrow_exception(launch->failure);
      moved = true;
      done += thread.state == State::done;
    }
    if (!moved) open_barrier();
  }
}

void finish(Meeting& meeting, unsigned first_lane) {
  std::uint64_t ballot = 0;
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    if (meeting.mask >> lane & 1u && meeting.values[lane] != 0) ballot |= std::uint64_t{1} << lane;
  }
  for (unsigned lane = 0; lane < warp_lanes; ++lane) {
    if (!(meeting.mask >> lane & 1u)) continue;
    Thread& thread = *threads[first_lane + lane];
    thread.state = State::ready;
    if (meeting.step == WarpStep::shuffle) thread.result = meeting.values[meeting.sources[lane]];
    if (meeting.step == WarpStep::ballot) thread.result = ballot;
    if (meeting.step == WarpStep::sync && meeting.mask == ~0u) ++thread.warp_syncs;
  }
}

std::string hex(unsigned mask) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  return text;
}

}  // namespace

void set_seed(std::uint32_t value) {
  seed = value;
  draws = 0;
}

void stop(const std::string& what) {
  const Running& now = launch->stream.running;
  throw Error("block " + std::to_string(blockIdx.x) + ", thread " + std::to_string(threadIdx.x) + " " + what,
              std::string("simt, ") + now.kernel + (*now.row ? "=" : "") + now.row);
}

void stop(const std::string& what, Place place) { stop(what + " (" + text_of(place) + ")"); }

void block_barrier(Place place) { wait(State::at_barrier, place); }

std::uint64_t meet(WarpStep step, unsigned mask, std::uint64_t value, unsigned source, Place place) {
  const unsigned lane = running % warp_lanes, first_lane = running - lane;
  if (!(mask >> lane & 1u)) stop("is not in its own mask " + hex(mask), place);
  if (!(mask >> source & 1u))
    stop("reads from lane " + std::to_string(source) + ", which mask " + hex(mask) + " leaves out", place);
  std::vector<Meeting>& open = launch->warps[running / warp_lanes].open;
  Meeting* mine = nullptr;
  for (Meeting& meeting : open) {
    if (meeting.mask == mask && meeting.step == step) mine = &meeting;
    else if (meeting.mask & mask)
      stop("comes with mask " + hex(mask) + " while lanes of it wait in a warp step with mask " + hex(meeting.mask),
           place);
  }
  if (!mine) mine = &open.emplace_back(Meeting{.step = step, .mask = mask, .arrived = 0, .values = {}, .sources = {}});
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

Moment now() { return {.block = launch->barriers, .warp = threads[running]->warp_syncs}; }

unsigned threads_of_block() { return launch->grid.threads; }

void run_grid(Stream& stream, Grid grid, void (*body)(void*), void* context) {
  Launch mine{.stream = stream, .grid = grid, .body = body, .context = context, .warps = {}, .failure = {}};
  mine.warps.resize((grid.threads + warp_lanes - 1) / warp_lanes);
  if (grid.blocks == 0 || grid.threads == 0 || grid.threads > most_threads || grid.threads % warp_lanes != 0)
    throw Error(std::to_string(grid.blocks) + " blocks of " + std::to_string(grid.threads) +
                    " threads: at least one block, and whole warps of at most 1024 threads",
                std::string("simt, ") + stream.running.kernel);
  stream.running.warps = std::max(stream.running.warps, grid.blocks * grid.threads / warp_lanes);
  while (threads.size() < grid.threads) threads.push_back(std::make_unique<Thread>());
  launch = &mine;
  gridDim.x = grid.blocks;
  blockDim.x = grid.threads;
  const Order order(grid.blocks);
  for (unsigned i = 0; i < grid.blocks; ++i) {
    blockIdx.x = order[i];
    run_block();
  }
}

}  // namespace kernels::simt
