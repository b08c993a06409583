#include "kernels/simt/grid.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "kernels/core/check.h"
#include "kernels/simt/bulk_copy.h"
#include "kernels/simt/mbarrier.h"
#include "kernels/simt/shared.h"
#include "kernels/simt/state.h"
#include "kernels/simt/wgmma.h"

namespace kernels::simt {

Index threadIdx, blockIdx, blockDim, gridDim;

Launch* launch = nullptr;
unsigned running = 0;
std::vector<std::unique_ptr<Thread>> threads;

namespace {

constexpr unsigned most_threads = 1024, most_cluster = 8;  // what every GPU with clusters has

std::uint32_t seed = [] {
  const char* text = std::getenv("MAE_SIMT_SEED");
  return text ? static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10)) : 0u;
}();

std::uint32_t draws = 0;  // since the seed was set

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

std::string place_of_launch() {
  if (!launch) return "simt";
  const Running& now = launch->stream.running;
  return std::string("simt, ") + now.kernel + (*now.row ? "=" : "") + now.row;
}

unsigned threads_of_cluster() { return launch->grid.threads * launch->grid.cluster; }

bool all_are(State state, unsigned first, unsigned count) {
  return std::all_of(threads.begin() + first, threads.begin() + first + count,
                     [&](const auto& thread) { return thread->state == state; });
}

/// Of threads that wait at barriers: stops one that has ended, or is elsewhere than the first that waits.
void require_one_barrier(unsigned first, unsigned count) {
  const std::string others = launch->grid.cluster == 1 ? "others of its block" : "others of its block or cluster";
  const Thread* waits = nullptr;
  for (unsigned t = first; t < first + count && !waits; ++t) {
    if (threads[t]->state != State::done) waits = threads[t].get();
  }
  for (unsigned t = first; t < first + count; ++t) {
    become(t);
    if (threads[t]->state == State::done)
      stop("has ended, and " + others + " wait at a barrier, at " + text_of(waits->place));
    if (threads[t]->place != waits->place || threads[t]->state != waits->state)
      stop("is at another barrier than " + others + ", which wait at " + text_of(waits->place), threads[t]->place);
  }
}

void open_barrier(unsigned first, unsigned count) {
  require_one_barrier(first, count);
  for (unsigned t = first; t < first + count; ++t) threads[t]->state = State::ready;
  for (unsigned rank = rank_of(first); rank <= rank_of(first + count - 1); ++rank) ++launch->barriers[rank];
}

/// Nobody can go on: everybody of a block, or of the cluster, is at one barrier, and it opens, or somebody waits for
/// ever.
void open_barriers() {
  const unsigned count = launch->grid.threads, all = threads_of_cluster();
  if (all_are(State::at_cluster_barrier, 0, all)) {
    ++launch->cluster_barriers;
    return open_barrier(0, all);
  }
  bool opened = false;
  for (unsigned first = 0; first < all; first += count) {
    if (!all_are(State::at_barrier, first, count)) continue;
    open_barrier(first, count);
    opened = true;
  }
  if (opened) return;
  for (unsigned t = 0; t < all; ++t) {
    become(t);
    if (threads[t]->state == State::in_warp_step) stop_in_warp_step();
    if (threads[t]->state == State::in_warpgroup) stop_in_warpgroup();
    if (threads[t]->state == State::at_mbarrier) stop_at_mbarrier();
  }
  require_one_barrier(0, all);
}

void run_thread(void*) {
  try {
    launch->body(launch->context);
    threads[running]->state = State::done;
  } catch (...) {
    launch->failure = std::current_exception();
  }
}

void run_cluster(unsigned first_block) {
  const unsigned count = threads_of_cluster();
  launch->first_block = first_block;
  launch->barriers.assign(launch->grid.cluster, 0);
  launch->cluster_barriers = 0;
  begin_shared(launch->grid.shared);
  begin_mbarriers();
  begin_copies();
  begin_products();
  for (unsigned t = 0; t < count; ++t) {
    threads[t]->state = State::ready;
    threads[t]->met = {};
    threads[t]->fiber.start(run_thread, nullptr);
  }
  for (unsigned done = 0; done < count;) {
    const Order order(count);
    bool moved = false;
    for (unsigned i = 0; i < count; ++i) {
      become(order[i]);
      Thread& thread = *threads[running];
      if (thread.state != State::ready) continue;
      thread.fiber.resume();
      if (launch->failure) std::rethrow_exception(launch->failure);
      moved = true;
      done += thread.state == State::done;
    }
    if (!moved && !land_copy()) open_barriers();
  }
  land_copy();  // stops if one is left: everybody has ended
  require_no_products();
}

}  // namespace

void set_seed(std::uint32_t value) {
  seed = value;
  draws = 0;
}

void stop(const std::string& what) {
  throw Error("block " + std::to_string(blockIdx.x) + ", thread " + std::to_string(threadIdx.x) + " " + what,
              place_of_launch());
}

void stop(const std::string& what, Place place) { stop(what + " (" + text_of(place) + ")"); }

std::string text_of(Place place) {
  const std::string file = place.file;
  return file.substr(file.rfind('/') + 1) + ":" + std::to_string(place.line);
}

void wait(State state, Place place) {
  Thread& thread = *threads[running];
  thread.state = state;
  thread.place = place;
  thread.fiber.yield();
}

bool operator==(Place a, Place b) { return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0); }

void block_barrier(Place place) { wait(State::at_barrier, place); }
void cluster_barrier(Place place) { wait(State::at_cluster_barrier, place); }

std::uint32_t draw() {
  if (seed == 0) return 0;
  std::uint64_t x = (static_cast<std::uint64_t>(seed) << 32) + ++draws;  // splitmix64
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return static_cast<std::uint32_t>((x ^ (x >> 31)) >> 16);
}

void become(unsigned t) {
  running = t;
  threadIdx.x = t % launch->grid.threads;
  blockIdx.x = launch->first_block + t / launch->grid.threads;
}

bool has_ended(unsigned rank) { return all_are(State::done, rank * launch->grid.threads, launch->grid.threads); }

void run_grid(Stream& stream, Grid grid, void (*body)(void*), void* context) {
  if (launch) throw Error("a kernel starts a kernel, or two host threads do", place_of_launch());
  Launch mine{
      .stream = stream, .grid = grid, .body = body, .context = context, .warps = {}, .barriers = {}, .failure = {}};
  struct End {
    ~End() { launch = nullptr; }
  } end;
  launch = &mine;
  if (grid.blocks == 0 || grid.threads == 0 || grid.threads > most_threads || grid.threads % warp_lanes != 0)
    throw Error(std::to_string(grid.blocks) + " blocks of " + std::to_string(grid.threads) +
                    " threads: at least one block, and whole warps of at most 1024 threads",
                place_of_launch());
  if (grid.cluster == 0 || grid.cluster > most_cluster || grid.blocks % grid.cluster != 0)
    throw Error(std::to_string(grid.blocks) + " blocks in clusters of " + std::to_string(grid.cluster) +
                    ": whole clusters, of at most 8 blocks",
                place_of_launch());
  const std::size_t most_shared = stream.device().shared_memory;
  if (grid.shared > most_shared)
    throw Error(std::to_string(grid.shared) + " bytes of dynamic shared memory, and a block can have " +
                    std::to_string(most_shared),
                place_of_launch());
  const unsigned warps = grid.threads / warp_lanes;
  stream.running.warps = std::max(stream.running.warps, grid.blocks * warps);
  mine.warps.resize(warps * grid.cluster);
  while (threads.size() < threads_of_cluster()) threads.push_back(std::make_unique<Thread>());
  gridDim.x = grid.blocks;
  blockDim.x = grid.threads;
  const unsigned clusters = grid.blocks / grid.cluster;
  const Order order(clusters);
  for (unsigned i = 0; i < clusters; ++i) run_cluster(order[i] * grid.cluster);
}

}  // namespace kernels::simt
