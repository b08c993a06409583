#include "kernels/matmul_passes.h"

#include "kernels/activation.h"
#include "kernels/reduce.h"

namespace kernels {
namespace {

ColumnSum sums_of(const MatMul& s) { return {.x = s.out, .out = s.column_sum, .mode = s.sum_mode}; }

GeluBackward gelu_backward_of(const MatMul& s) {
  return {.dy = s.out, .x = s.pre, .dx = s.out, .dx_sum = s.column_sum, .sum_mode = s.sum_mode};
}

template <class Args>
std::size_t workspace(const Device& device, const Args& args) {
  return choose(device, args).scratch_bytes(device, args);
}

template <class Args>
void run(Stream& stream, const Args& args, void* scratch, const std::string& row) {
  choose(stream.device(), args, row).run(stream, args, scratch);
}

}  // namespace

MatMul product_of(const MatMul& s) {
  MatMul product = s;
  if (s.activation == Activation::gelu && s.pre) product.out = s.pre;
  product.pre = product.column_sum = {};
  product.activation = Activation::none;
  return product;
}

std::size_t passes_workspace(const Device& device, const MatMul& s) {
  if (!s.column_sum) return 0;
  return s.activation == Activation::gelu_backward ? workspace(device, gelu_backward_of(s))
                                                   : workspace(device, sums_of(s));
}

void run_passes(Stream& stream, const MatMul& s, void* scratch, const std::string& row) {
  if (s.activation == Activation::gelu_backward) return run(stream, gelu_backward_of(s), scratch, row);
  if (s.activation == Activation::gelu) run(stream, GeluForward{.x = s.pre ? s.pre : s.out, .y = s.out}, scratch, row);
  if (s.column_sum) run(stream, sums_of(s), scratch, row);
}

}  // namespace kernels
