// LayerNorm on CUDA, f32 and bf16; the backward in one pass over memory has a file of its own, layernorm_fused.cu.
//
// forward   one warp a row, 4 rows a block of 128 threads. A lane owns packs of N elements (16 bytes where the rows
//           allow), 32 * N apart; the row stays in registers (C <= 1280), so memory is read once. All loads of a row
//           are under way before the first is looked at; gamma and beta come while the lanes add up.
//           Bytes: read x (+ residual), write y (+ sum), 8 bytes of statistics a row: the least possible.
// backward  the same split for dx. dgamma and dbeta in two stages, without atomics: a block adds up 32 columns of 512
//           rows in a fixed order, one part's share of (2, C) sums; a second kernel adds the parts, column by column,
//           in order. dx_sum is then one more "dbeta", with dx in the place of dy. Bytes: dx reads dy and x and writes
//           dx, the least possible; the sums read dy and x once more, dx_sum dx and x, and 8 C bytes a part are written
//           and read once.
#include <algorithm>

#include "kernels/cuda/common.cuh"
#include "kernels/layernorm.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int warps = 4;          // rows in flight in one block
constexpr int widest_row = 1280;  // elements of a row that one warp keeps in registers: ViT-H's width
template <int N, int width = widest_row>
constexpr int held = width / (32 * N);  // packs of N that one lane keeps

// A row as a warp sees it: pack p of lane l starts at element (p * 32 + l) * N.
template <int N>
__device__ int pack_at(int p, int lane) {
  return (p * 32 + lane) * N;
}

struct ForwardPointers {
  const void *x, *residual, *gamma, *beta;
  void *sum, *y;
  float *mean, *rstd;
  long long rows, x_stride, residual_stride, sum_stride, y_stride;
  int C;
  float eps;
};

/// width: at least C.
template <class T, int N, int width>
__global__ void __launch_bounds__(32 * warps) forward_kernel(ForwardPointers a) {
  constexpr int packs = held<N, width>;
  const int lane = threadIdx.x % 32;
  const long long r = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (r >= a.rows) return;
  const auto load_row = [&](const T* row, Pack<T, N>(&to)[packs]) {  // the last pack again where there are no more
#pragma unroll
    for (int p = 0; p < packs; ++p) to[p] = load_pack<T, N>(row + min(pack_at<N>(p, lane), a.C - N));
  };

  Pack<T, N> x[packs], other[packs];
  load_row(static_cast<const T*>(a.x) + r * a.x_stride, x);
  if (a.residual) load_row(static_cast<const T*>(a.residual) + r * a.residual_stride, other);
  float s[packs][N];
  float mean = 0;
#pragma unroll
  for (int p = 0; p < packs; ++p) {
    const int c = pack_at<N>(p, lane);
    widen(x[p], s[p]);
    if (a.residual) {
      float more[N];
      widen(other[p], more);
#pragma unroll
      for (int i = 0; i < N; ++i) s[p][i] = static_cast<float>(T(s[p][i] + more[i]));  // normalise what is stored
      if (c < a.C) store<T, N>(static_cast<T*>(a.sum) + r * a.sum_stride + c, s[p]);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) mean += c < a.C ? s[p][i] : 0.0f;
  }
  Pack<T, N> gamma[packs], beta[packs];
  load_row(static_cast<const T*>(a.gamma), gamma);
  load_row(static_cast<const T*>(a.beta), beta);
  mean = warp_sum(mean) / a.C;

  float variance = 0;
#pragma unroll
  for (int p = 0; p < packs; ++p) {
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const float d = pack_at<N>(p, lane) < a.C ? s[p][i] - mean : 0.0f;
      variance += d * d;
    }
  }
  const float rstd = 1.0f / sqrtf(warp_sum(variance) / a.C + a.eps);

#pragma unroll
  for (int p = 0; p < packs; ++p) {
    const int c = pack_at<N>(p, lane);
    float factor[N], y[N];
    widen(gamma[p], factor), widen(beta[p], y);
#pragma unroll
    for (int i = 0; i < N; ++i) y[i] += (s[p][i] - mean) * rstd * factor[i];
    if (c < a.C) store<T, N>(static_cast<T*>(a.y) + r * a.y_stride + c, y);
  }
  if (lane == 0 && a.mean) a.mean[r] = mean;
  if (lane == 0 && a.rstd) a.rstd[r] = rstd;
}

struct BackwardPointers {
  const void *dy, *x, *gamma;
  const float *mean, *rstd;
  void* dx;
  long long rows, dy_stride, x_stride, dx_stride;
  int C;
  bool accumulate;
};

// dx: as forward, one warp a row
template <class T, int N>
__global__ void __launch_bounds__(32 * warps) dx_kernel(BackwardPointers a) {
  const int lane = threadIdx.x % 32;
  const long long r = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (r >= a.rows) return;
  const T* dy = static_cast<const T*>(a.dy) + r * a.dy_stride;
  const T* x = static_cast<const T*>(a.x) + r * a.x_stride;
  T* dx = static_cast<T*>(a.dx) + r * a.dx_stride;
  const float mean = a.mean[r], rstd = a.rstd[r];

  float g[held<N>][N], n[held<N>][N];
  float average_g = 0, average_gn = 0;
#pragma unroll
  for (int p = 0; p < held<N>; ++p) {
    const int c = pack_at<N>(p, lane);
#pragma unroll
    for (int i = 0; i < N; ++i) g[p][i] = n[p][i] = 0;
    if (c < a.C) {
      float gamma[N];
      load<T, N>(dy + c, g[p]);
      load<T, N>(x + c, n[p]);
      load<T, N>(static_cast<const T*>(a.gamma) + c, gamma);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        g[p][i] *= gamma[i];
        n[p][i] = (n[p][i] - mean) * rstd;
        average_g += g[p][i];
        average_gn += g[p][i] * n[p][i];
      }
    }
  }
  average_g = warp_sum(average_g) / a.C;
  average_gn = warp_sum(average_gn) / a.C;

#pragma unroll
  for (int p = 0; p < held<N>; ++p) {
    const int c = pack_at<N>(p, lane);
    if (c < a.C) {
      float out[N];
#pragma unroll
      for (int i = 0; i < N; ++i) out[i] = 0;
      if (a.accumulate) load<T, N>(dx + c, out);
#pragma unroll
      for (int i = 0; i < N; ++i) out[i] += rstd * (g[p][i] - average_g - n[p][i] * average_gn);
      store<T, N>(dx + c, out);
    }
  }
}

constexpr int columns = 32;       // columns of one block of the first stage; a warp reads 32 neighbours of a row
constexpr int row_lanes = 8;      // rows that such a block has in flight
constexpr int rows_a_part = 512;  // rows of one partial

// Stage 1, grid (column blocks x parts): thread (l, c) adds rows l, l + 8, ... of its part; the 8 lanes are then added
// in order.
template <class T>
__global__ void __launch_bounds__(columns* row_lanes) partial_kernel(BackwardPointers a, float* partial) {
  const int column_blocks = (a.C + columns - 1) / columns;
  const int c = static_cast<int>(blockIdx.x % column_blocks) * columns + threadIdx.x % columns;
  const long long part = blockIdx.x / column_blocks;
  const int l = threadIdx.x / columns;
  const long long end = min(a.rows, (part + 1) * rows_a_part);
  float dgamma = 0, dbeta = 0;
  if (c < a.C) {
    for (long long r = part * rows_a_part + l; r < end; r += row_lanes) {
      const float dy = static_cast<float>(static_cast<const T*>(a.dy)[r * a.dy_stride + c]);
      dgamma += dy * (static_cast<float>(static_cast<const T*>(a.x)[r * a.x_stride + c]) - a.mean[r]) * a.rstd[r];
      dbeta += dy;
    }
  }
  auto sums = shared<float, 2 * columns * row_lanes, 0>();  // (2, row_lanes, columns)
  sums[threadIdx.x] = dgamma;
  sums[columns * row_lanes + threadIdx.x] = dbeta;
  __syncthreads();
  if (l < 2 && c < a.C) {  // the first two warps: one for dgamma, one for dbeta
    float sum = 0;
    for (int i = 0; i < row_lanes; ++i) sum += sums[l * columns * row_lanes + i * columns + threadIdx.x % columns];
    partial[(part * 2 + l) * a.C + c] = sum;
  }
}

// Stage 2: one thread a column, partials (parts, 2, C) added in order. Null dgamma: not wanted.
__global__ void finish_kernel(const float* partial, float* dgamma, float* dbeta, int C, int parts, bool accumulate) {
  const int c = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= C) return;
  float g_sum = 0, b_sum = 0;
  for (int p = 0; p < parts; ++p) {
    g_sum += partial[(p * 2) * C + c];
    b_sum += partial[(p * 2 + 1) * C + c];
  }
  if (dgamma) dgamma[c] = (accumulate ? dgamma[c] : 0.0f) + g_sum;
  dbeta[c] = (accumulate ? dbeta[c] : 0.0f) + b_sum;
}

/// width: of ViT's rows, the first that has C; narrower kernels take fewer registers.
template <class T, int N>
auto forward_kernel_for(int C) {
  if constexpr (N > 1) {
    if (C <= 512) return forward_kernel<T, N, 512>;
    if (C <= 768) return forward_kernel<T, N, 768>;
    if (C <= 1024) return forward_kernel<T, N, 1024>;
  }
  return forward_kernel<T, N, widest_row>;
}

template <class T, int N>
void forward_packed(Stream& stream, const LayerNormForward& a) {
  const ForwardPointers p{.x = a.x.data,
                          .residual = a.residual.data,
                          .gamma = a.gamma.data,
                          .beta = a.beta.data,
                          .sum = a.sum.data,
                          .y = a.y.data,
                          .mean = a.mean.as<float>(),
                          .rstd = a.rstd.as<float>(),
                          .rows = a.x.rows(),
                          .x_stride = a.x.row_stride,
                          .residual_stride = a.residual.row_stride,
                          .sum_stride = a.sum.row_stride,
                          .y_stride = a.y.row_stride,
                          .C = static_cast<int>(a.x.cols()),
                          .eps = static_cast<float>(a.eps)};
  run_kernel(stream, {blocks_for(p.rows, warps), 32 * warps}, forward_kernel_for<T, N>(p.C), p);
}

template <class T, int N>
void dx_packed(Stream& stream, const BackwardPointers& p) {
  run_kernel(stream, {blocks_for(p.rows, warps), 32 * warps}, dx_kernel<T, N>, p);
}

template <class T>
void forward_typed(Stream& stream, const LayerNormForward& a) {
  if (wide<T>(a, a.x.cols())) {
    forward_packed<T, widest<T>>(stream, a);
  } else {
    forward_packed<T, 1>(stream, a);
  }
}

template <class T>
void sums_typed(Stream& stream, const BackwardPointers& p, float* partial, float* dgamma, float* dbeta, Write mode) {
  const unsigned parts = blocks_for(p.rows, rows_a_part);
  run_kernel(stream, {parts * blocks_for(p.C, columns), columns * row_lanes}, partial_kernel<T>, p, partial);
  run_kernel(stream, {blocks_for(p.C, 128), 128}, finish_kernel, partial, dgamma, dbeta, p.C, static_cast<int>(parts),
             mode == Write::accumulate);
}

template <class T>
void backward_typed(Stream& stream, const LayerNormBackward& a, float* partial) {
  const BackwardPointers p{.dy = a.dy.data,
                           .x = a.x.data,
                           .gamma = a.gamma.data,
                           .mean = a.mean.as<float>(),
                           .rstd = a.rstd.as<float>(),
                           .dx = a.dx.data,
                           .rows = a.x.rows(),
                           .dy_stride = a.dy.row_stride,
                           .x_stride = a.x.row_stride,
                           .dx_stride = a.dx.row_stride,
                           .C = static_cast<int>(a.x.cols()),
                           .accumulate = a.dx_mode == Write::accumulate};
  if (a.dx) wide<T>(a, p.C) ? dx_packed<T, widest<T>>(stream, p) : dx_packed<T, 1>(stream, p);
  if (a.dgamma) sums_typed<T>(stream, p, partial, a.dgamma.as<float>(), a.dbeta.as<float>(), a.parameter_mode);
  if (!a.dx_sum) return;
  BackwardPointers of_dx = p;
  of_dx.dy = a.dx.data;
  of_dx.dy_stride = a.dx.row_stride;
  sums_typed<T>(stream, of_dx, partial, nullptr, a.dx_sum.as<float>(), a.sum_mode);
}

void forward_run(Stream& stream, const LayerNormForward& a, void*) {
  a.x.dtype == DType::f32 ? forward_typed<float>(stream, a) : forward_typed<bf16>(stream, a);
}

void backward_run(Stream& stream, const LayerNormBackward& a, void* scratch) {
  auto* partial = static_cast<float*>(scratch);
  a.x.dtype == DType::f32 ? backward_typed<float>(stream, a, partial) : backward_typed<bf16>(stream, a, partial);
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  if (a.x.cols() > widest_row) return "rows of more than 1280 elements do not fit the registers of a warp";
  return not_f32_or_bf16(a.x);
}

std::size_t backward_workspace(const Device&, const LayerNormBackward& a) {
  if (!a.dgamma && !a.dx_sum) return 0;
  return blocks_for(a.x.rows(), rows_a_part) * 2 * static_cast<std::size_t>(a.x.cols()) * sizeof(float);
}

}  // namespace

const Variant<LayerNormForward> forward_rows[] = {
    {.name = "warp", .refuses = refuses<LayerNormForward>, .run = forward_run}};

const Variant<LayerNormBackward> backward_rows[] = {
    row<struct Fused, LayerNormBackward>(),
    {.name = "warp", .refuses = refuses<LayerNormBackward>, .workspace = backward_workspace, .run = backward_run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<LayerNormForward> LayerNormForward::MAE_GPU{MAE_GPU::forward_rows};
const Rows<LayerNormBackward> LayerNormBackward::MAE_GPU{MAE_GPU::backward_rows};
}  // namespace kernels
