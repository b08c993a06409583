// The fast rows of the backward moves of tokens, f32 and bf16. Their work is sums over samples: of each sum as many
// columns as fit a small buffer are added up row by row, vectorised along the row, by one thread, in order.
#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/tokens.h"

namespace kernels::cpu {
namespace {

constexpr std::int64_t most_columns = 1024;

template <class T>
[[gnu::always_inline]] inline void add_values(const T* row, float* sum, std::int64_t count) {
#pragma omp simd
  for (std::int64_t c = 0; c < count; ++c) sum[c] += row[c];
}
MAE_VECTOR void add_run(const float* row, float* sum, std::int64_t count) { add_values(row, sum, count); }
MAE_VECTOR void add_run(const bf16* row, float* sum, std::int64_t count) { add_values(row, sum, count); }

// sums[r] = (before, if accumulating) + the rows that visit_rows(r, add) hands to add, in order
template <class Out = float, class VisitRows>
void sum_rows(const View& sums, Write mode, VisitRows visit_rows) {
  const std::int64_t C = sums.cols(), blocks = (C + most_columns - 1) / most_columns;
  parallel_for(sums.rows() * blocks, [&](std::int64_t i) {
    const std::int64_t r = i / blocks, first = i % blocks * most_columns, count = std::min(most_columns, C - first);
    float total[most_columns];
    std::fill_n(total, count, 0.0f);
    visit_rows(r, [&](const auto* row) { add_run(row + first, total, count); });
    Out* sum = sums.row<Out>(r) + first;
    for (std::int64_t c = 0; c < count; ++c) sum[c] = Out((mode == Write::accumulate ? sum[c] : 0.0f) + total[c]);
  });
}

template <class T>
void embed_gradients(const TokenEmbedBackward& a) {
  const std::int64_t B = a.dout.shape[0], K = a.dout.shape[1] - 1;
  const auto token = [&](std::int64_t b, std::int64_t t) { return a.dout.row<const T>(b * (1 + K) + t); };
  if (a.dx) embed_dx<T>(a);
  const auto class_tokens = [&](std::int64_t, auto add) {
    for (std::int64_t b = 0; b < B; ++b) add(token(b, 0));
  };
  if (a.dcls) sum_rows(a.dcls, a.parameter_mode, class_tokens);
  if (!a.dpositions) return;
  const std::int64_t class_rows = a.class_position == ClassPosition::first_row ? 1 : 0;
  sum_rows(a.dpositions, a.parameter_mode, [&](std::int64_t r, auto add) {
    if (r < class_rows) return class_tokens(r, add);
    for (std::int64_t b = 0; b < B; ++b) {
      const std::int32_t rank = a.rank.row<std::int32_t>(b)[r - class_rows];
      if (rank < K) add(token(b, 1 + rank));
    }
  });
}

// dx of one sample, and the sum of its masked tokens' gradients; null: not wanted
template <class T>
void scatter_gradient_sample(const TokenScatterBackward& a, std::int64_t b, float* masked) {
  const std::int64_t L = a.rank.cols(), K = a.ids.cols(), C = a.dout.cols();
  const std::int32_t* rank = a.rank.row<std::int32_t>(b);
  if (a.dx) kept_gradients<T>(a, b);
  if (!masked) return;
  std::fill_n(masked, C, 0.0f);
  for (std::int64_t l = 0; l < L; ++l) {
    if (rank[l] >= K) add_run(a.dout.row<const T>(b * (1 + L) + 1 + l), masked, C);
  }
}

template <class T>
void scatter_gradients(const TokenScatterBackward& a, float* masked) {
  const std::int64_t B = a.dout.shape[0], T1 = a.dout.shape[1], C = a.dout.cols();
  if (a.dx || masked) {
    parallel_for(B, [&](std::int64_t b) { scatter_gradient_sample<T>(a, b, masked ? masked + b * C : nullptr); });
  }
  if (masked) {
    sum_rows(a.dmask_token, a.parameter_mode, [&](std::int64_t, auto add) {
      for (std::int64_t b = 0; b < B; ++b) add(masked + b * C);
    });
  }
  if (a.dpositions) {
    sum_rows(a.dpositions, a.parameter_mode, [&](std::int64_t r, auto add) {
      for (std::int64_t b = 0; b < B; ++b) add(a.dout.row<const T>(b * T1 + r));
    });
  }
}

template <class T>
void merge_gradients(const TokenMergeBackward& a) {
  const std::int64_t B = a.dout.shape[0], L = a.rank.cols(), K = a.ids.cols();
  if (a.dx) parallel_for(B, [&](std::int64_t b) { kept_gradients<T>(a, b); });
  if (!a.dtable) return;
  sum_rows<T>(a.dtable, Write::overwrite, [&](std::int64_t l, auto add) {
    for (std::int64_t b = 0; b < B; ++b) {
      if (a.rank.row<std::int32_t>(b)[l] >= K) add(a.dout.row<const T>(b * (1 + L) + 1 + l));
    }
  });
}

}  // namespace

// (B, C): each sample's share of dmask_token
std::size_t scatter_backward_fast_workspace(const Device&, const TokenScatterBackward& a) {
  return a.dmask_token ? static_cast<std::size_t>(a.dout.shape[0] * a.dout.cols()) * sizeof(float) : 0;
}

void embed_backward_fast(Stream&, const TokenEmbedBackward& a, void*) {
  a.dout.dtype == DType::bf16 ? embed_gradients<bf16>(a) : embed_gradients<float>(a);
}

void scatter_backward_fast(Stream&, const TokenScatterBackward& a, void* scratch) {
  float* masked = a.dmask_token ? static_cast<float*>(scratch) : nullptr;
  a.dout.dtype == DType::bf16 ? scatter_gradients<bf16>(a, masked) : scatter_gradients<float>(a, masked);
}

void merge_backward_fast(Stream&, const TokenMergeBackward& a, void*) {
  a.dout.dtype == DType::bf16 ? merge_gradients<bf16>(a) : merge_gradients<float>(a);
}

}  // namespace kernels::cpu
