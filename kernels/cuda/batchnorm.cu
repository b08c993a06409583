// Batch normalisation on CUDA, f32 and bf16.
//
// Both directions: a block of 32 x 32 threads owns 32 columns. A warp is 32 columns of one row, so it reads 64 or 128
// neighbouring bytes; thread (l, c) walks down rows l, l + 32, ... of column c. For a sum over the batch the 32 threads
// of a column leave theirs in shared memory (32, 32), and behind a barrier each of them adds all 32 in order: the same
// bits in each, and no second launch. Every sum has shared memory of its own, 4 KiB, so one barrier a sum is enough.
// Bytes: forward reads x three times in training (mean, variance, y) and once in evaluation, backward dy and x twice. A
// block's columns, B x 128 bytes, are still in the L2 cache then; of memory they are read once, the least possible.
// A grid has C / 32 blocks: it fills a GPU for wide features alone, and what it does is small beside the layer behind
// it.
#include "kernels/batchnorm.h"
#include "kernels/cuda/common.cuh"

namespace kernels::MAE_GPU {
namespace {

constexpr int row_lanes = 32, threads = lanes * row_lanes;

/// Which column a thread owns, and which row it begins at.
struct Place {
  int c, l;
  bool inside;
};
__device__ Place place_of(int C) {
  const int c = static_cast<int>(blockIdx.x) * lanes + static_cast<int>(threadIdx.x) % lanes;
  return {c, static_cast<int>(threadIdx.x) / lanes, c < C};
}

/// The sum over the threads of a column, in each of them. All threads of the block come, those beyond C with 0. The Id
/// is that of its shared memory, good for one sum a kernel.
template <int Id>
__device__ float column_sum(float value) {
  auto sums = shared<float, threads, Id>();  // (row_lanes, lanes)
  sums[threadIdx.x] = value;
  __syncthreads();
  float total = 0;
  for (int l = 0; l < row_lanes; ++l) total += sums[l * lanes + threadIdx.x % lanes];
  return total;
}

struct Statistic {
  const float *running_mean, *running_var;    // (C)
  float *mean, *rstd, *next_mean, *next_var;  // (C); null: not wanted
  float eps, old, fresh, unbiased;            // 1 - momentum, momentum, B / (B - 1)
  bool training;
};

template <class T>
__global__ void __launch_bounds__(threads) forward_kernel(Matrix<const T> x, Matrix<T> y, int B, int C, Statistic s) {
  const Place own = place_of(C);
  float mean = 0, variance = 0;
  if (s.training) {
    if (own.inside) {
      for (int b = own.l; b < B; b += row_lanes) mean += static_cast<float>(x[b][own.c]);
    }
    mean = column_sum<0>(mean) / static_cast<float>(B);
    if (own.inside) {
      for (int b = own.l; b < B; b += row_lanes) {
        const float d = static_cast<float>(x[b][own.c]) - mean;
        variance += d * d;
      }
    }
    variance = column_sum<1>(variance) / static_cast<float>(B);
  }
  if (!own.inside) return;
  if (!s.training) mean = s.running_mean[own.c], variance = s.running_var[own.c];
  const float rstd = 1.0f / sqrtf(variance + s.eps);
  for (int b = own.l; b < B; b += row_lanes) y[b][own.c] = T((static_cast<float>(x[b][own.c]) - mean) * rstd);
  if (own.l != 0) return;
  if (s.mean) s.mean[own.c] = mean;
  if (s.rstd) s.rstd[own.c] = rstd;
  if (!s.next_mean) return;
  s.next_mean[own.c] = s.old * s.running_mean[own.c] + s.fresh * mean;
  s.next_var[own.c] = s.old * s.running_var[own.c] + s.fresh * (variance * s.unbiased);
}

template <class T>
struct BackwardPointers {
  Matrix<const T> dy, x;
  const float *mean, *rstd;  // (C)
  Matrix<T> dx;
  int B, C;
  bool training, accumulate;
};

template <class T>
__global__ void __launch_bounds__(threads) backward_kernel(BackwardPointers<T> a) {
  const Place own = place_of(a.C);
  const float mean = own.inside ? a.mean[own.c] : 0, rstd = own.inside ? a.rstd[own.c] : 0;
  float dy_sum = 0, product_sum = 0;
  if (a.training) {
    if (own.inside) {
      for (int b = own.l; b < a.B; b += row_lanes) {
        const float dy = static_cast<float>(a.dy[b][own.c]);
        dy_sum += dy;
        product_sum += dy * ((static_cast<float>(a.x[b][own.c]) - mean) * rstd);
      }
    }
    dy_sum = column_sum<0>(dy_sum) / static_cast<float>(a.B);
    product_sum = column_sum<1>(product_sum) / static_cast<float>(a.B);
  }
  if (!own.inside) return;
  for (int b = own.l; b < a.B; b += row_lanes) {
    const float dy = static_cast<float>(a.dy[b][own.c]), before = a.accumulate ? static_cast<float>(a.dx[b][own.c]) : 0;
    float g = dy;
    if (a.training) g -= dy_sum + (static_cast<float>(a.x[b][own.c]) - mean) * rstd * product_sum;
    a.dx[b][own.c] = T(before + rstd * g);
  }
}

void forward(Stream& stream, const BatchNormForward& a, void*) {
  const auto B = static_cast<double>(a.x.rows());
  const Statistic s{.running_mean = a.running_mean.as<float>(),
                    .running_var = a.running_var.as<float>(),
                    .mean = a.mean.as<float>(),
                    .rstd = a.rstd.as<float>(),
                    .next_mean = a.next_mean.as<float>(),
                    .next_var = a.next_var.as<float>(),
                    .eps = static_cast<float>(a.eps),
                    .old = static_cast<float>(1 - a.momentum),
                    .fresh = static_cast<float>(a.momentum),
                    .unbiased = static_cast<float>(B / (B - 1)),
                    .training = a.mode == BatchNormMode::training};
  visit(a.x.dtype, [&]<class T>(T) {
    run_kernel(stream, {blocks_for(a.x.cols(), lanes), threads}, forward_kernel<T>, matrix<const T>(a.x),
               matrix<T>(a.y), static_cast<int>(a.x.rows()), static_cast<int>(a.x.cols()), s);
  });
}

void backward(Stream& stream, const BatchNormBackward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    run_kernel(stream, {blocks_for(a.x.cols(), lanes), threads}, backward_kernel<T>,
               BackwardPointers<T>{.dy = matrix<const T>(a.dy),
                                   .x = matrix<const T>(a.x),
                                   .mean = a.mean.as<float>(),
                                   .rstd = a.rstd.as<float>(),
                                   .dx = matrix<T>(a.dx),
                                   .B = static_cast<int>(a.x.rows()),
                                   .C = static_cast<int>(a.x.cols()),
                                   .training = a.mode == BatchNormMode::training,
                                   .accumulate = a.dx_mode == Write::accumulate});
  });
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  return not_f32_or_bf16(a.x);
}

}  // namespace

const Variant<BatchNormForward> forward_rows[] = {
    {.name = "columns", .refuses = refuses<BatchNormForward>, .run = forward}};
const Variant<BatchNormBackward> backward_rows[] = {
    {.name = "columns", .refuses = refuses<BatchNormBackward>, .run = backward}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<BatchNormForward> BatchNormForward::MAE_GPU{MAE_GPU::forward_rows};
const Rows<BatchNormBackward> BatchNormBackward::MAE_GPU{MAE_GPU::backward_rows};
}  // namespace kernels
