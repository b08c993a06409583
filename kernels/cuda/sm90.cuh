// What Hopper has beside the words of common.cuh, for *_sm90.cu: bulk copies of tiles (TMA), the barriers in shared
// memory that they report to, products of whole warpgroups that read shared memory by themselves (wgmma), and clusters
// of blocks, where one copy fills the shared memory of several.
//
//     mbarrier_expect(full, bytes);                       // one thread: these bytes will come
//     bulk_copy(tile, map, row, column, full);            // and lets them come
//     ...
//     mbarrier_wait(full, parity);                        // a warpgroup: they are there
//     wgmma_fence();
//     wgmma<k_down_a, k_down_b>(sums, a, b, adds);        // sums (+)= a b; a, b: kernels/core/matrix_descriptor.h
//     wgmma_commit();
//     wgmma_wait<1>();                                    // all but the last group are done: their tiles are free
//     wgmma_wait_all(sums);                               // now sums may be read
//
// A barrier goes through phases, of parity 0, 1, 0, ...; one ends when as many arrivals have come as it was initialised
// with, and all bytes that they expect. mbarrier_wait(b, p) waits for the end of the phase of parity p; at first the
// one before, of parity 1, counts as ended.
#pragma once

#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {
/// What a tensor map needs of a matrix of bf16.
inline bool fits_tensor_map(const View& v) {
  return v.row_stride % widest<bf16> == 0 && reinterpret_cast<std::size_t>(v.data) % 16 == 0;
}
}  // namespace kernels::MAE_GPU

#if defined(__CUDACC__)
#include "kernels/cuda/nvcc_sm90.cuh"
#else
#include "kernels/simt/words_sm90.h"
#endif
