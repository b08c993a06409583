// The fast f32 rows of attention. A worker takes one head at a time and walks over blocks of queries, so that only a
// block of rows of S exists at any time. What a product needs along the other axis (the keys, in the backward the
// values too) is transposed into scratch; the rest is read where it lies, in packed rows 3 H D apart. Heads of other
// sizes than whole vectors, and many tokens, whose rows would fight for the same cache sets, are copied first, padded
// with zeros.
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
  bool in_place;              // one block, heads of whole vectors: rows are read and written where they lie
};

Plan plan_of(const View& qkv) {
  const std::int64_t T = qkv.shape[1], D = qkv.shape[4];
  const std::int64_t blocks = (T + most_rows - 1) / most_rows;
  return {.T = T,
          .D = D,
          .tp = round_up(T, lanes),
          .dp = round_up(D, lanes),
          .rows = round_up((T + blocks - 1) / blocks, tile_rows),
          .in_place = blocks == 1 && D % lanes == 0};
}

/// The rows of one head, one token a row.
template <class T>
struct RowsOf {
  T* at;
  std::int64_t row;  // elements from one to the next
};
using Rows = RowsOf<float>;
using ConstRows = RowsOf<const float>;

struct ForwardScratch {
  float* kt;   // (D, tp)      scaled
  float* v;    // (T, dp)      where not in place
  float* s;    // (rows, tp)   S, then P
  float* out;  // (rows, dp)   where not in place
};

std::int64_t forward_floats(const Plan& p) { return round_up(p.D * p.tp + p.T * p.dp + p.rows * (p.tp + p.dp), 16); }

ForwardScratch forward_scratch(const Plan& p, float* base) {
  float *v = base + p.D * p.tp, *s = v + p.T * p.dp;
  return {.kt = base, .v = v, .s = s, .out = s + p.rows * p.tp};
}

struct BackwardScratch {
  float* kt;            // (D, tp)      scaled
  float* vt;            // (D, tp)
  float *q, *k, *dout;  // (T, dp)      where not in place
  float *dq, *dk, *dv;  // (T, dp)      where not in place
  float* p;             // (rows, tp)   S, then P
  float* ds;            // (rows, tp)   dP, then dS
};

std::int64_t backward_floats(const Plan& p) {
  return round_up(2 * p.D * p.tp + 6 * p.T * p.dp + 2 * p.rows * p.tp, 16);
}

BackwardScratch backward_scratch(const Plan& plan, float* base) {
  const std::int64_t across = plan.D * plan.tp, along = plan.T * plan.dp;
  float *q = base + 2 * across, *p = q + 6 * along;
  return {.kt = base,
          .vt = base + across,
          .q = q,
          .k = q + along,
          .dout = q + 2 * along,
          .dq = q + 3 * along,
          .dk = q + 4 * along,
          .dv = q + 5 * along,
          .p = p,
          .ds = p + plan.rows * plan.tp};
}

MAE_VECTOR void multiply(const Product& p) { product(p); }

// rows of dp elements, filled up with zeros; where they may stay in place, the rows themselves
MAE_VECTOR ConstRows whole_vectors(ConstRows from, float* scratch, const Plan& plan) {
  if (plan.in_place) return from;
  for (std::int64_t t = 0; t < plan.T; ++t) {
    for (std::int64_t d = 0; d < plan.D; ++d) scratch[t * plan.dp + d] = from.at[t * from.row + d];
    for (std::int64_t d = plan.D; d < plan.dp; ++d) scratch[t * plan.dp + d] = 0;
  }
  return {scratch, plan.dp};
}

// the first D of each row of scratch, where the product did not write in place
void put_back(const float* scratch, const Rows& to, std::int64_t count, const Plan& plan) {
  if (plan.in_place) return;
  for (std::int64_t t = 0; t < count; ++t) std::copy_n(scratch + t * plan.dp, plan.D, to.at + t * to.row);
}

// to (D, tp) = scale times the transpose of the rows, filled up with zeros
MAE_VECTOR void transpose_rows(ConstRows from, float scale, float* to, const Plan& plan) {
  transpose(from.at, from.row, plan.T, plan.D, scale, to, plan.tp);
}

// each row of s (rows, tp), of which T count, becomes softmax(s); lse: the logarithms of the sums, or null
MAE_VECTOR void softmax_rows(float* s, std::int64_t rows, float* lse, const Plan& plan) {
  for (std::int64_t r = 0; r < rows; ++r, s += plan.tp) {
    for (std::int64_t j = plan.T; j < plan.tp; ++j) s[j] = -1e30f;  // whole vectors below: adds nothing to the sum
    Lanes highest = load(s);
    for (std::int64_t j = lanes; j < plan.tp; j += lanes) {
      const Lanes next = load(s + j);
      highest = next > highest ? next : highest;
    }
    float most = highest[0], sum = 0;
    for (int i = 1; i < lanes; ++i) most = highest[i] > most ? highest[i] : most;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t j = 0; j < plan.tp; ++j) {
      s[j] = exp_approx(s[j] - most);
      sum += s[j];
    }
    const float share = 1.0f / sum;
#pragma omp simd
    for (std::int64_t j = 0; j < plan.tp; ++j) s[j] *= share;
    if (lse) lse[r] = most + std::log(sum);
  }
}

// for each row: p (tp) = exp(s - lse) in place of s, ds = scale p (dp - dout . out) in place of dp
MAE_VECTOR void score_gradients(float* p, float* ds, ConstRows dout, ConstRows out, const float* lse, std::int64_t rows,
                                float scale, const Plan& plan) {
  for (std::int64_t r = 0; r < rows; ++r, p += plan.tp, ds += plan.tp) {
    const float *x = dout.at + r * dout.row, *y = out.at + r * out.row, log_sum = lse[r];
    float delta = 0;
#pragma omp simd reduction(+ : delta)
    for (std::int64_t d = 0; d < plan.D; ++d) delta += x[d] * y[d];
#pragma omp simd
    for (std::int64_t j = 0; j < plan.tp; ++j) {
      p[j] = exp_approx(p[j] - log_sum);
      ds[j] = scale * p[j] * (ds[j] - delta);
    }
  }
}

void forward_head(const AttentionForward& a, const Plan& plan, std::int64_t b, std::int64_t h, float* scratch) {
  const std::int64_t H = a.qkv.shape[3], step = 3 * H * a.qkv.row_stride, out_step = H * a.out.row_stride;
  const ForwardScratch w = forward_scratch(plan, scratch);
  transpose_rows({packed_row<float>(a.qkv, b, 0, key, h), step}, static_cast<float>(a.scale), w.kt, plan);
  const ConstRows v = whole_vectors({packed_row<float>(a.qkv, b, 0, value, h), step}, w.v, plan);
  float* lse = a.lse ? a.lse.row<float>(b * H + h) : nullptr;
  for (std::int64_t i = 0; i < plan.T; i += plan.rows) {
    const std::int64_t rows = std::min(plan.rows, plan.T - i);
    const Rows target{token_row<float>(a.out, b, i, h), out_step};
    const Rows out = plan.in_place ? target : Rows{w.out, plan.dp};
    multiply({.a = packed_row<float>(a.qkv, b, i, query, h),
              .a_row = step,
              .a_k = 1,
              .b = w.kt,
              .b_row = plan.tp,
              .c = w.s,
              .c_row = plan.tp,
              .m = rows,
              .n = plan.tp,
              .k = plan.D});
    softmax_rows(w.s, rows, lse ? lse + i : nullptr, plan);
    multiply({.a = w.s,
              .a_row = plan.tp,
              .a_k = 1,
              .b = v.at,
              .b_row = v.row,
              .c = out.at,
              .c_row = out.row,
              .m = rows,
              .n = plan.dp,
              .k = plan.T});
    put_back(w.out, target, rows, plan);
  }
}

/// One head of the backward: its rows, in place or copied.
struct Head {
  ConstRows q, k, dout;
  Rows dq, dk, dv;
};

/// sum (T, dp) = or += p^T rows, for one block of queries.
void add_transposed(const float* p, ConstRows rows, std::int64_t count, const Rows& sum, bool add, const Plan& plan) {
  multiply({.a = p,
            .a_row = 1,
            .a_k = plan.tp,
            .b = rows.at,
            .b_row = rows.row,
            .c = sum.at,
            .c_row = sum.row,
            .m = plan.T,
            .n = plan.dp,
            .k = count,
            .start = add ? sum.at : nullptr,
            .start_row = sum.row});
}

// One block of queries [i, i + rows): adds to dk and dv, writes dq.
void backward_block(const AttentionBackward& a, const Plan& plan, const BackwardScratch& w, const Head& head,
                    std::int64_t b, std::int64_t h, std::int64_t i) {
  const std::int64_t H = a.qkv.shape[3], tp = plan.tp, rows = std::min(plan.rows, plan.T - i);
  const ConstRows q{head.q.at + i * head.q.row, head.q.row}, dout{head.dout.at + i * head.dout.row, head.dout.row};
  const auto scores = [&](const ConstRows& x, const float* yt, float* to) {  // (rows, tp) = x y^T
    multiply({.a = x.at,
              .a_row = x.row,
              .a_k = 1,
              .b = yt,
              .b_row = tp,
              .c = to,
              .c_row = tp,
              .m = rows,
              .n = tp,
              .k = plan.D});
  };
  scores(q, w.kt, w.p);
  scores(dout, w.vt, w.ds);
  score_gradients(w.p, w.ds, dout, {token_row<float>(a.out, b, i, h), H * a.out.row_stride},
                  a.lse.row<float>(b * H + h) + i, rows, static_cast<float>(a.scale), plan);
  add_transposed(w.p, dout, rows, head.dv, i > 0, plan);
  add_transposed(w.ds, q, rows, head.dk, i > 0, plan);
  multiply({.a = w.ds,
            .a_row = tp,
            .a_k = 1,
            .b = head.k.at,
            .b_row = head.k.row,
            .c = head.dq.at + i * head.dq.row,
            .c_row = head.dq.row,
            .m = rows,
            .n = plan.dp,
            .k = plan.T});
}

void backward_head(const AttentionBackward& a, const Plan& plan, std::int64_t b, std::int64_t h, float* scratch) {
  const std::int64_t H = a.qkv.shape[3];
  const BackwardScratch w = backward_scratch(plan, scratch);
  const auto rows = [&](Part part) {
    return ConstRows{packed_row<float>(a.qkv, b, 0, part, h), 3 * H * a.qkv.row_stride};
  };
  const auto gradient = [&](Part part) {
    return Rows{packed_row<float>(a.dqkv, b, 0, part, h), 3 * H * a.dqkv.row_stride};
  };
  const auto target = [&](Part part, float* own) { return plan.in_place ? gradient(part) : Rows{own, plan.dp}; };
  transpose_rows(rows(key), static_cast<float>(a.scale), w.kt, plan);
  transpose_rows(rows(value), 1.0f, w.vt, plan);
  const Head head{.q = whole_vectors(rows(query), w.q, plan),
                  .k = whole_vectors(rows(key), w.k, plan),
                  .dout = whole_vectors({token_row<float>(a.dout, b, 0, h), H * a.dout.row_stride}, w.dout, plan),
                  .dq = target(query, w.dq),
                  .dk = target(key, w.dk),
                  .dv = target(value, w.dv)};
  for (std::int64_t i = 0; i < plan.T; i += plan.rows) backward_block(a, plan, w, head, b, h, i);
  put_back(w.dq, gradient(query), plan.T, plan);
  put_back(w.dk, gradient(key), plan.T, plan);
  put_back(w.dv, gradient(value), plan.T, plan);
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
