// AdamW and the state of training on CUDA, f32.
//
// factors   one thread a segment: what the update needs of lr, weight decay and bias corrections, worked out in f64 and
//           narrowed, into scratch (S).
// update    one thread an element, blocks of 256; the element's segment by a binary search of the bounds, which stay in
//           the nearest cache. Bytes: read gradient, master and both moments, write the last three and, for bf16
//           training, the compute copy: 28 or 30 a parameter, the least possible.
// guard, advance   one thread: a handful of scalars.
#include "kernels/adamw_factors.h"
#include "kernels/cuda/segments.cuh"
#include "kernels/optimizer.h"

namespace kernels::MAE_GPU {
namespace {

constexpr unsigned threads = 256;

struct Factors {
  AdamWFactors<float> of;
  bool frozen;
};

struct FactorInputs {
  const double* schedule;  // (steps, 3)
  long long schedule_stride, steps;
  const unsigned* step;
  const double *lr_scale, *weight_decay;  // (S)
  int S;
  double beta1, beta2, eps;
};

__global__ void __launch_bounds__(threads) factors_kernel(FactorInputs a, Factors* factors) {
  const int s = static_cast<int>(blockIdx.x * threads + threadIdx.x);
  if (s >= a.S) return;
  // a step beyond the schedule stays at its last row
  const double* row = a.schedule + min(static_cast<long long>(*a.step), a.steps - 1) * a.schedule_stride;
  factors[s] = {.of = adamw_factors<float>(row, a.lr_scale[s], a.weight_decay[s], a), .frozen = a.lr_scale[s] == 0};
}

struct UpdatePointers {
  const float* gradient;
  const Factors* factors;
  const unsigned* bounds;  // (S + 1)
  const int* finite;
  const float* clip;
  float *master, *moment1, *moment2;
  bf16* compute;
  int S;
  long long N;
};

__global__ void __launch_bounds__(threads) update_kernel(UpdatePointers a) {
  const long long i = static_cast<long long>(blockIdx.x) * threads + threadIdx.x;
  if (i >= a.N || *a.finite == 0) return;
  const Factors& segment = a.factors[segment_of(a.bounds, a.S, i)];
  if (segment.frozen) return;
  const AdamWFactors<float> f = segment.of;
  const float g = *a.clip * a.gradient[i];
  const float m = f.beta1 * a.moment1[i] + f.fresh1 * g;
  const float v = f.beta2 * a.moment2[i] + f.fresh2 * g * g;
  float p = a.master[i];
  p -= f.decay * p;
  p -= f.rate * m / (sqrtf(v) * f.root + f.eps);
  a.moment1[i] = m;
  a.moment2[i] = v;
  a.master[i] = p;
  if (a.compute) a.compute[i] = bf16(p);
}

__global__ void guard_kernel(const float* loss, const float* squared_norm, int* finite, float* clip, float max_norm) {
  if (threadIdx.x != 0) return;
  const bool good = *finite && isfinite(*loss) && isfinite(*squared_norm);
  *finite = good;
  *clip = good && max_norm > 0 ? fminf(1.0f, max_norm / sqrtf(*squared_norm)) : 1.0f;
}

__global__ void advance_kernel(const float* loss, const int* finite, unsigned* step, float* losses, unsigned ring) {
  if (threadIdx.x != 0 || *finite == 0) return;
  losses[*step % ring] = *loss;
  *step += 1;
}

void adamw_run(Stream& stream, const AdamW& a, void* scratch) {
  auto* factors = static_cast<Factors*>(scratch);
  const int S = static_cast<int>(a.lr_scale.cols());
  run_kernel(stream, {blocks_for(S, threads), threads}, factors_kernel,
             FactorInputs{.schedule = a.schedule.as<double>(),
                          .schedule_stride = a.schedule.row_stride,
                          .steps = a.schedule.rows(),
                          .step = a.step.as<unsigned>(),
                          .lr_scale = a.lr_scale.as<double>(),
                          .weight_decay = a.weight_decay.as<double>(),
                          .S = S,
                          .beta1 = a.beta1,
                          .beta2 = a.beta2,
                          .eps = a.eps},
             factors);
  const UpdatePointers p{.gradient = a.gradient.as<float>(),
                         .factors = factors,
                         .bounds = a.bounds.as<unsigned>(),
                         .finite = a.finite.as<int>(),
                         .clip = a.clip.as<float>(),
                         .master = a.master.as<float>(),
                         .moment1 = a.moment1.as<float>(),
                         .moment2 = a.moment2.as<float>(),
                         .compute = a.compute.as<bf16>(),
                         .S = S,
                         .N = a.gradient.cols()};
  run_kernel(stream, {blocks_for(p.N, threads), threads}, update_kernel, p);
}

void guard_run(Stream& stream, const StepGuard& a, void*) {
  run_kernel(stream, {1, lanes}, guard_kernel, a.loss.as<float>(), a.squared_norm.as<float>(), a.finite.as<int>(),
             a.clip.as<float>(), static_cast<float>(a.max_norm));
}

void advance_run(Stream& stream, const StepAdvance& a, void*) {
  run_kernel(stream, {1, lanes}, advance_kernel, a.loss.as<float>(), a.finite.as<int>(), a.step.as<unsigned>(),
             a.losses.as<float>(), static_cast<unsigned>(a.losses.cols()));
}

const char* is_f64(const View& v) { return v.dtype == DType::f64 ? "this row has f32 only" : nullptr; }

std::size_t adamw_workspace(const Device&, const AdamW& a) {
  return static_cast<std::size_t>(a.lr_scale.cols()) * sizeof(Factors);
}

}  // namespace

const Variant<AdamW> adamw_rows[] = {{.name = "elements",
                                      .refuses = [](const Device&, const AdamW& a) { return is_f64(a.gradient); },
                                      .workspace = adamw_workspace,
                                      .run = adamw_run}};
const Variant<StepGuard> guard_rows[] = {
    {.name = "scalar", .refuses = [](const Device&, const StepGuard& a) { return is_f64(a.loss); }, .run = guard_run}};
const Variant<StepAdvance> advance_rows[] = {
    {.name = "scalar",
     .refuses = [](const Device&, const StepAdvance& a) { return is_f64(a.loss); },
     .run = advance_run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<AdamW> AdamW::MAE_GPU{MAE_GPU::adamw_rows};
const Rows<StepGuard> StepGuard::MAE_GPU{MAE_GPU::guard_rows};
const Rows<StepAdvance> StepAdvance::MAE_GPU{MAE_GPU::advance_rows};
}  // namespace kernels
