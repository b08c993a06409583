// Exact GELU on CUDA, f32 and bf16.
//
// One thread a pack of 16 bytes, or of one element where the rows do not allow it: sheet.cuh. The formula: gelu.cuh.
// Where the backward adds up what it writes, a block has a strip of columns instead: columns.cuh. Its table of partial
// sums is added up by column_sum.
// Bytes: inputs read once, output written once: the least possible; with dx_sum 512 C bytes of partial sums at most.
#include "kernels/activation.h"
#include "kernels/cuda/columns.cuh"
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/sheet.cuh"
#include "kernels/reduce.h"

namespace kernels::MAE_GPU {
namespace {

template <class T, int N>
__global__ void __launch_bounds__(sheet_threads) forward_kernel(Sheet sheet, Matrix<const T> x, Matrix<T> y) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  float values[N];
  load<T, N>(at(x, spot), values);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = gelu(values[i]);
  store<T, N>(at(y, spot), values);
}

template <class T, int N>
__global__ void __launch_bounds__(sheet_threads)
    backward_kernel(Sheet sheet, Matrix<const T> dy, Matrix<const T> x, Matrix<T> dx) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  float values[N], gradient[N];
  load<T, N>(at(x, spot), values);
  load<T, N>(at(dy, spot), gradient);
#pragma unroll
  for (int i = 0; i < N; ++i) gradient[i] *= gelu_slope(values[i]);
  store<T, N>(at(dx, spot), gradient);
}

template <class T, int N>
struct BackwardRow {
  Pack<T, N> dy, x;
};

template <class T, int N>
__global__ void __launch_bounds__(column_threads)
    backward_sum_kernel(Columns sums, Matrix<const T> dy, Matrix<const T> x, Matrix<T> dx) {
  sum_columns<N>(
      sums,
      [&](long long r, long long c) {
        return BackwardRow<T, N>{load_pack<T, N>(dy[r] + c), load_pack<T, N>(x[r] + c)};
      },
      [&](const BackwardRow<T, N>& row, long long r, long long c, float(&gradient)[N]) {
        float values[N];
        widen(row.dy, gradient), widen(row.x, values);
#pragma unroll
        for (int i = 0; i < N; ++i) gradient[i] *= gelu_slope(values[i]);
        store<T, N>(dx[r] + c, gradient);
      });
}

template <class T, int N>
void forward_packed(Stream& stream, const GeluForward& a) {
  const Sheet sheet = sheet_of(N, a.x, a.y);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, forward_kernel<T, N>, sheet, matrix<const T>(a.x),
             matrix<T>(a.y));
}

template <class T, int N>
void backward_packed(Stream& stream, const GeluBackward& a, const Columns& sums) {
  const auto dy = matrix<const T>(a.dy), x = matrix<const T>(a.x);
  if (a.dx_sum) {
    run_kernel(stream, grid_of<N>(sums), backward_sum_kernel<T, N>, sums, dy, x, matrix<T>(a.dx));
  } else {
    const Sheet sheet = sheet_of(N, a.dy, a.x, a.dx);
    run_kernel(stream, {sheet.blocks(), sheet_threads}, backward_kernel<T, N>, sheet, dy, x, matrix<T>(a.dx));
  }
}

void forward_run(Stream& stream, const GeluForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    constexpr int N = widest<T>;
    packs(a.x, N) && packs(a.y, N) ? forward_packed<T, N>(stream, a) : forward_packed<T, 1>(stream, a);
  });
}

/// Of the table of partial sums, where there is one.
ColumnSum sum_of(const GeluBackward& a, void* table) {
  return {.x = view_of(table, DType::f32, {parts_of(a.x.rows()), a.x.cols()}), .out = a.dx_sum, .mode = a.sum_mode};
}

std::size_t table_of(const GeluBackward& a) { return a.dx_sum ? table_bytes(a.x.rows(), a.x.cols()) : 0; }

std::size_t backward_workspace(const Device& device, const GeluBackward& a) {
  const std::size_t table = table_of(a);
  if (table == 0) return 0;
  const ColumnSum sum = sum_of(a, nullptr);
  return table + choose(device, sum).scratch_bytes(device, sum);
}

void backward_run(Stream& stream, const GeluBackward& a, void* scratch) {
  const Columns sums = a.dx_sum ? columns_of(a.x.rows(), a.dx_sum, a.sum_mode, scratch) : Columns{};
  visit(a.x.dtype, [&]<class T>(T) {
    constexpr int N = widest<T>;
    packs(a.dy, N) && packs(a.x, N) && packs(a.dx, N) ? backward_packed<T, N>(stream, a, sums)
                                                      : backward_packed<T, 1>(stream, a, sums);
  });
  const std::size_t table = table_of(a);
  if (table == 0) return;
  const ColumnSum sum = sum_of(a, scratch);
  choose(stream.device(), sum).run(stream, sum, static_cast<std::byte*>(scratch) + table);
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  return not_f32_or_bf16(a.x);
}

}  // namespace

// best first; outside of the unnamed namespace, so that a row of another file can stand here
const Variant<GeluForward> forward_rows[] = {
    {.name = "packs", .refuses = refuses<GeluForward>, .run = forward_run},
};
const Variant<GeluBackward> backward_rows[] = {
    {.name = "packs", .refuses = refuses<GeluBackward>, .workspace = backward_workspace, .run = backward_run},
};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<GeluForward> GeluForward::MAE_GPU{MAE_GPU::forward_rows};
const Rows<GeluBackward> GeluBackward::MAE_GPU{MAE_GPU::backward_rows};
}  // namespace kernels
