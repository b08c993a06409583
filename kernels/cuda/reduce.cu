// Sums on CUDA, f32 and bf16: in two stages and a fixed order, without atomics.
//
// column_sum    columns  One kernel, run twice: over x, cut into at most 64 parts, into a (parts, C) table of partial
//                        sums, then over that table as one part into out. In a block of 256 threads, 8 side by side own
//                        a pack of N columns each (16 bytes, so 128 bytes of a row; 32 threads and one column where the
//                        rows allow no packs) and the others the same columns in the next rows; shared memory
//                        (at most 8 KiB) adds up what they found.
//                        Bytes: read x, and at most 512 C bytes of partial sums written and read once.
// squared_norm  blocks   A block of 256 threads a run of 32768 elements, summed in f64 as on the CPU, into one partial
//                        sum; one more block adds those up. Bytes: read x, and 16 bytes a block.
#include <algorithm>

#include "kernels/cuda/common.cuh"
#include "kernels/reduce.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int threads = 256;

// ---- column_sum -----------------------------------------------------------------------------------------------------

template <int N>
constexpr int side_by_side = N == 1 ? 32 : 8;  // threads at one row

// At most 64 parts: the second stage then adds two rows a thread.
long long rows_a_part(const ColumnSum& a) {
  constexpr long long fewest = 64, parts = 64;
  return std::max(fewest, (a.x.rows() + parts - 1) / parts);
}

struct Columns {
  const void* x;
  float* out;  // (parts, C)
  long long rows, stride, rows_a_part, C;
  bool accumulate;
};

// out[part][c] = the sum of part's rows: thread (l, c) adds rows l, l + row_lanes, ...; the lanes are then added in
// order.
template <class T, int N>
__global__ void __launch_bounds__(threads) column_kernel(Columns a) {
  constexpr int width = side_by_side<N> * N, row_lanes = threads / side_by_side<N>;
  const long long column_blocks = (a.C + width - 1) / width;
  const long long first = blockIdx.x % column_blocks * width, part = blockIdx.x / column_blocks;
  const int own = static_cast<int>(threadIdx.x) % side_by_side<N> * N;
  const int l = static_cast<int>(threadIdx.x) / side_by_side<N>;
  float sum[N] = {};
  if (first + own < a.C) {
    const T* x = static_cast<const T*>(a.x) + first + own;
    const long long end = min(a.rows, (part + 1) * a.rows_a_part);
    for (long long r = part * a.rows_a_part + l; r < end; r += row_lanes) {
      float row[N];
      load<T, N>(x + r * a.stride, row);
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] += row[i];
    }
  }
  auto sums = shared<float, row_lanes * width, 0>();  // (row_lanes, width)
#pragma unroll
  for (int i = 0; i < N; ++i) sums[l * width + own + i] = sum[i];
  __syncthreads();
  const int c = static_cast<int>(threadIdx.x);
  if (c >= width || first + c >= a.C) return;
  float total = 0;
  for (int i = 0; i < row_lanes; ++i) total += sums[i * width + c];
  float* out = a.out + part * a.C + first + c;
  *out = (a.accumulate ? *out : 0.0f) + total;
}

template <class T, int N>
void sum_packed(Stream& stream, const Columns& p) {
  const unsigned blocks = blocks_for(p.C, side_by_side<N> * N) * blocks_for(p.rows, p.rows_a_part);
  run_kernel(stream, {blocks, threads}, column_kernel<T, N>, p);
}

template <class T>
void sum_parts(Stream& stream, const View& x, long long rows_a_part, float* out, bool accumulate) {
  const Columns p{.x = x.data,
                  .out = out,
                  .rows = x.rows(),
                  .stride = x.row_stride,
                  .rows_a_part = rows_a_part,
                  .C = x.cols(),
                  .accumulate = accumulate};
  packs(x, widest<T>) ? sum_packed<T, widest<T>>(stream, p) : sum_packed<T, 1>(stream, p);
}

std::size_t column_sum_workspace(const Device&, const ColumnSum& a) {
  return blocks_for(a.x.rows(), rows_a_part(a)) * static_cast<std::size_t>(a.x.cols()) * sizeof(float);
}

void column_sum_run(Stream& stream, const ColumnSum& a, void* scratch) {
  const long long parts = blocks_for(a.x.rows(), rows_a_part(a));
  const View partial = view_of(scratch, DType::f32, {parts, a.x.cols()});
  visit(a.x.dtype, [&]<class T>(T) { sum_parts<T>(stream, a.x, rows_a_part(a), partial.as<float>(), false); });
  sum_parts<float>(stream, partial, parts, a.out.as<float>(), a.mode == Write::accumulate);
}

// ---- squared_norm ---------------------------------------------------------------------------------------------------

constexpr int elements_a_block = 1 << 15;  // ViT-H (6.6e8): 20,000 blocks, 80 partial sums a thread of the last

template <class T, int N>
__global__ void __launch_bounds__(threads) squares_kernel(const T* x, long long count, double* partial) {
  const long long begin = static_cast<long long>(blockIdx.x) * elements_a_block;
  const long long end = min(count, begin + elements_a_block);
  double sum = 0;
  for (long long i = begin + static_cast<int>(threadIdx.x) * N; i < end; i += threads * N) {
    float v[N];
    load<T, N>(x + i, v);
#pragma unroll
    for (int k = 0; k < N; ++k) sum += static_cast<double>(v[k]) * static_cast<double>(v[k]);
  }
  const double total = block_sum<threads, 0>(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

__global__ void __launch_bounds__(threads) total_kernel(const double* partial, long long parts, float* out) {
  double sum = 0;
  for (long long p = threadIdx.x; p < parts; p += threads) sum += partial[p];
  const double total = block_sum<threads, 0>(sum);
  if (threadIdx.x == 0) *out = static_cast<float>(total);
}

std::size_t squared_norm_workspace(const Device&, const SquaredNorm& a) {
  return blocks_for(a.x.cols(), elements_a_block) * sizeof(double);
}

void squared_norm_run(Stream& stream, const SquaredNorm& a, void* scratch) {
  auto* partial = static_cast<double*>(scratch);
  const long long count = a.x.cols();
  const unsigned parts = blocks_for(count, elements_a_block);
  visit(a.x.dtype, [&]<class T>(T) {
    run_kernel(stream, {parts, threads}, packs(a.x, widest<T>) ? squares_kernel<T, widest<T>> : squares_kernel<T, 1>,
               a.x.as<T>(), count, partial);
  });
  run_kernel(stream, {1, threads}, total_kernel, partial, static_cast<long long>(parts), a.out.as<float>());
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  return not_f32_or_bf16(a.x);
}

}  // namespace

const Variant<ColumnSum> column_sum_rows[] = {
    {.name = "columns", .refuses = refuses<ColumnSum>, .workspace = column_sum_workspace, .run = column_sum_run}};
const Variant<SquaredNorm> squared_norm_rows[] = {
    {.name = "blocks", .refuses = refuses<SquaredNorm>, .workspace = squared_norm_workspace, .run = squared_norm_run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<ColumnSum> ColumnSum::MAE_GPU{MAE_GPU::column_sum_rows};
const Rows<SquaredNorm> SquaredNorm::MAE_GPU{MAE_GPU::squared_norm_rows};
}  // namespace kernels
