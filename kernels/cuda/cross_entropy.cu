// The losses of a classifier on CUDA, f32 and bf16.
//
// One warp a sample, 4 samples a block of 128 threads: a batch is small, and blocks should be many. softmax: a lane
// owns packs of N logits (16 bytes where the rows allow), 32 N apart, and passes over them for the maximum, for the
// sums, and for the gradient: from memory once, then from L1 (four rows of 1000 in f32 are 16 KB). sigmoid: a lane owns
// single logits, 32 apart, one pass. A block adds up its losses into one partial sum; one more block adds those up in a
// fixed order (loss.cu). Bytes: logits and targets read once, dlogits written once, 8 bytes a block: the least possible
// but for the last.
#include <cfloat>
#include <limits>

#include "kernels/cross_entropy.h"
#include "kernels/cuda/loss.cuh"

namespace kernels::MAE_GPU {
namespace {

constexpr int loss_warps = 4;
constexpr int loss_threads = lanes * loss_warps;

template <class T>
struct Softmax {
  Matrix<const T> logits;
  Matrix<const std::int32_t> labels;
  const double* lambda;
  const double* class_weight;  // null: all 1
  Matrix<T> dlogits;           // null: not wanted
  unsigned B;
  int K;
  float on, off, factor;  // on: beside off
};

/// The soft target of a sample: off everywhere, and more at its labels.
struct SoftTarget {
  int p, q;  // q: -1 where it has no share
  float off, of_p, of_q, weight;

  __device__ float at(int k) const { return off + (k == p ? of_p : 0.0f) + (k == q ? of_q : 0.0f); }
};

template <class T>
__device__ SoftTarget target_of(const Softmax<T>& a, unsigned b) {
  const float lambda = static_cast<float>(a.lambda[b]);
  const int p = a.labels[b][0], q = lambda != 1.0f ? a.labels[b][1] : -1;
  float weight = 1;
  if (a.class_weight && p >= 0) {
    weight = lambda * static_cast<float>(a.class_weight[p]);
    if (q >= 0) weight += (1.0f - lambda) * static_cast<float>(a.class_weight[q]);
  }
  return {.p = p, .q = q, .off = a.off, .of_p = lambda * a.on, .of_q = (1.0f - lambda) * a.on, .weight = weight};
}

/// The loss of a sample without the factor, in every lane; writes its row of dlogits.
template <class T, int N>
__device__ float softmax_sample(const Softmax<T>& a, unsigned b, int lane) {
  const SoftTarget t = target_of(a, b);
  const bool known = t.p >= 0;
  const T* logits = a.logits[b];
  float z[N], most = -FLT_MAX, sum = 0, expected = 0;
  if (known) {
    for (int k = lane * N; k < a.K; k += lanes * N) {
      load<T, N>(logits + k, z);
#pragma unroll
      for (int i = 0; i < N; ++i) most = fmaxf(most, z[i]);
    }
    most = warp_max(most);
    for (int k = lane * N; k < a.K; k += lanes * N) {
      load<T, N>(logits + k, z);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        sum += expf(z[i] - most);
        expected += t.at(k + i) * (z[i] - most);
      }
    }
    sum = warp_sum(sum), expected = warp_sum(expected);
  }
  const float scale = a.factor * t.weight, share = known ? scale / sum : 0.0f;
  for (int k = lane * N; a.dlogits.data && k < a.K; k += lanes * N) {
    float dz[N] = {};
    if (known) {
      load<T, N>(logits + k, z);
#pragma unroll
      for (int i = 0; i < N; ++i) dz[i] = share * expf(z[i] - most) - scale * t.at(k + i);
    }
    store<T, N>(a.dlogits[b] + k, dz);
  }
  return known ? t.weight * (logf(sum) - expected) : 0.0f;
}

template <class T, int N>
__global__ void __launch_bounds__(loss_threads) softmax_kernel(Softmax<T> a, float* partial) {
  const unsigned b = blockIdx.x * loss_warps + threadIdx.x / lanes;
  const int lane = static_cast<int>(threadIdx.x % lanes);
  float loss = b < a.B ? softmax_sample<T, N>(a, b, lane) : 0.0f;
  const float sum = block_sum<loss_threads, 0>(lane == 0 ? loss : 0.0f);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class T>
struct Sigmoid {
  Matrix<const T> logits;
  Matrix<const std::int32_t> targets;
  const double* weight;  // null: all 1
  Matrix<T> dlogits;     // null: not wanted
  unsigned B;
  int K;
  float factor;
};

/// The lane's share of the loss of a sample, without the factor; writes its part of dlogits.
template <class T>
__device__ float sigmoid_sample(const Sigmoid<T>& a, unsigned b, int lane) {
  float loss = 0;
  for (int k = lane; k < a.K; k += lanes) {
    const int target = a.targets[b][k];
    float dz = 0;
    if (target >= 0) {
      const float z = static_cast<float>(a.logits[b][k]), t = static_cast<float>(target);
      const float small = expf(-fabsf(z)), weight = a.weight ? static_cast<float>(a.weight[k]) : 1.0f;
      loss += weight * (fmaxf(z, 0.0f) - t * z + log1pf(small));
      dz = a.factor * weight * ((z < 0 ? small : 1.0f) / (1.0f + small) - t);
    }
    if (a.dlogits.data) a.dlogits[b][k] = T(dz);
  }
  return loss;
}

template <class T>
__global__ void __launch_bounds__(loss_threads) sigmoid_kernel(Sigmoid<T> a, float* partial) {
  const unsigned b = blockIdx.x * loss_warps + threadIdx.x / lanes;
  const float loss = b < a.B ? sigmoid_sample(a, b, static_cast<int>(threadIdx.x % lanes)) : 0.0f;
  const float sum = block_sum<loss_threads, 0>(loss);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

template <class Args>
unsigned blocks_of(const Args& a) {
  return blocks_for(a.logits.shape[0], loss_warps);
}

void softmax_run(Stream& stream, const SoftmaxCrossEntropy& a, void* scratch) {
  float* partial = static_cast<float*>(scratch);
  visit(a.logits.dtype, [&]<class T>(T) {
    const Softmax<T> p{.logits = matrix<const T>(a.logits),
                       .labels = matrix<const std::int32_t>(a.labels),
                       .lambda = a.lambda.as<const double>(),
                       .class_weight = a.class_weight.as<const double>(),
                       .dlogits = matrix<T>(a.dlogits),
                       .B = static_cast<unsigned>(a.logits.shape[0]),
                       .K = static_cast<int>(a.logits.cols()),
                       .on = static_cast<float>(1 - a.smoothing),
                       .off = static_cast<float>(a.smoothing / static_cast<double>(a.logits.cols())),
                       .factor = static_cast<float>(a.factor)};
    const bool packed = packs(a.logits, widest<T>) && (!a.dlogits || packs(a.dlogits, widest<T>));
    run_kernel(stream, {blocks_of(a), loss_threads}, packed ? softmax_kernel<T, widest<T>> : softmax_kernel<T, 1>, p,
               partial);
  });
  add_up_loss(stream, partial, blocks_of(a), a.loss, a.factor, a.mode);
}

void sigmoid_run(Stream& stream, const SigmoidCrossEntropy& a, void* scratch) {
  float* partial = static_cast<float*>(scratch);
  visit(a.logits.dtype, [&]<class T>(T) {
    const Sigmoid<T> p{.logits = matrix<const T>(a.logits),
                       .targets = matrix<const std::int32_t>(a.targets),
                       .weight = a.weight.as<const double>(),
                       .dlogits = matrix<T>(a.dlogits),
                       .B = static_cast<unsigned>(a.logits.shape[0]),
                       .K = static_cast<int>(a.logits.cols()),
                       .factor = static_cast<float>(a.factor)};
    run_kernel(stream, {blocks_of(a), loss_threads}, sigmoid_kernel<T>, p, partial);
  });
  add_up_loss(stream, partial, blocks_of(a), a.loss, a.factor, a.mode);
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  if (const char* reason = not_f32_or_bf16(a.logits)) return reason;
  return a.logits.shape.count() <= std::numeric_limits<int>::max() ? nullptr : "this row has at most 2^31 - 1 logits";
}

template <class Args>
std::size_t workspace(const Device&, const Args& a) {
  return blocks_of(a) * sizeof(float);
}

}  // namespace

const Variant<SoftmaxCrossEntropy> softmax_cross_entropy_rows[] = {{.name = "warp",
                                                                    .refuses = refuses<SoftmaxCrossEntropy>,
                                                                    .workspace = workspace<SoftmaxCrossEntropy>,
                                                                    .run = softmax_run}};
const Variant<SigmoidCrossEntropy> sigmoid_cross_entropy_rows[] = {{.name = "warp",
                                                                    .refuses = refuses<SigmoidCrossEntropy>,
                                                                    .workspace = workspace<SigmoidCrossEntropy>,
                                                                    .run = sigmoid_run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<SoftmaxCrossEntropy> SoftmaxCrossEntropy::MAE_GPU{MAE_GPU::softmax_cross_entropy_rows};
const Rows<SigmoidCrossEntropy> SigmoidCrossEntropy::MAE_GPU{MAE_GPU::sigmoid_cross_entropy_rows};
}  // namespace kernels
