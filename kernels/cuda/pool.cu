// Pooling of tokens on CUDA, f32 and bf16.
//
// forward   a block of 8 warps has one sample and 32 N of its channels: a lane owns a pack of N (16 bytes where the
// rows
//           allow), a warp every eighth patch token. Shared memory (8 KiB at most) takes what each warp has found, and
//           the first warp adds the eight up in order. The class token alone is the same with a single row to add.
//           Bytes: the rows that count once, out once: the least possible.
// backward  one thread a pack, blocks of 256 threads along a row: sheet.cuh. dout of a sample is read from memory once
//           and by its other tokens from the caches. Bytes: the least possible, but that dx which is added to is
//           written in all rows.
#include "kernels/cuda/sheet.cuh"
#include "kernels/pool.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int pool_warps = 8;

/// The rows of a sample that count, and what each counts for.
struct Counted {
  unsigned tokens, first, count;
  float share;
};
Counted counted(const View& tokens, Pooling pooling) {
  const unsigned all = static_cast<unsigned>(tokens.shape[1]);
  if (pooling == Pooling::cls) return {.tokens = all, .first = 0, .count = 1, .share = 1};
  return {.tokens = all, .first = 1, .count = all - 1, .share = 1 / static_cast<float>(all - 1)};
}

template <class T, int N>
__global__ void __launch_bounds__(lanes* pool_warps)
    forward_kernel(Counted counted, Matrix<const T> x, Matrix<T> out, unsigned strips, int C) {
  constexpr int width = lanes * N;
  auto sums = shared<float, pool_warps * width, 0>();
  const unsigned b = blockIdx.x / strips, warp = threadIdx.x / lanes, own = threadIdx.x % lanes * N;
  const int c = static_cast<int>(blockIdx.x % strips * width + own);
  float sum[N] = {};
  if (c < C) {
    for (unsigned i = warp; i < counted.count; i += pool_warps) {
      float row[N];
      load<T, N>(x[static_cast<long long>(b) * counted.tokens + counted.first + i] + c, row);
#pragma unroll
      for (int n = 0; n < N; ++n) sum[n] += row[n];
    }
  }
#pragma unroll
  for (int n = 0; n < N; ++n) sums[warp * width + own + n] = sum[n];
  __syncthreads();
  if (warp > 0 || c >= C) return;
  for (int w = 1; w < pool_warps; ++w) {
#pragma unroll
    for (int n = 0; n < N; ++n) sum[n] += sums[w * width + own + n];
  }
#pragma unroll
  for (int n = 0; n < N; ++n) sum[n] *= counted.share;
  store<T, N>(out[b] + c, sum);
}

template <class T, int N>
__global__ void __launch_bounds__(sheet_threads)
    backward_kernel(Sheet sheet, Counted counted, Matrix<const T> dout, Matrix<T> dx, bool accumulate) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  const unsigned row = static_cast<unsigned>(spot.row), b = row / counted.tokens, t = row - b * counted.tokens;
  float values[N] = {}, before[N] = {};
  if (t - counted.first < counted.count) load<T, N>(dout[b] + spot.column, values);  // unsigned: below first is above
  if (accumulate) load<T, N>(at(dx, spot), before);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = before[i] + counted.share * values[i];
  store<T, N>(at(dx, spot), values);
}

template <class T, int N>
void forward_packed(Stream& stream, const TokenPoolForward& a) {
  const unsigned strips = blocks_for(a.x.cols(), lanes * N);
  run_kernel(stream, {static_cast<unsigned>(a.out.rows()) * strips, lanes * pool_warps}, forward_kernel<T, N>,
             counted(a.x, a.pooling), matrix<const T>(a.x), matrix<T>(a.out), strips, static_cast<int>(a.x.cols()));
}

template <class T, int N>
void backward_packed(Stream& stream, const TokenPoolBackward& a) {
  const Sheet sheet = sheet_of_rows(N, a.dx);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, backward_kernel<T, N>, sheet, counted(a.dx, a.pooling),
             matrix<const T>(a.dout), matrix<T>(a.dx), a.dx_mode == Write::accumulate);
}

void forward_run(Stream& stream, const TokenPoolForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    wide<T>(a, a.x.cols()) ? forward_packed<T, widest<T>>(stream, a) : forward_packed<T, 1>(stream, a);
  });
}

void backward_run(Stream& stream, const TokenPoolBackward& a, void*) {
  visit(a.dx.dtype, [&]<class T>(T) {
    wide<T>(a, a.dx.cols()) ? backward_packed<T, widest<T>>(stream, a) : backward_packed<T, 1>(stream, a);
  });
}

}  // namespace

const Variant<TokenPoolForward> token_pool_forward_rows[] = {
    {.name = "strips",
     .refuses = [](const Device&, const TokenPoolForward& a) { return not_f32_or_bf16(a.x); },
     .run = forward_run}};
const Variant<TokenPoolBackward> token_pool_backward_rows[] = {
    {.name = "packs",
     .refuses = [](const Device&, const TokenPoolBackward& a) { return not_f32_or_bf16(a.dx); },
     .run = backward_run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<TokenPoolForward> TokenPoolForward::MAE_GPU{MAE_GPU::token_pool_forward_rows};
const Rows<TokenPoolBackward> TokenPoolBackward::MAE_GPU{MAE_GPU::token_pool_backward_rows};
}  // namespace kernels
