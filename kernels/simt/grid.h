// simt: a CUDA grid on the CPU, one block after the other, each thread of a block a fiber. Blocks of one cluster run
// together.
//
// A thread runs until it must wait (barrier, shuffle, vote) or ends; then the next one goes on. Order of clusters, and
// of all their threads in every round, is drawn from the seed (set_seed, or MAE_SIMT_SEED; 0 is the natural order), so
// that a kernel that leans on an order gives other bits.
//
// What a GPU would leave undefined stops the launch with kernels::Error, which names kernel, row, block and thread:
// barriers that not all threads of a block reach; shuffles, votes and products whose lanes disagree on mask or line, or
// read from a lane outside of the mask; and all that shared.h says of shared memory. docs/simt.md has the list.
//
// There is no grid-wide barrier, and a block must not wait for one of another cluster.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/core/stream.h"

namespace kernels::simt {

struct Index {
  unsigned x = 0;
};
extern Index threadIdx, blockIdx, blockDim, gridDim;  // of the thread that runs now; all grids are one-dimensional

/// A line of a kernel.
struct Place {
  const char* file = "";
  int line = 0;
};
bool operator==(Place a, Place b);

inline constexpr unsigned warp_lanes = 32;

struct Grid {
  unsigned blocks, threads;
  std::size_t shared = 0;  // bytes of dynamic shared memory
  unsigned cluster = 1;    // blocks that run together
};

/// Runs body(context) for every thread of the grid. Throws kernels::Error, and what body throws. One host thread at a
/// time can be in here.
void run_grid(Stream& stream, Grid grid, void (*body)(void*), void* context);

void set_seed(std::uint32_t seed);

/// Ends the launch: "simt, <kernel>=<row>: block 3, thread 17 <what> (<file>:<line>)". Break here in a debugger.
[[noreturn]] void stop(const std::string& what);
[[noreturn]] void stop(const std::string& what, Place place);

/// __syncthreads
void block_barrier(Place place);
/// The same for all threads of a cluster.
void cluster_barrier(Place place);

/// What lanes do together. Each lane hands in 8 bytes; all lanes of the mask meet; each gets what it asked for.
enum class WarpStep { sync, shuffle, ballot, mma, ldmatrix, ldmatrix_transposed };
/// shuffle: the value of lane `source`. ballot: bit i is whether lane i's value is not 0. sync and the steps of
/// matrix.h, whose values are pointers to what each lane has: 0.
std::uint64_t meet(WarpStep step, unsigned mask, std::uint64_t value, unsigned source, Place place);

/// When a thread did something.
struct Moment {
  std::uint32_t block = 0;  // barriers before it
  std::uint32_t warp = 0;   // __syncwarps of its warp before it, whoever took part
};

}  // namespace kernels::simt
