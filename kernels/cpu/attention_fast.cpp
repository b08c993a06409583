// The fast f32 rows of attention. A worker takes one head at a time and walks over blocks of queries, so that only a
// block of rows of S exists at any time. What a product needs along the other axis (the keys, in the backward the
// values too) is transposed into scratch; the rest is read where it lies, a row apart. Heads of other sizes than whole
// vectors, and many tokens, whose rows would fight for the same cache sets, are copied first, padded with zeros.
#include <cmath>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/tile.h"

namespace kernels::cpu {
namespace {

constexpr std::int64_t most_rows = 66;  // queries a block

struct Plan {
  std::int64_t Tq, T, D, tp, dp;  // queries, keys, head size; the last two rounded up to whole vectors
  std::int64_t rows;              // queries a block: blocks of nearly equal size, whole tiles
  bool in_place;                  // one block, heads of whole vectors: rows are read and written where they lie
};

template <class Args>
Plan plan_of(const Args& a) {
  const AttentionSizes s = sizes_of(a);
  const bool sixteen = vectors_of_sixteen();
  const std::int64_t vector = sixteen ? Tile16::lanes : Tile8::lanes, rows = sixteen ? Tile16::rows : Tile8::rows;
  const std::int64_t blocks = (s.Tq + most_rows - 1) / most_rows;
  return {.Tq = s.Tq,
          .T = s.T,
          .D = s.D,
          .tp = round_up(s.T, vector),
          .dp = round_up(s.D, vector),
          .rows = round_up((s.Tq + blocks - 1) / blocks, rows),
          .in_place = std::max(s.Tq, s.T) <= most_rows && s.D % vector == 0};
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
  float* kt;             // (D, tp)      scaled
  float* vt;             // (D, tp)
  float *q, *dout, *dq;  // (Tq, dp)    where not in place
  float *k, *dk, *dv;    // (T, dp)     where not in place
  float* p;              // (rows, tp)   S, then P
  float* ds;             // (rows, tp)   dP, then dS
};

std::int64_t backward_floats(const Plan& p) {
  return round_up(2 * p.D * p.tp + 3 * (p.Tq + p.T) * p.dp + 2 * p.rows * p.tp, 16);
}

BackwardScratch backward_scratch(const Plan& plan, float* base) {
  const std::int64_t across = plan.D * plan.tp, queries = plan.Tq * plan.dp, keys = plan.T * plan.dp;
  float *q = base + 2 * across, *k = q + 3 * queries, *p = k + 3 * keys;
  return {.kt = base,
          .vt = base + across,
          .q = q,
          .dout = q + queries,
          .dq = q + 2 * queries,
          .k = k,
          .dk = k + keys,
          .dv = k + 2 * keys,
          .p = p,
          .ds = p + plan.rows * plan.tp};
}

MAE_VECTOR void multiply_eights(const Product& p) { product<Tile8>(p); }
MAE_VECTOR_OF_SIXTEEN void multiply_sixteens(const Product& p) { product<Tile16>(p); }
void multiply(const Product& p) { vectors_of_sixteen() ? multiply_sixteens(p) : multiply_eights(p); }

// rows of dp elements, filled up with zeros; where they may stay in place, the rows themselves
MAE_VECTOR ConstRows whole_vectors(ConstRows from, std::int64_t count, float* scratch, const Plan& plan) {
  if (plan.in_place) return from;
  for (std::int64_t t = 0; t < count; ++t) {
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
  const std::int64_t filled = round_up(plan.T, lanes);
  for (std::int64_t d = 0; d < plan.D; ++d) std::fill_n(to + d * plan.tp + filled, plan.tp - filled, 0.0f);
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

/// Head h of sample b, one token a row.
Rows head_of(const View& x, const AttentionSizes& s, std::int64_t b, std::int64_t h) {
  return {head_row<float>(x, s, b, 0, h), x.row_stride};
}
ConstRows input(const Rows& rows) { return {rows.at, rows.row}; }

void forward_head(const AttentionForward& a, const Plan& plan, std::int64_t b, std::int64_t h, float* scratch) {
  const AttentionSizes s = sizes_of(a);
  const ForwardScratch w = forward_scratch(plan, scratch);
  transpose_rows(input(head_of(a.k, s, b, h)), static_cast<float>(a.scale), w.kt, plan);
  const ConstRows v = whole_vectors(input(head_of(a.v, s, b, h)), plan.T, w.v, plan);
  const Rows q = head_of(a.q, s, b, h), all = head_of(a.out, s, b, h);
  float* lse = a.lse ? a.lse.row<float>(b * s.H + h) : nullptr;
  for (std::int64_t i = 0; i < plan.Tq; i += plan.rows) {
    const std::int64_t rows = std::min(plan.rows, plan.Tq - i);
    const Rows target{all.at + i * all.row, all.row};
    const Rows out = plan.in_place ? target : Rows{w.out, plan.dp};
    multiply({.a = q.at + i * q.row,
              .a_row = q.row,
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
  const AttentionSizes s = sizes_of(a);
  const std::int64_t tp = plan.tp, rows = std::min(plan.rows, plan.Tq - i);
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
  score_gradients(w.p, w.ds, dout, {head_row<float>(a.out, s, b, i, h), a.out.row_stride},
                  a.lse.row<float>(b * s.H + h) + i, rows, static_cast<float>(a.scale), plan);
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
  const AttentionSizes s = sizes_of(a);
  const BackwardScratch w = backward_scratch(plan, scratch);
  const auto rows = [&](const View& x) { return input(head_of(x, s, b, h)); };
  const auto gradient = [&](const View& x) { return head_of(x, s, b, h); };
  const auto target = [&](const View& x, float* own) { return plan.in_place ? gradient(x) : Rows{own, plan.dp}; };
  transpose_rows(rows(a.k), static_cast<float>(a.scale), w.kt, plan);
  transpose_rows(rows(a.v), 1.0f, w.vt, plan);
  const Head head{.q = whole_vectors(rows(a.q), plan.Tq, w.q, plan),
                  .k = whole_vectors(rows(a.k), plan.T, w.k, plan),
                  .dout = whole_vectors(rows(a.dout), plan.Tq, w.dout, plan),
                  .dq = target(a.dq, w.dq),
                  .dk = target(a.dk, w.dk),
                  .dv = target(a.dv, w.dv)};
  for (std::int64_t i = 0; i < plan.Tq; i += plan.rows) backward_block(a, plan, w, head, b, h, i);
  put_back(w.dq, gradient(a.dq), plan.Tq, plan);
  put_back(w.dk, gradient(a.dk), plan.T, plan);
  put_back(w.dv, gradient(a.dv), plan.T, plan);
}

}  // namespace

std::size_t forward_fast_workspace(const Device& device, const AttentionForward& a) {
  return static_cast<std::size_t>(workers_of(device, sizes_of(a)) * forward_floats(plan_of(a))) * sizeof(float);
}
std::size_t backward_fast_workspace(const Device& device, const AttentionBackward& a) {
  const auto own = static_cast<std::size_t>(workers_of(device, sizes_of(a)) * backward_floats(plan_of(a)));
  return std::max(own * sizeof(float), sum_bias_workspace(device, a));
}

void forward_fast(Stream& stream, const AttentionForward& a, void* scratch) {
  const Plan plan = plan_of(a);
  for_each_head<float>(stream.device(), sizes_of(a), scratch, forward_floats(plan),
                       [&](std::int64_t b, std::int64_t h, float* own) { forward_head(a, plan, b, h, own); });
}

void backward_fast(Stream& stream, const AttentionBackward& a, void* scratch) {
  const Plan plan = plan_of(a);
  for_each_head<float>(stream.device(), sizes_of(a), scratch, backward_floats(plan),
                       [&](std::int64_t b, std::int64_t h, float* own) { backward_head(a, plan, b, h, own); });
  sum_bias(stream, a, scratch);
}

}  // namespace kernels::cpu
