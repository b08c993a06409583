// Random masks on CUDA: integers only, the same bits as on the CPU.
//
// count   a thread a patch, 256 patches of one sample a block. The sample's keys go through shared memory in tiles of
//         1024, 4 KiB: each thread makes four of them with one call of Philox, then counts those of the tile that come
//         before its own. All threads read one key at a time, which shared memory hands to a whole warp at once.
//         Keys are stateless, so the blocks of a long sample each make all of them anew: L of MAE's own size is one
//         block and one tile.
//         Bytes: read the draws, write rank and ids: the least possible. L^2 comparisons a sample bound it.
#include <algorithm>

#include "kernels/core/philox.h"
#include "kernels/cuda/common.cuh"
#include "kernels/masking.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int threads = 256;       // patches of one block
constexpr int tile = 4 * threads;  // keys in shared memory

struct Pointers {
  const std::uint32_t* draws;
  std::int32_t *rank, *ids;
  long long draws_stride, rank_stride, ids_stride;
  int L, blocks_a_sample;
  PhiloxKey key;
  std::uint32_t subindex;
};

__global__ void __launch_bounds__(threads) count_kernel(Pointers a) {
  const long long b = blockIdx.x / a.blocks_a_sample;
  const int l = static_cast<int>(blockIdx.x % a.blocks_a_sample) * threads + static_cast<int>(threadIdx.x);
  const std::uint32_t* draw = a.draws + b * a.draws_stride;
  const PhiloxCounter counter{.block = 0, .subindex = a.subindex, .sample = draw[0], .time = draw[1]};
  const std::uint32_t own = philox_word(static_cast<std::uint32_t>(l), counter, a.key);

  auto keys = shared<std::uint32_t, tile, 0>();
  int smaller = 0;
  for (int begin = 0; begin < a.L; begin += tile) {
    PhiloxCounter four = counter;
    four.block = static_cast<std::uint32_t>(begin) / 4 + threadIdx.x;
    const PhiloxWords words = philox(four, a.key);
#pragma unroll
    for (int i = 0; i < 4; ++i) keys[4 * threadIdx.x + i] = words.w[i];
    __syncthreads();
    const int count = l < a.L ? min(tile, a.L - begin) : 0;
    for (int j = 0; j < count; ++j) {
      const std::uint32_t key = keys[j];
      smaller += key < own || (key == own && begin + j < l);
    }
    __syncthreads();
  }
  if (l >= a.L) return;
  a.rank[b * a.rank_stride + l] = smaller;
  a.ids[b * a.ids_stride + smaller] = l;
}

void run(Stream& stream, const MaskRanks& a, void*) {
  const unsigned blocks_a_sample = blocks_for(a.rank.cols(), threads);
  const Pointers p{.draws = a.draws.as<std::uint32_t>(),
                   .rank = a.rank.as<std::int32_t>(),
                   .ids = a.ids.as<std::int32_t>(),
                   .draws_stride = a.draws.row_stride,
                   .rank_stride = a.rank.row_stride,
                   .ids_stride = a.ids.row_stride,
                   .L = static_cast<int>(a.rank.cols()),
                   .blocks_a_sample = static_cast<int>(blocks_a_sample),
                   .key = {.seed = a.seed, .purpose = static_cast<std::uint32_t>(Purpose::mask)},
                   .subindex = a.subindex};
  run_kernel(stream, {static_cast<unsigned>(a.rank.rows()) * blocks_a_sample, threads}, count_kernel, p);
}

}  // namespace

const Variant<MaskRanks> mask_ranks_rows[] = {{.name = "count", .refuses = nullptr, .run = run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<MaskRanks> MaskRanks::MAE_GPU{MAE_GPU::mask_ranks_rows};
}  // namespace kernels
