#include "kernels/cpu/attention.h"

#include <cmath>

#include "kernels/cpu/widened.h"

namespace kernels::cpu {
namespace {

// The formulas of attention.h, head by head. `p` and `ds` are a worker's scratch.

template <class T>
Statistics<T> dot(const T* x, const T* y, std::int64_t D) {
  using Sum = Statistics<T>;
  Sum sum = 0;
  for (std::int64_t d = 0; d < D; ++d) sum += Sum(x[d]) * Sum(y[d]);
  return sum;
}

// p: (T)
template <class T>
void forward_head(const AttentionForward& a, std::int64_t b, std::int64_t h, Statistics<T>* p) {
  using Sum = Statistics<T>;
  const AttentionSizes s = sizes_of(a);
  for (std::int64_t i = 0; i < s.Tq; ++i) {
    const T* q = head_row<T>(a.q, s, b, i, h);
    for (std::int64_t j = 0; j < s.T; ++j) p[j] = Sum(a.scale) * dot(q, head_row<T>(a.k, s, b, j, h), s.D);
    const Sum most = *std::max_element(p, p + s.T);
    Sum sum = 0;
    for (std::int64_t j = 0; j < s.T; ++j) sum += p[j] = std::exp(p[j] - most);
    T* out = head_row<T>(a.out, s, b, i, h);
    for (std::int64_t d = 0; d < s.D; ++d) {
      Sum average = 0;
      for (std::int64_t j = 0; j < s.T; ++j) average += p[j] * Sum(head_row<T>(a.v, s, b, j, h)[d]);
      out[d] = T(average / sum);
    }
    if (a.lse) a.lse.row<Sum>(b * s.H + h)[i] = most + std::log(sum);
  }
}

// p, ds: (Tq, T)
template <class T>
void probabilities(const AttentionBackward& a, std::int64_t b, std::int64_t h, Statistics<T>* p, Statistics<T>* ds) {
  using Sum = Statistics<T>;
  const AttentionSizes s = sizes_of(a);
  for (std::int64_t i = 0; i < s.Tq; ++i) {
    const T *q = head_row<T>(a.q, s, b, i, h), *dout = head_row<T>(a.dout, s, b, i, h);
    const Sum lse = a.lse.row<Sum>(b * s.H + h)[i], delta = dot(dout, head_row<const T>(a.out, s, b, i, h), s.D);
    for (std::int64_t j = 0; j < s.T; ++j) {
      const Sum score = Sum(a.scale) * dot(q, head_row<T>(a.k, s, b, j, h), s.D);
      const Sum dp = dot(dout, head_row<T>(a.v, s, b, j, h), s.D);
      p[i * s.T + j] = std::exp(score - lse);
      ds[i * s.T + j] = p[i * s.T + j] * (dp - delta);
    }
  }
}

template <class T>
void backward_head(const AttentionBackward& a, std::int64_t b, std::int64_t h, Statistics<T>* p) {
  using Sum = Statistics<T>;
  const AttentionSizes s = sizes_of(a);
  Sum* ds = p + s.Tq * s.T;
  probabilities<T>(a, b, h, p, ds);
  for (std::int64_t d = 0; d < s.D; ++d) {
    for (std::int64_t i = 0; i < s.Tq; ++i) {
      Sum dq = 0;
      for (std::int64_t j = 0; j < s.T; ++j) dq += ds[i * s.T + j] * Sum(head_row<T>(a.k, s, b, j, h)[d]);
      head_row<T>(a.dq, s, b, i, h)[d] = T(Sum(a.scale) * dq);
    }
    for (std::int64_t j = 0; j < s.T; ++j) {
      Sum dk = 0, dv = 0;
      for (std::int64_t i = 0; i < s.Tq; ++i) {
        dk += ds[i * s.T + j] * Sum(head_row<T>(a.q, s, b, i, h)[d]);
        dv += p[i * s.T + j] * Sum(head_row<T>(a.dout, s, b, i, h)[d]);
      }
      head_row<T>(a.dk, s, b, j, h)[d] = T(Sum(a.scale) * dk);
      head_row<T>(a.dv, s, b, j, h)[d] = T(dv);
    }
  }
}

std::int64_t forward_floats(const AttentionForward& a) { return sizes_of(a).T; }
std::int64_t backward_floats(const AttentionBackward& a) { return 2 * sizes_of(a).Tq * sizes_of(a).T; }

std::size_t forward_workspace(const Device& device, const AttentionForward& a) {
  return static_cast<std::size_t>(workers_of(device, sizes_of(a)) * forward_floats(a)) *
         size_of(statistics_of(a.q.dtype));
}
std::size_t backward_workspace(const Device& device, const AttentionBackward& a) {
  const auto own = static_cast<std::size_t>(workers_of(device, sizes_of(a)) * backward_floats(a));
  return std::max(own * size_of(statistics_of(a.q.dtype)), sum_bias_workspace(device, a));
}

void forward_reference(Stream& stream, const AttentionForward& a, void* scratch) {
  visit_floating(a.q.dtype, [&]<class T>(T) {
    using Sum = Statistics<T>;
    for_each_head<Sum>(stream.device(), sizes_of(a), scratch, forward_floats(a),
                       [&](std::int64_t b, std::int64_t h, Sum* p) { forward_head<T>(a, b, h, p); });
  });
}

void backward_reference(Stream& stream, const AttentionBackward& a, void* scratch) {
  visit_floating(a.q.dtype, [&]<class T>(T) {
    using Sum = Statistics<T>;
    for_each_head<Sum>(stream.device(), sizes_of(a), scratch, backward_floats(a),
                       [&](std::int64_t b, std::int64_t h, Sum* p) { backward_head<T>(a, b, h, p); });
  });
  sum_bias(stream, a, scratch);
}

template <class Args>
const char* not_f32(const Device&, const Args& a) {
  return a.q.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<AttentionForward> forward_rows[] = {
    {.name = "fast", .refuses = not_f32<AttentionForward>, .workspace = forward_fast_workspace, .run = forward_fast},
    widened<AttentionForward>,
    {.name = "reference", .refuses = nullptr, .workspace = forward_workspace, .run = forward_reference},
};
constexpr Variant<AttentionBackward> backward_rows[] = {
    {.name = "fast", .refuses = not_f32<AttentionBackward>, .workspace = backward_fast_workspace, .run = backward_fast},
    widened<AttentionBackward>,
    {.name = "reference", .refuses = nullptr, .workspace = backward_workspace, .run = backward_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<AttentionForward> AttentionForward::cpu{cpu::forward_rows};
const Rows<AttentionBackward> AttentionBackward::cpu{cpu::backward_rows};
}  // namespace kernels
