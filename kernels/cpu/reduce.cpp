#include "kernels/reduce.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"
#include "kernels/cpu/widened.h"

namespace kernels::cpu {
namespace {

// A sum over rows runs in blocks of 256, then over the blocks: in f32 the error grows with R / 256, not with R.
constexpr std::int64_t rows_a_block = 256;
// A squared norm is summed in f64 throughout, whatever the data: 6.6e8 terms (ViT-H) in f32 would stop growing.
constexpr std::int64_t elements_a_block = 1 << 16;

std::int64_t blocks_of(std::int64_t count, std::int64_t block) { return (count + block - 1) / block; }

// ---- reference ----------------------------------------------------------------------------------------------------

template <class T>
Statistics<T> column_block(const View& x, std::int64_t c, std::int64_t begin, std::int64_t end) {
  Statistics<T> sum = 0;
  for (std::int64_t r = begin; r < end; ++r) sum += Statistics<T>(x.row<T>(r)[c]);
  return sum;
}

void column_sum_reference(Stream&, const ColumnSum& a, void*) {
  visit_floating(a.x.dtype, [&]<class T>(T) {
    using Sum = Statistics<T>;
    const std::int64_t R = a.x.rows();
    Sum* out = a.out.as<Sum>();
    parallel_for(a.x.cols(), [&](std::int64_t c) {
      Sum sum = 0;
      for (std::int64_t r = 0; r < R; r += rows_a_block)
        sum += column_block<T>(a.x, c, r, std::min(R, r + rows_a_block));
      out[c] = (a.mode == Write::accumulate ? out[c] : Sum(0)) + sum;
    });
  });
}

void squared_norm_reference(Stream&, const SquaredNorm& a, void*) {
  visit_floating(a.x.dtype, [&]<class T>(T) {
    const std::int64_t N = a.x.cols();
    const T* x = a.x.as<T>();
    double total = 0;
    for (std::int64_t begin = 0; begin < N; begin += elements_a_block) {
      double sum = 0;
      for (std::int64_t i = begin; i < std::min(N, begin + elements_a_block); ++i) sum += double(x[i]) * double(x[i]);
      total += sum;
    }
    a.out.as<Statistics<T>>()[0] = Statistics<T>(total);
  });
}

// ---- fast: f32 ----------------------------------------------------------------------------------------------------

// sum (C) = the rows begin ... end - 1 added up
MAE_VECTOR void add_rows(const View& x, std::int64_t begin, std::int64_t end, float* sum) {
  const std::int64_t C = x.cols();
  std::copy_n(x.row<float>(begin), C, sum);
  for (std::int64_t r = begin + 1; r < end; ++r) {
    const float* row = x.row<float>(r);
#pragma omp simd
    for (std::int64_t c = 0; c < C; ++c) sum[c] += row[c];
  }
}

std::size_t column_sum_workspace(const Device&, const ColumnSum& a) {
  return static_cast<std::size_t>(blocks_of(a.x.rows(), rows_a_block) * a.x.cols()) * sizeof(float);  // (blocks, C)
}

void column_sum_fast(Stream&, const ColumnSum& a, void* scratch) {
  const std::int64_t R = a.x.rows(), C = a.x.cols(), blocks = blocks_of(R, rows_a_block);
  float* sums = static_cast<float*>(scratch);
  parallel_for(blocks, [&](std::int64_t b) {
    add_rows(a.x, b * rows_a_block, std::min(R, (b + 1) * rows_a_block), sums + b * C);
  });
  const View rest = view_of(sums, DType::f32, {blocks, C});
  float* out = a.out.as<float>();
  if (a.mode == Write::overwrite) return add_rows(rest, 0, blocks, out);
  // the first block's sum takes the others in, so that accumulate equals overwrite + previous to the bit
  for (std::int64_t c = 0; c < C; ++c) {
    for (std::int64_t b = 1; b < blocks; ++b) sums[c] += sums[b * C + c];
    out[c] += sums[c];
  }
}

MAE_VECTOR double squares(const float* x, std::int64_t count) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

std::size_t squared_norm_workspace(const Device&, const SquaredNorm& a) {
  return static_cast<std::size_t>(blocks_of(a.x.cols(), elements_a_block)) * sizeof(double);  // (blocks)
}

void squared_norm_fast(Stream&, const SquaredNorm& a, void* scratch) {
  const std::int64_t N = a.x.cols(), blocks = blocks_of(N, elements_a_block);
  double* sums = static_cast<double*>(scratch);
  parallel_for(blocks, [&](std::int64_t b) {
    const std::int64_t begin = b * elements_a_block;
    sums[b] = squares(a.x.as<float>() + begin, std::min(elements_a_block, N - begin));
  });
  double total = 0;
  for (std::int64_t b = 0; b < blocks; ++b) total += sums[b];
  a.out.as<float>()[0] = static_cast<float>(total);
}

template <class Args>
const char* not_f32(const Device&, const Args& a) {
  return a.x.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

constexpr Variant<ColumnSum> column_sum_rows[] = {
    {.name = "fast", .refuses = not_f32<ColumnSum>, .workspace = column_sum_workspace, .run = column_sum_fast},
    widened<ColumnSum>,
    {.name = "reference", .refuses = nullptr, .run = column_sum_reference},
};
constexpr Variant<SquaredNorm> squared_norm_rows[] = {
    {.name = "fast", .refuses = not_f32<SquaredNorm>, .workspace = squared_norm_workspace, .run = squared_norm_fast},
    widened<SquaredNorm>,
    {.name = "reference", .refuses = nullptr, .run = squared_norm_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<ColumnSum> ColumnSum::cpu{cpu::column_sum_rows};
const Rows<SquaredNorm> SquaredNorm::cpu{cpu::squared_norm_rows};
}  // namespace kernels
