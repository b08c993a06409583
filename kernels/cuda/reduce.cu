// Sums on CUDA, f32 and bf16: in two stages and a fixed order, without atomics.
//
// column_sum    columns  One kernel, run twice: over x, cut into at most 64 parts, into a (parts, C) table of partial
//                        sums, then over that table as one part into out; once where x is one part. What a block does:
//                        columns.cuh. Bytes: read x, and at most 512 C bytes of partial sums written and read once.
// squared_norm  blocks   A block of 256 threads a run of 32768 elements, summed in f64 as on the CPU, into one partial
//                        sum; one more block adds those up. Bytes: read x, and 16 bytes a block.
#include "kernels/cuda/columns.cuh"
#include "kernels/reduce.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int threads = 256;

// ---- column_sum -----------------------------------------------------------------------------------------------------

template <class T, int N>
__global__ void __launch_bounds__(column_threads) column_kernel(Columns a, Matrix<const T> x) {
  sum_columns<N>(
      a, [&](long long r, long long c) { return load_pack<T, N>(x[r] + c); },
      [](const Pack<T, N>& row, long long, long long, float(&values)[N]) { widen(row, values); });
}

template <class T, int N>
void sum_packed(Stream& stream, const Columns& a, const View& x) {
  run_kernel(stream, grid_of<N>(a), column_kernel<T, N>, a, matrix<const T>(x));
}

void sum_rows(Stream& stream, const View& x, const Columns& a) {
  visit(x.dtype, [&]<class T>(T) {
    packs(x, widest<T>) ? sum_packed<T, widest<T>>(stream, a, x) : sum_packed<T, 1>(stream, a, x);
  });
}

std::size_t column_sum_workspace(const Device&, const ColumnSum& a) { return table_bytes(a.x.rows(), a.x.cols()); }

void column_sum_run(Stream& stream, const ColumnSum& a, void* scratch) {
  sum_rows(stream, a.x, columns_of(a.x.rows(), a.out, a.mode, scratch));
  const std::int64_t parts = parts_of(a.x.rows());
  if (parts > 1)
    sum_rows(stream, view_of(scratch, DType::f32, {parts, a.x.cols()}), columns_of(parts, a.out, a.mode, nullptr));
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
