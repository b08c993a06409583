#include "kernels/attention.h"

namespace kernels {
namespace {

struct Sizes {
  std::int64_t B, T, H, D;
};
Sizes sizes_of(const View& qkv) { return {qkv.shape[0], qkv.shape[1], qkv.shape[3], qkv.shape[4]}; }

template <class Args>
void require_packed(const Args& a) {
  require(is_floating(a.qkv.dtype) && a.qkv.shape.rank == 5 && a.qkv.shape.count() > 0 && a.qkv.shape[2] == 3, a,
          "qkv must be (B, T, 3, H, D) in f64, f32 or bf16 and not empty");
  const auto [B, T, H, D] = sizes_of(a.qkv);
  require(a.out.dtype == a.qkv.dtype && a.out.shape == Shape{B, T, H, D}, a,
          "out must be (B, T, H, D), in the dtype of qkv");
  require(!a.lse || (a.lse.dtype == statistics_of(a.qkv.dtype) && a.lse.shape == Shape{B, H, T}), a,
          "lse must be (B, H, T): f64 for f64 data, else f32");
}

// multiply-adds of one product of a (T, T) matrix with a (T, D) one, over all samples and heads
double products(const View& qkv) {
  const auto [B, T, H, D] = sizes_of(qkv);
  return static_cast<double>(B * H) * static_cast<double>(T * T * D);
}

}  // namespace

void validate(const AttentionForward& a) { require_packed(a); }

void validate(const AttentionBackward& a) {
  require_packed(a);
  require(bool(a.lse), a, "backward needs the lse that forward wrote");
  require(a.dout.dtype == a.out.dtype && a.dout.shape == a.out.shape, a, "dout must have the shape and dtype of out");
  require(a.dqkv.dtype == a.qkv.dtype && a.dqkv.shape == a.qkv.shape, a, "dqkv must have the shape and dtype of qkv");
}

Cost cost(const AttentionForward& a) { return {.flops = 4 * products(a.qkv), .bytes = field_bytes(a)}; }
Cost cost(const AttentionBackward& a) { return {.flops = 8 * products(a.qkv), .bytes = field_bytes(a)}; }

}  // namespace kernels
