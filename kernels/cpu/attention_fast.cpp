// The fast f32 rows of attention. A worker takes one head at a time: it copies the head's keys, values and so on out of
// the packed rows (3 H D apart) into scratch, padded with zeros to whole vectors, and walks over blocks of queries, so
// that only a block of rows of S exists at any time. All of it stays in the second-level cache.
#include <cmath>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile.h"

namespace kernels::cpu {
namespace {

constexpr std::int64_t most_rows = 66;  // queries a block

struct Plan {
  std::int64_t T, D, tp, dp;  // tokens, head size, both rounded up to whole vectors
  std::int64_t rows;          // queries a block: blocks of nearly equal size, whole tiles
};

Plan plan_of(const View& qkv) {
  const std::int64_t T = qkv.shape[1], D = qkv.shape[4];
  const std::int64_t blocks = (T + most_rows - 1) / most_rows;
  return {T, D, round_up(T, lanes), round_up(D, lanes), round_up((T + blocks - 1) / blocks, tile_rows)};
}

struct ForwardScratch {
  float* kt;   // (D, tp)      scaled
  float* v;    // (T, dp)
  float* s;    // (rows, tp)   S, then exp(S - max)
  float* out;  // (rows, dp)
};

std::int64_t forward_floats(const Plan& p) { return round_up(p.D * p.tp + p.T * p.dp + p.rows * (p.tp + p.dp), 16); }

ForwardScratch forward_scratch(const Plan& p, float* base) {
  float *v = base + p.D * p.tp, *s = v + p.T * p.dp;
  return {.kt = base, .v = v, .s = s, .out = s + p.rows * p.tp};
}

struct BackwardScratch {
  float* kt;    // (D, tp)      scaled
  float* vt;    // (D, tp)
  float* q;     // (T, dp)
  float* k;     // (T, dp)
  float* dout;  // (T, dp)
  float* dk;    // (T, dp)
  float* dv;    // (T, dp)
  float* p;     // (rows, tp)   S, then P
  float* ds;    // (rows, tp)   dP, then dS
  float* dq;    // (rows, dp)
};

std::int64_t backward_floats(const Plan& p) {
  return round_up(2 * p.D * p.tp + 5 * p.T * p.dp + p.rows * (2 * p.tp + p.dp), 16);
}

BackwardScratch backward_scratch(const Plan& plan, float* base) {
  const std::int64_t across = plan.D * plan.tp, along = plan.T * plan.dp, block = plan.rows * plan.tp;
  float *q = base + 2 * across, *p = q + 5 * along;
  return {.kt = base,
          .vt = base + across,
          .q = q,
          .k = q + along,
          .dout = q + 2 * along,
          .dk = q + 3 * along,
          .dv = q + 4 * along,
          .p = p,
          .ds = p + block,
          .dq = p + 2 * block};
}

MAE_VECTOR void multiply(const Product& p) { product(p); }

// to (rows, dp) = rows `from`, `from_row` apart, filled up with zeros
MAE_VECTOR void copy_rows(const float* from, std::int64_t from_row, float* to, const Plan& plan) {
  for (std::int64_t t = 0; t < plan.T; ++t, from += from_row, to += plan.dp) {
    for (std::int64_t d = 0; d < plan.D; ++d) to[d] = from[d];
    for (std::int64_t d = plan.D; d < plan.dp; ++d) to[d] = 0;
  }
}

// to (D, tp) = scale times the transpose of rows `from`, filled up with zeros
MAE_VECTOR void copy_transposed(const float* from, std::int64_t from_row, float scale, float* to, const Plan& plan) {
  transpose(from, from_row, plan.T, plan.D, to, plan.tp);
  for (std::int64_t d = 0; d < plan.D; ++d) {
    for (std::int64_t t = plan.T; t < plan.tp; ++t) to[d * plan.tp + t] = 0;
  }
  for (std::int64_t i = 0; i < plan.D * plan.tp; ++i) to[i] *= scale;
}

struct RowSum {
  float most, sum;
};

// s (T of tp) = exp(s - max), with the maximum and the sum
MAE_VECTOR RowSum exponentials(float* s, const Plan& plan) {
  for (std::int64_t j = plan.T; j < plan.tp; ++j) s[j] = -1e30f;  // whole vectors below: adds nothing to the sum
  Lanes highest = *reinterpret_cast<const Lanes*>(s);
  for (std::int64_t j = lanes; j < plan.tp; j += lanes) {
    const Lanes here = *reinterpret_cast<const Lanes*>(s + j);
    highest = here > highest ? here : highest;
  }
  float most = highest[0], sum = 0;
  for (int i = 1; i < lanes; ++i) most = highest[i] > most ? highest[i] : most;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t j = 0; j < plan.tp; ++j) {
    s[j] = exp_approx(s[j] - most);
    sum += s[j];
  }
  return {most, sum};
}

// p (tp) = exp(s - lse) in place of s, ds = scale p (dp - delta) in place of dp
MAE_VECTOR void score_gradients(float* p, float* ds, float lse, float delta, float scale, std::int64_t tp) {
#pragma omp simd
  for (std::int64_t j = 0; j < tp; ++j) {
    p[j] = exp_approx(p[j] - lse);
    ds[j] = scale * p[j] * (ds[j] - delta);
  }
}

MAE_VECTOR float dot(const float* x, const float* y, std::int64_t D) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t d = 0; d < D; ++d) sum += x[d] * y[d];
  return sum;
}

void forward_head(const AttentionForward& a, const Plan& plan, std::int64_t b, std::int64_t h, float* scratch) {
  const auto [T, D, tp, dp, block] = plan;
  const std::int64_t H = a.qkv.shape[3], step = 3 * H * a.qkv.row_stride;
  const ForwardScratch w = forward_scratch(plan, scratch);
  copy_transposed(packed_row<float>(a.qkv, b, 0, key, h), step, static_cast<float>(a.scale), w.kt, plan);
  copy_rows(packed_row<float>(a.qkv, b, 0, value, h), step, w.v, plan);
  float* lse = a.lse ? a.lse.row<float>(b * H + h) : nullptr;
  RowSum sums[most_rows];
  for (std::int64_t i = 0; i < T; i += block) {
    const std::int64_t rows = std::min(block, T - i);
    const float* q = packed_row<float>(a.qkv, b, i, query, h);
    multiply(
        {.a = q, .a_row = step, .a_k = 1, .b = w.kt, .b_row = tp, .c = w.s, .c_row = tp, .m = rows, .n = tp, .k = D});
    for (std::int64_t r = 0; r < rows; ++r) {
      sums[r] = exponentials(w.s + r * tp, plan);
      if (lse) lse[i + r] = sums[r].most + std::log(sums[r].sum);
    }
    multiply(
        {.a = w.s, .a_row = tp, .a_k = 1, .b = w.v, .b_row = dp, .c = w.out, .c_row = dp, .m = rows, .n = dp, .k = T});
    for (std::int64_t r = 0; r < rows; ++r) {
      float* out = token_row<float>(a.out, b, i + r, h);
      for (std::int64_t d = 0; d < D; ++d) out[d] = w.out[r * dp + d] / sums[r].sum;
    }
  }
}

// One block of queries [i, i + rows): adds to dk and dv, writes dq.
void backward_block(const AttentionBackward& a, const Plan& plan, const BackwardScratch& w, std::int64_t b,
                    std::int64_t h, std::int64_t i) {
  const auto [T, D, tp, dp, block] = plan;
  const std::int64_t rows = std::min(block, T - i);
  const float *q = w.q + i * dp, *dout = w.dout + i * dp, *lse = a.lse.row<float>(b * a.qkv.shape[3] + h);
  multiply({.a = q, .a_row = dp, .a_k = 1, .b = w.kt, .b_row = tp, .c = w.p, .c_row = tp, .m = rows, .n = tp, .k = D});
  multiply(
      {.a = dout, .a_row = dp, .a_k = 1, .b = w.vt, .b_row = tp, .c = w.ds, .c_row = tp, .m = rows, .n = tp, .k = D});
  for (std::int64_t r = 0; r < rows; ++r) {
    const float delta = dot(dout + r * dp, token_row<float>(a.out, b, i + r, h), D);
    score_gradients(w.p + r * tp, w.ds + r * tp, lse[i + r], delta, static_cast<float>(a.scale), tp);
  }
  const bool add = i > 0;
  multiply({.a = w.p,
            .a_row = 1,
            .a_k = tp,
            .b = dout,
            .b_row = dp,
            .c = w.dv,
            .c_row = dp,
            .m = T,
            .n = dp,
            .k = rows,
            .add = add});
  multiply({.a = w.ds,
            .a_row = 1,
            .a_k = tp,
            .b = q,
            .b_row = dp,
            .c = w.dk,
            .c_row = dp,
            .m = T,
            .n = dp,
            .k = rows,
            .add = add});
  multiply(
      {.a = w.ds, .a_row = tp, .a_k = 1, .b = w.k, .b_row = dp, .c = w.dq, .c_row = dp, .m = rows, .n = dp, .k = T});
  for (std::int64_t r = 0; r < rows; ++r) std::copy_n(w.dq + r * dp, D, packed_row<float>(a.dqkv, b, i + r, query, h));
}

void backward_head(const AttentionBackward& a, const Plan& plan, std::int64_t b, std::int64_t h, float* scratch) {
  const std::int64_t H = a.qkv.shape[3], step = 3 * H * a.qkv.row_stride;
  const BackwardScratch w = backward_scratch(plan, scratch);
  const float *k = packed_row<float>(a.qkv, b, 0, key, h), *v = packed_row<float>(a.qkv, b, 0, value, h);
  copy_transposed(k, step, static_cast<float>(a.scale), w.kt, plan);
  copy_transposed(v, step, 1.0f, w.vt, plan);
  copy_rows(packed_row<float>(a.qkv, b, 0, query, h), step, w.q, plan);
  copy_rows(k, step, w.k, plan);
  copy_rows(token_row<float>(a.dout, b, 0, h), H * a.dout.row_stride, w.dout, plan);
  for (std::int64_t i = 0; i < plan.T; i += plan.rows) backward_block(a, plan, w, b, h, i);
  for (std::int64_t t = 0; t < plan.T; ++t) {
    std::copy_n(w.dk + t * plan.dp, plan.D, packed_row<float>(a.dqkv, b, t, key, h));
    std::copy_n(w.dv + t * plan.dp, plan.D, packed_row<float>(a.dqkv, b, t, value, h));
  }
}

}  // namespace

std::size_t forward_fast_workspace(const Device& device, const AttentionForward& a) {
  return static_cast<std::size_t>(workers_of(device, a.qkv) * forward_floats(plan_of(a.qkv))) * sizeof(float);
}
std::size_t backward_fast_workspace(const Device& device, const AttentionBackward& a) {
  return static_cast<std::size_t>(workers_of(device, a.qkv) * backward_floats(plan_of(a.qkv))) * sizeof(float);
}

void forward_fast(Stream& stream, const AttentionForward& a, void* scratch) {
  const Plan plan = plan_of(a.qkv);
  for_each_head<float>(stream.device(), a.qkv, scratch, forward_floats(plan),
                       [&](std::int64_t b, std::int64_t h, float* own) { forward_head(a, plan, b, h, own); });
}

void backward_fast(Stream& stream, const AttentionBackward& a, void* scratch) {
  const Plan plan = plan_of(a.qkv);
  for_each_head<float>(stream.device(), a.qkv, scratch, backward_floats(plan),
                       [&](std::int64_t b, std::int64_t h, float* own) { backward_head(a, plan, b, h, own); });
}

}  // namespace kernels::cpu
