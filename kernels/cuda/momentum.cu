// SGD with momentum, and LARS, on CUDA, f32.
//
// factors   one block of 1024 threads a segment. Where the segment has a trust coefficient, it adds up the squares of p
//           and of g in f64: thread t takes elements t, t + 1024, ... of the segment, then the sums go through a tree
//           of warps. Thread 0 works the rest out in f64, narrows it, and writes it into scratch (S).
// update    one thread an element, blocks of 256; the element's segment by a binary search of the bounds, which stay in
//           the nearest cache. Bytes: read gradient, master and moment, write the last two and, for bf16 training, the
//           compute copy: 20 or 22 a parameter, the least possible; 8 more for one with a trust coefficient.
//
// What LARS is for, a linear layer on frozen features, is one segment with trust; a whole model by LARS would have its
// largest segment wait for one block.
#include "kernels/cuda/segments.cuh"
#include "kernels/momentum.h"
#include "kernels/momentum_factors.h"

namespace kernels::MAE_GPU {
namespace {

constexpr unsigned threads = 256;
constexpr int norm_threads = 1024;

struct Factors {
  MomentumFactors<float> of;
  bool frozen;
};

struct FactorInputs {
  const double* schedule;  // (steps, 3)
  long long schedule_stride, steps;
  const unsigned *step, *bounds;  // (1), (S + 1)
  const int* finite;
  const float *clip, *gradient, *master;          // (1), (N), (N)
  const double *lr_scale, *weight_decay, *trust;  // (S)
  double momentum;
};

__global__ void __launch_bounds__(norm_threads) factors_kernel(FactorInputs a, Factors* factors) {
  const unsigned s = blockIdx.x;
  if (*a.finite == 0) return;  // nobody will look
  // a step beyond the schedule stays at its last row
  const double* row = a.schedule + min(static_cast<long long>(*a.step), a.steps - 1) * a.schedule_stride;
  const double lr_scale = a.lr_scale[s], trust = a.trust[s];
  auto f = MomentumFactors<float>::of(*a.clip, row[0] * lr_scale, a.weight_decay[s], a.momentum);
  if (lr_scale != 0 && trust > 0) {
    double p_squares = 0, g_squares = 0;
    const long long end = a.bounds[s + 1];
    for (long long i = a.bounds[s] + threadIdx.x; i < end; i += norm_threads) {
      const float p = a.master[i], g = f.clip * a.gradient[i] + f.decay * p;
      p_squares += static_cast<double>(p) * p;
      g_squares += static_cast<double>(g) * g;
    }
    p_squares = block_sum<norm_threads, 0>(p_squares);
    g_squares = block_sum<norm_threads, 1>(g_squares);
    f.ratio = static_cast<float>(lars_ratio(trust, p_squares, g_squares));
  }
  if (threadIdx.x == 0) factors[s] = {.of = f, .frozen = lr_scale == 0};
}

struct UpdatePointers {
  const float* gradient;
  const Factors* factors;
  const unsigned* bounds;  // (S + 1)
  const int* finite;
  float *master, *moment;
  bf16* compute;
  int S;
  long long N;
};

__global__ void __launch_bounds__(threads) update_kernel(UpdatePointers a) {
  const long long i = static_cast<long long>(blockIdx.x) * threads + threadIdx.x;
  if (i >= a.N || *a.finite == 0) return;
  const Factors& segment = a.factors[segment_of(a.bounds, a.S, i)];
  if (segment.frozen) return;
  const MomentumFactors<float> f = segment.of;
  float p = a.master[i];
  const float g = f.clip * a.gradient[i] + f.decay * p;
  const float m = f.momentum * a.moment[i] + f.ratio * g;
  p -= f.rate * m;
  a.moment[i] = m;
  a.master[i] = p;
  if (a.compute) a.compute[i] = bf16(p);
}

void momentum_run(Stream& stream, const Momentum& a, void* scratch) {
  auto* factors = static_cast<Factors*>(scratch);
  const auto S = static_cast<unsigned>(a.lr_scale.cols());
  run_kernel(stream, {S, norm_threads}, factors_kernel,
             FactorInputs{.schedule = a.schedule.as<double>(),
                          .schedule_stride = a.schedule.row_stride,
                          .steps = a.schedule.rows(),
                          .step = a.step.as<unsigned>(),
                          .bounds = a.bounds.as<unsigned>(),
                          .finite = a.finite.as<int>(),
                          .clip = a.clip.as<float>(),
                          .gradient = a.gradient.as<float>(),
                          .master = a.master.as<float>(),
                          .lr_scale = a.lr_scale.as<double>(),
                          .weight_decay = a.weight_decay.as<double>(),
                          .trust = a.trust.as<double>(),
                          .momentum = a.momentum},
             factors);
  const UpdatePointers p{.gradient = a.gradient.as<float>(),
                         .factors = factors,
                         .bounds = a.bounds.as<unsigned>(),
                         .finite = a.finite.as<int>(),
                         .master = a.master.as<float>(),
                         .moment = a.moment.as<float>(),
                         .compute = a.compute.as<bf16>(),
                         .S = static_cast<int>(S),
                         .N = a.gradient.cols()};
  run_kernel(stream, {blocks_for(p.N, threads), threads}, update_kernel, p);
}

const char* not_f32(const Device&, const Momentum& a) {
  return a.gradient.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

std::size_t momentum_workspace(const Device&, const Momentum& a) {
  return static_cast<std::size_t>(a.lr_scale.cols()) * sizeof(Factors);
}

}  // namespace

const Variant<Momentum> momentum_rows[] = {
    {.name = "elements", .refuses = not_f32, .workspace = momentum_workspace, .run = momentum_run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<Momentum> Momentum::MAE_GPU{MAE_GPU::momentum_rows};
}  // namespace kernels
