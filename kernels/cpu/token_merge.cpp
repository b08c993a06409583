#include "kernels/token_merge.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tokens.h"

namespace kernels::cpu {
namespace {

template <class T>
void merge_sample(const TokenMergeForward& a, std::int64_t b) {
  const std::int64_t L = a.rank.cols(), K = a.x.shape[1] - 1, C = a.x.cols();
  const std::int32_t* rank = a.rank.row<std::int32_t>(b);
  const auto x = [&](std::int64_t t) { return a.x.row<T>(b * (1 + K) + t); };
  const auto out = [&](std::int64_t t) { return a.out.row<T>(b * (1 + L) + t); };
  std::copy_n(x(0), C, out(0));
  for (std::int64_t l = 0; l < L; ++l) {
    const T* token = rank[l] < K ? x(1 + rank[l]) : a.table.row<T>(l);
    std::copy_n(token, C, out(1 + l));
  }
}

template <class T>
void table_gradient(const TokenMergeBackward& a, std::int64_t l) {
  using Sum = Statistics<T>;
  const std::int64_t B = a.dout.shape[0], L = a.rank.cols(), K = a.ids.cols(), C = a.dout.cols();
  for (std::int64_t c = 0; c < C; ++c) {
    Sum sum = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      if (a.rank.row<std::int32_t>(b)[l] >= K) sum += Sum(a.dout.row<T>(b * (1 + L) + 1 + l)[c]);
    }
    a.dtable.row<T>(l)[c] = T(sum);
  }
}

void merge_forward(Stream&, const TokenMergeForward& a, void*) {
  visit_floating(a.x.dtype,
                 [&]<class T>(T) { parallel_for(a.x.shape[0], [&](std::int64_t b) { merge_sample<T>(a, b); }); });
}

void merge_backward(Stream&, const TokenMergeBackward& a, void*) {
  visit_floating(a.dout.dtype, [&]<class T>(T) {
    if (a.dx) parallel_for(a.dout.shape[0], [&](std::int64_t b) { kept_gradients<T>(a, b); });
    if (a.dtable) parallel_for(a.rank.cols(), [&](std::int64_t l) { table_gradient<T>(a, l); });
  });
}

constexpr Variant<TokenMergeForward> forward_rows[] = {{.name = "reference", .refuses = nullptr, .run = merge_forward}};
constexpr Variant<TokenMergeBackward> backward_rows[] = {
    {.name = "fast", .refuses = is_f64<TokenMergeBackward>, .run = merge_backward_fast},
    {.name = "reference", .refuses = nullptr, .run = merge_backward}};

}  // namespace
}  // namespace kernels::cpu

namespace kernels {
const Rows<TokenMergeForward> TokenMergeForward::cpu{cpu::forward_rows};
const Rows<TokenMergeBackward> TokenMergeBackward::cpu{cpu::backward_rows};
}  // namespace kernels
