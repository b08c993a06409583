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
  const std::int64_t tokens = a.qkv.shape[1], H = a.qkv.shape[3], D = a.qkv.shape[4];
  for (std::int64_t i = 0; i < tokens; ++i) {
    const T* q = packed_row<T>(a.qkv, b, i, query, h);
    for (std::int64_t j = 0; j < tokens; ++j) p[j] = Sum(a.scale) * dot(q, packed_row<T>(a.qkv, b, j, key, h), D);
    const Sum most = *std::max_element(p, p + tokens);
    Sum sum = 0;
    for (std::int64_t j = 0; j < tokens; ++j) sum += p[j] = std::exp(p[j] - most);
    T* out = token_row<T>(a.out, b, i, h);
    for (std::int64_t d = 0; d < D; ++d) {
      Sum average = 0;
      for (std::int64_t j = 0; j < tokens; ++j) average += p[j] * Sum(packed_row<T>(a.qkv, b, j, value, h)[d]);
      out[d] = T(average / sum);
    }
    if (a.lse) a.lse.row<Sum>(b * H + h)[i] = most + std::log(sum);
  }
}

// p, ds: (T, T)
template <class T>
void probabilities(const AttentionBackward& a, std::int64_t b, std::int64_t h, Statistics<T>* p, Statistics<T>* ds) {
  using Sum = Statistics<T>;
  const std::int64_t tokens = a.qkv.shape[1], H = a.qkv.shape[3], D = a.qkv.shape[4];
  for (std::int64_t i = 0; i < tokens; ++i) {
    const T *q = packed_row<T>(a.qkv, b, i, query, h), *dout = token_row<T>(a.dout, b, i, h);
    const Sum lse = a.lse.row<Sum>(b * H + h)[i], delta = dot(dout, token_row<const T>(a.out, b, i, h), D);
    for (std::int64_t j = 0; j < tokens; ++j) {
      const Sum s = Sum(a.scale) * dot(q, packed_row<T>(a.qkv, b, j, key, h), D);
      const Sum dp = dot(dout, packed_row<T>(a.qkv, b, j, value, h), D);
      p[i * tokens + j] = std::exp(s - lse);
      ds[i * tokens + j] = p[i * tokens + j] * (dp - delta);
    }
  }
}

template <class T>
void backward_head(const AttentionBackward& a, std::int64_t b, std::int64_t h, Statistics<T>* p) {
  using Sum = Statistics<T>;
  const std::int64_t tokens = a.qkv.shape[1], D = a.qkv.shape[4];
  Sum* ds = p + tokens * tokens;
  probabilities<T>(a, b, h, p, ds);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t d = 0; d < D; ++d) {
      Sum dq = 0, dk = 0, dv = 0;
      for (std::int64_t u = 0; u < tokens; ++u) {
        dq += ds[t * tokens + u] * Sum(packed_row<T>(a.qkv, b, u, key, h)[d]);
        dk += ds[u * tokens + t] * Sum(packed_row<T>(a.qkv, b, u, query, h)[d]);
        dv += p[u * tokens + t] * Sum(token_row<T>(a.dout, b, u, h)[d]);
      }
      packed_row<T>(a.dqkv, b, t, query, h)[d] = T(Sum(a.scale) * dq);
      packed_row<T>(a.dqkv, b, t, key, h)[d] = T(Sum(a.scale) * dk);
      packed_row<T>(a.dqkv, b, t, value, h)[d] = T(dv);
    }
  }
}

std::int64_t forward_floats(const AttentionForward& a) { return a.qkv.shape[1]; }
std::int64_t backward_floats(const AttentionBackward& a) { return 2 * a.qkv.shape[1] * a.qkv.shape[1]; }

std::size_t forward_workspace(const Device& device, const AttentionForward& a) {
  return static_cast<std::size_t>(workers_of(device, a.qkv) * forward_floats(a)) * size_of(statistics_of(a.qkv.dtype));
}
std::size_t backward_workspace(const Device& device, const AttentionBackward& a) {
  return static_cast<std::size_t>(workers_of(device, a.qkv) * backward_floats(a)) * size_of(statistics_of(a.qkv.dtype));
}

void forward_reference(Stream& stream, const AttentionForward& a, void* scratch) {
  visit_floating(a.qkv.dtype, [&]<class T>(T) {
    using Sum = Statistics<T>;
    for_each_head<Sum>(stream.device(), a.qkv, scratch, forward_floats(a),
                       [&](std::int64_t b, std::int64_t h, Sum* p) { forward_head<T>(a, b, h, p); });
  });
}

void backward_reference(Stream& stream, const AttentionBackward& a, void* scratch) {
  visit_floating(a.qkv.dtype, [&]<class T>(T) {
    using Sum = Statistics<T>;
    for_each_head<Sum>(stream.device(), a.qkv, scratch, backward_floats(a),
                       [&](std::int64_t b, std::int64_t h, Sum* p) { backward_head<T>(a, b, h, p); });
  });
}

template <class Args>
const char* not_f32(const Device&, const Args& a) {
  return a.qkv.dtype == DType::f32 ? nullptr : "this row has f32 only";
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
