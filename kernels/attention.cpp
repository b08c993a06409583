#include "kernels/attention.h"

#include <algorithm>

#include "kernels/elementwise.h"
#include "kernels/reduce.h"

namespace kernels {
namespace {

template <class Args>
void require_heads(const Args& a) {
  require(is_floating(a.q.dtype) && a.q.shape.rank == 3 && a.q.shape.count() > 0, a,
          "q must be (B, Tq, C) in f64, f32 or bf16 and not empty");
  require(a.heads > 0 && a.q.cols() % a.heads == 0, a, "the heads must divide C");
  const auto [B, Tq, T, H, D] = sizes_of(a);
  const Shape keys{B, T, H * D};
  require(a.k.dtype == a.q.dtype && a.k.shape == keys && T > 0, a, "k must be (B, T, C), in the dtype of q");
  require(a.v.dtype == a.q.dtype && a.v.shape == keys, a, "v must have the shape and dtype of k");
  require(a.out.dtype == a.q.dtype && a.out.shape == a.q.shape, a, "out must have the shape and dtype of q");
  require(!a.lse || (a.lse.dtype == statistics_of(a.q.dtype) && a.lse.shape == Shape{B, H, Tq}), a,
          "lse must be (B, H, Tq): f64 for f64 data, else f32");
}

// multiply-adds of one product of a (Tq, T) matrix with a (T, D) one, over all samples and heads
template <class Args>
double products(const Args& a) {
  const auto [B, Tq, T, H, D] = sizes_of(a);
  return static_cast<double>(B * H) * static_cast<double>(Tq * T * D);
}

View row_of_bias(const AttentionBackward& a, int part) {
  auto* data = static_cast<std::byte*>(a.dbias.data);
  const auto bytes = static_cast<std::int64_t>(size_of(a.dbias.dtype)) * a.dbias.row_stride;
  return view_of(data ? data + part * bytes : nullptr, a.dbias.dtype, {a.q.cols()});
}

/// The sum that gives row `part` of dbias: 0 from dq, 2 from dv.
ColumnSum sum_of(const AttentionBackward& a, int part) {
  const View& gradient = part == 0 ? a.dq : a.dv;
  const std::int64_t C = a.q.cols();
  return {.x = view_of(gradient.data, gradient.dtype, {gradient.rows(), C}, gradient.row_stride),
          .out = row_of_bias(a, part),
          .mode = a.bias_mode};
}

}  // namespace

void validate(const AttentionForward& a) { require_heads(a); }

void validate(const AttentionBackward& a) {
  require_heads(a);
  require(bool(a.lse), a, "backward needs the lse that forward wrote");
  require(a.dout.dtype == a.out.dtype && a.dout.shape == a.out.shape, a, "dout must have the shape and dtype of out");
  const auto like = [](const View& d, const View& x) { return d.dtype == x.dtype && d.shape == x.shape; };
  require(like(a.dq, a.q) && like(a.dk, a.k) && like(a.dv, a.v), a, "dq, dk, dv must be like q, k, v");
  require(!a.dbias || (a.dbias.dtype == statistics_of(a.q.dtype) && a.dbias.shape == Shape{3, a.q.cols()}), a,
          "dbias must be (3, C): f64 for f64 data, else f32");
}

Cost cost(const AttentionForward& a) { return {.flops = 4 * products(a), .bytes = field_bytes(a)}; }
Cost cost(const AttentionBackward& a) { return {.flops = 8 * products(a), .bytes = field_bytes(a)}; }

std::size_t sum_bias_workspace(const Device& device, const AttentionBackward& a) {
  if (!a.dbias) return 0;
  const auto bytes = [&](const ColumnSum& sum) { return choose(device, sum).scratch_bytes(device, sum); };
  return std::max(bytes(sum_of(a, 0)), bytes(sum_of(a, 2)));
}

void sum_bias(Stream& stream, const AttentionBackward& a, void* scratch) {
  if (!a.dbias) return;
  for (int part : {0, 2}) {
    const ColumnSum sum = sum_of(a, part);
    choose(stream.device(), sum).run(stream, sum, scratch);
  }
  if (a.bias_mode == Write::accumulate) return;
  const Fill zero{.out = row_of_bias(a, 1)};
  choose(stream.device(), zero).run(stream, zero, nullptr);
}

}  // namespace kernels
