#include "kernels/elementwise.h"

#include <algorithm>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace kernels::cpu {
namespace {

// Equals: for every row r, body(r, 0, C). Rows are cut into runs, so that a flat buffer of one row is shared out too.
constexpr std::int64_t run_length = 1 << 14;

template <class F>
void parallel_runs(const View& v, F body) {
  const std::int64_t C = v.cols(), runs = (C + run_length - 1) / run_length;
  parallel_for(v.rows() * runs, [&](std::int64_t i) {
    const std::int64_t begin = i % runs * run_length;
    body(i / runs, begin, std::min(C, begin + run_length));
  });
}

// ---- reference ----------------------------------------------------------------------------------------------------

void fill_reference(Stream&, const Fill& a, void*) {
  visit_floating(a.out.dtype, [&]<class T>(T) {
    parallel_runs(a.out, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
      std::fill(a.out.row<T>(r) + begin, a.out.row<T>(r) + end, T(a.value));
    });
  });
}

void cast_reference(Stream&, const Cast& a, void*) {
  visit_floating(a.x.dtype, [&]<class From>(From) {
    visit_floating(a.out.dtype, [&]<class To>(To) {
      parallel_runs(a.x, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
        const From* x = a.x.row<From>(r);
        To* out = a.out.row<To>(r);
        for (std::int64_t c = begin; c < end; ++c) out[c] = To(Statistics<From>(x[c]));
      });
    });
  });
}

void accumulate_reference(Stream&, const Accumulate& a, void*) {
  visit_floating(a.x.dtype, [&]<class T>(T) {
    using Sum = Statistics<T>;
    for (std::int64_t r = 0; r < a.x.rows(); ++r) {
      for (std::int64_t c = 0; c < a.x.cols(); ++c)
        a.out.row<T>(r)[c] = T(Sum(a.out.row<T>(r)[c]) + Sum(a.x.row<T>(r)[c]));
    }
  });
}

void add_row_reference(Stream&, const AddRow& a, void*) {
  visit_floating(a.x.dtype, [&]<class T>(T) {
    using Sum = Statistics<T>;
    for (std::int64_t r = 0; r < a.x.rows(); ++r) {
      for (std::int64_t c = 0; c < a.x.cols(); ++c)
        a.out.row<T>(r)[c] = T(Sum(a.x.row<T>(r)[c]) + Sum(a.row.as<T>()[c]));
    }
  });
}

// ---- fast: f32 and bf16 -------------------------------------------------------------------------------------------

MAE_VECTOR void add_run(const float* x, float* out, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i] += x[i];
}

MAE_VECTOR void add_run(const bf16* x, bf16* out, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i].bits = bf16(out[i] + x[i]).bits;  // bits alone are vectorised
}

template <class T>
void accumulate_runs(const Accumulate& a) {
  parallel_runs(a.x, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
    add_run(a.x.row<T>(r) + begin, a.out.row<T>(r) + begin, end - begin);
  });
}

void accumulate_fast(Stream&, const Accumulate& a, void*) {
  a.x.dtype == DType::bf16 ? accumulate_runs<bf16>(a) : accumulate_runs<float>(a);
}

MAE_VECTOR void add_two(const float* x, const float* y, float* out, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i] = x[i] + y[i];
}

MAE_VECTOR void add_two(const bf16* x, const bf16* y, bf16* out, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i].bits = bf16(x[i] + y[i]).bits;
}

template <class T>
void add_row_runs(const AddRow& a) {
  parallel_runs(a.x, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
    add_two(a.x.row<T>(r) + begin, a.row.as<T>() + begin, a.out.row<T>(r) + begin, end - begin);
  });
}

void add_row_fast(Stream&, const AddRow& a, void*) {
  a.x.dtype == DType::bf16 ? add_row_runs<bf16>(a) : add_row_runs<float>(a);
}

void cast_fast(Stream&, const Cast& a, void*) { convert(a.x, a.out); }

const char* not_a_conversion(const Device&, const Cast& a) {
  const bool narrows = a.x.dtype == DType::f32 && a.out.dtype == DType::bf16,
             widens = a.x.dtype == DType::bf16 && a.out.dtype == DType::f32;
  return narrows || widens ? nullptr : "this row has f32 to bf16 and back only";
}

template <class Args>
const char* is_f64(const Device&, const Args& a) {
  return a.x.dtype == DType::f64 ? "this row has f32 and bf16 only" : nullptr;
}

constexpr Variant<Fill> fill_rows[] = {{.name = "reference", .refuses = nullptr, .run = fill_reference}};
constexpr Variant<Cast> cast_rows[] = {
    {.name = "fast", .refuses = not_a_conversion, .run = cast_fast},
    {.name = "reference", .refuses = nullptr, .run = cast_reference},
};
constexpr Variant<Accumulate> accumulate_rows[] = {
    {.name = "fast", .refuses = is_f64<Accumulate>, .run = accumulate_fast},
    {.name = "reference", .refuses = nullptr, .run = accumulate_reference},
};
constexpr Variant<AddRow> add_row_rows[] = {
    {.name = "fast", .refuses = is_f64<AddRow>, .run = add_row_fast},
    {.name = "reference", .refuses = nullptr, .run = add_row_reference},
};

}  // namespace

// The bits are stored, not the struct: g++ 12 vectorises only that.
MAE_VECTOR void convert_run(const float* x, bf16* out, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i].bits = bf16(x[i]).bits;
}

MAE_VECTOR void convert_run(const bf16* x, float* out, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) out[i] = x[i];
}

void convert(const View& x, const View& out) {
  const auto whole = [](const View& v) { return view_of(v.data, v.dtype, {v.shape.count()}); };
  if (x.rows() > 1 && x.contiguous() && out.contiguous()) return convert(whole(x), whole(out));
  parallel_runs(x, [&](std::int64_t r, std::int64_t begin, std::int64_t end) {
    if (x.dtype == DType::f32) convert_run(x.row<float>(r) + begin, out.row<bf16>(r) + begin, end - begin);
    else convert_run(x.row<bf16>(r) + begin, out.row<float>(r) + begin, end - begin);
  });
}

}  // namespace kernels::cpu

namespace kernels {
const Rows<Fill> Fill::cpu{cpu::fill_rows};
const Rows<Cast> Cast::cpu{cpu::cast_rows};
const Rows<Accumulate> Accumulate::cpu{cpu::accumulate_rows};
const Rows<AddRow> AddRow::cpu{cpu::add_row_rows};
}  // namespace kernels
