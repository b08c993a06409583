#include "kernels/cpu/tokens.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace kernels::cpu {
namespace {

template <class T>
void add_rows(const T* x, const T* y, std::int64_t C, T* out) {
  for (std::int64_t c = 0; c < C; ++c) out[c] = T(Statistics<T>(x[c]) + Statistics<T>(y[c]));
}

// The same, vectorised, for the fast rows; all else of a forward row is copies of rows, which both kinds share.
MAE_VECTOR void add_rows_fast(const float* x, const float* y, std::int64_t C, float* out) {
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) out[c] = x[c] + y[c];
}
MAE_VECTOR void add_rows_fast(const bf16* x, const bf16* y, std::int64_t C, bf16* out) {
#pragma omp simd
  for (std::int64_t c = 0; c < C; ++c) out[c].bits = bf16(x[c] + y[c]).bits;  // bits alone are vectorised
}

template <class T>
using AddRows = void (*)(const T*, const T*, std::int64_t, T*);

// sums[r] = (before, if accumulating) + the sum over samples b, in order, of the sum of the rows that
// visit_rows(b, r, add) hands to add, in order. Blocks of columns are shared out to threads; each is summed by one.
template <class T, class VisitRows>
void sum_over_samples(const View& sums, Write mode, std::int64_t B, VisitRows visit_rows) {
  using Sum = Statistics<T>;
  constexpr std::int64_t block = 64;
  const std::int64_t C = sums.cols(), blocks = (C + block - 1) / block;
  parallel_for(sums.rows() * blocks, [&](std::int64_t i) {
    const std::int64_t r = i / blocks, first = i % blocks * block, count = std::min(block, C - first);
    Sum total[block] = {};
    for (std::int64_t b = 0; b < B; ++b) {
      Sum sample[block] = {};
      visit_rows(b, r, [&](const T* row) {
        for (std::int64_t c = 0; c < count; ++c) sample[c] += Sum(row[first + c]);
      });
      for (std::int64_t c = 0; c < count; ++c) total[c] += sample[c];
    }
    Sum* sum = sums.row<Sum>(r) + first;
    for (std::int64_t c = 0; c < count; ++c) sum[c] = (mode == Write::accumulate ? sum[c] : Sum(0)) + total[c];
  });
}

template <class T>
void gather_sample(const TokenGatherForward& a, std::int64_t b) {
  const std::int64_t K = a.out.shape[1], C = a.x.cols(), patches = b * a.x.shape[1] + a.class_tokens;
  const std::int32_t* ids = a.ids.row<std::int32_t>(b);
  for (std::int64_t k = 0; k < K; ++k) std::copy_n(a.x.row<T>(patches + ids[k]), C, a.out.row<T>(b * K + k));
}

template <class T, AddRows<T> add_rows>
void gather_gradient_sample(const TokenGatherBackward& a, std::int64_t b) {
  const std::int64_t tokens = a.dx.shape[1], K = a.dout.shape[1], C = a.dx.cols();
  const std::int32_t* rank = a.rank.row<std::int32_t>(b);
  for (std::int64_t t = 0; t < tokens; ++t) {
    const std::int64_t k = t < a.class_tokens ? -1 : rank[t - a.class_tokens] - a.first_rank;
    T* dx = a.dx.row<T>(b * tokens + t);
    if (a.dx_mode == Write::overwrite) std::fill_n(dx, C, T{});
    if (0 <= k && k < K) add_rows(dx, a.dout.row<T>(b * K + k), C, dx);
  }
}

template <class T, AddRows<T> add_rows>
void embed_sample(const TokenEmbedForward& a, std::int64_t b) {
  const std::int64_t K = a.ids.cols(), C = a.x.cols(), patches = (b + 1) * a.x.shape[1] - K;
  const std::int32_t* ids = a.ids.row<std::int32_t>(b);
  const bool class_row = a.class_position == ClassPosition::first_row;
  const T* cls = a.cls ? a.cls.as<T>() : a.x.row<T>(patches - 1);
  T* out = a.out.row<T>(b * (1 + K));
  if (class_row) add_rows(cls, a.positions.row<T>(0), C, out);
  else std::copy_n(cls, C, out);
  for (std::int64_t k = 0; k < K; ++k) {
    add_rows(a.x.row<T>(patches + k), a.positions.row<T>(class_row + ids[k]), C, a.out.row<T>(b * (1 + K) + 1 + k));
  }
}

template <class T>
void embed_gradients(const TokenEmbedBackward& a) {
  const std::int64_t B = a.dout.shape[0], K = a.dout.shape[1] - 1;
  const auto token = [&](std::int64_t b, std::int64_t t) { return a.dout.row<T>(b * (1 + K) + t); };
  if (a.dx) embed_dx<T>(a);
  if (a.dcls) {
    sum_over_samples<T>(a.dcls, a.parameter_mode, B, [&](std::int64_t b, std::int64_t, auto add) { add(token(b, 0)); });
  }
  if (a.dpositions) {
    const std::int64_t class_rows = a.class_position == ClassPosition::first_row ? 1 : 0;
    sum_over_samples<T>(a.dpositions, a.parameter_mode, B, [&](std::int64_t b, std::int64_t r, auto add) {
      if (r < class_rows) return add(token(b, 0));
      const std::int32_t rank = a.rank.row<std::int32_t>(b)[r - class_rows];
      if (rank < K) add(token(b, 1 + rank));
    });
  }
}

template <class T, AddRows<T> add_rows>
void scatter_sample(const TokenScatterForward& a, std::int64_t b) {
  const std::int64_t L = a.rank.cols(), K = a.x.shape[1] - 1, C = a.x.cols();
  const std::int32_t* rank = a.rank.row<std::int32_t>(b);
  const auto x = [&](std::int64_t t) { return a.x.row<T>(b * (1 + K) + t); };
  const auto out = [&](std::int64_t t) { return a.out.row<T>(b * (1 + L) + t); };
  add_rows(x(0), a.positions.row<T>(0), C, out(0));
  for (std::int64_t l = 0; l < L; ++l) {
    const T* token = rank[l] < K ? x(1 + rank[l]) : a.mask_token.as<T>();
    add_rows(token, a.positions.row<T>(1 + l), C, out(1 + l));
  }
}

template <class T>
void scatter_gradients(const TokenScatterBackward& a) {
  const std::int64_t B = a.dout.shape[0], L = a.rank.cols(), K = a.ids.cols();
  const auto token = [&](std::int64_t b, std::int64_t t) { return a.dout.row<T>(b * (1 + L) + t); };
  if (a.dx) parallel_for(B, [&](std::int64_t b) { kept_gradients<T>(a, b); });
  if (a.dmask_token) {
    sum_over_samples<T>(a.dmask_token, a.parameter_mode, B, [&](std::int64_t b, std::int64_t, auto add) {
      const std::int32_t* rank = a.rank.row<std::int32_t>(b);
      for (std::int64_t l = 0; l < L; ++l) {
        if (rank[l] >= K) add(token(b, 1 + l));
      }
    });
  }
  if (a.dpositions) {
    sum_over_samples<T>(a.dpositions, a.parameter_mode, B,
                        [&](std::int64_t b, std::int64_t r, auto add) { add(token(b, r)); });
  }
}

void gather_forward(Stream&, const TokenGatherForward& a, void*) {
  visit_floating(a.x.dtype,
                 [&]<class T>(T) { parallel_for(a.x.shape[0], [&](std::int64_t b) { gather_sample<T>(a, b); }); });
}

void gather_backward(Stream&, const TokenGatherBackward& a, void*) {
  visit_floating(a.dx.dtype, [&]<class T>(T) {
    parallel_for(a.dx.shape[0], [&](std::int64_t b) { gather_gradient_sample<T, add_rows<T>>(a, b); });
  });
}

void embed_forward(Stream&, const TokenEmbedForward& a, void*) {
  visit_floating(a.x.dtype, [&]<class T>(T) {
    parallel_for(a.x.shape[0], [&](std::int64_t b) { embed_sample<T, add_rows<T>>(a, b); });
  });
}

void embed_backward(Stream&, const TokenEmbedBackward& a, void*) {
  visit_floating(a.dout.dtype, [&]<class T>(T) { embed_gradients<T>(a); });
}

void scatter_forward(Stream&, const TokenScatterForward& a, void*) {
  visit_floating(a.x.dtype, [&]<class T>(T) {
    parallel_for(a.x.shape[0], [&](std::int64_t b) { scatter_sample<T, add_rows<T>>(a, b); });
  });
}

void scatter_backward(Stream&, const TokenScatterBackward& a, void*) {
  visit_floating(a.dout.dtype, [&]<class T>(T) { scatter_gradients<T>(a); });
}

/// f(T{}) for the types of the fast rows.
template <class F>
void visit_fast(DType t, F&& f) {
  t == DType::bf16 ? f(bf16{}) : f(float{});
}

void gather_backward_fast(Stream&, const TokenGatherBackward& a, void*) {
  visit_fast(a.dx.dtype, [&]<class T>(T) {
    parallel_for(a.dx.shape[0], [&](std::int64_t b) { gather_gradient_sample<T, add_rows_fast>(a, b); });
  });
}

void embed_forward_fast(Stream&, const TokenEmbedForward& a, void*) {
  visit_fast(a.x.dtype, [&]<class T>(T) {
    parallel_for(a.x.shape[0], [&](std::int64_t b) { embed_sample<T, add_rows_fast>(a, b); });
  });
}

void scatter_forward_fast(Stream&, const TokenScatterForward& a, void*) {
  visit_fast(a.x.dtype, [&]<class T>(T) {
    parallel_for(a.x.shape[0], [&](std::int64_t b) { scatter_sample<T, add_rows_fast>(a, b); });
  });
}

constexpr Variant<TokenGatherForward> gather_forward_rows[] = {
    {.name = "reference", .refuses = nullptr, .run = gather_forward}};
constexpr Variant<TokenGatherBackward> gather_backward_rows[] = {
    {.name = "fast", .refuses = is_f64<TokenGatherBackward>, .run = gather_backward_fast},
    {.name = "reference", .refuses = nullptr, .run = gather_backward}};
constexpr Variant<TokenEmbedForward> embed_forward_rows[] = {
    {.name = "fast", .refuses = is_f64<TokenEmbedForward>, .run = embed_forward_fast},
    {.name = "reference", .refuses = nullptr, .run = embed_forward}};
constexpr Variant<TokenEmbedBackward> embed_backward_rows[] = {
    {.name = "fast", .refuses = is_f64<TokenEmbedBackward>, .run = embed_backward_fast},
    {.name = "reference", .refuses = nullptr, .run = embed_backward}};
constexpr Variant<TokenScatterForward> scatter_forward_rows[] = {
    {.name = "fast", .refuses = is_f64<TokenScatterForward>, .run = scatter_forward_fast},
    {.name = "reference", .refuses = nullptr, .run = scatter_forward}};
constexpr Variant<TokenScatterBackward> scatter_backward_rows[] = {
    {.name = "fast",
     .refuses = is_f64<TokenScatterBackward>,
     .workspace = scatter_backward_fast_workspace,
     .run = scatter_backward_fast},
    {.name = "reference", .refuses = nullptr, .run = scatter_backward}};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<TokenGatherForward> TokenGatherForward::cpu{cpu::gather_forward_rows};
const Rows<TokenGatherBackward> TokenGatherBackward::cpu{cpu::gather_backward_rows};
const Rows<TokenEmbedForward> TokenEmbedForward::cpu{cpu::embed_forward_rows};
const Rows<TokenEmbedBackward> TokenEmbedBackward::cpu{cpu::embed_backward_rows};
const Rows<TokenScatterForward> TokenScatterForward::cpu{cpu::scatter_forward_rows};
const Rows<TokenScatterBackward> TokenScatterBackward::cpu{cpu::scatter_backward_rows};
}  // namespace kernels
