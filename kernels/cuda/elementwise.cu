// Fill, conversion and addition on CUDA, f32 and bf16.
//
// One thread a pack, blocks of 256 threads along the rows: sheet.cuh. Packs are 16 bytes of the wider type where all
// rows allow, else one element. Bytes: every input read once, every output written once: the least possible. The row
// of add_row is read by every block and comes from the caches but for the first time.
#include "kernels/cuda/sheet.cuh"
#include "kernels/elementwise.h"

namespace kernels::MAE_GPU {
namespace {

template <class T, int N>
__global__ void __launch_bounds__(sheet_threads) fill_kernel(Sheet sheet, Matrix<T> out, float value) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  float values[N];
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] = value;
  store<T, N>(at(out, spot), values);
}

template <class From, class To, int N>
__global__ void __launch_bounds__(sheet_threads) cast_kernel(Sheet sheet, Matrix<const From> x, Matrix<To> out) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  float values[N];
  load<From, N>(at(x, spot), values);
  store<To, N>(at(out, spot), values);
}

template <class T, int N>
__global__ void __launch_bounds__(sheet_threads) accumulate_kernel(Sheet sheet, Matrix<const T> x, Matrix<T> out) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  float values[N], sums[N];
  load<T, N>(at(x, spot), values);
  load<T, N>(at(out, spot), sums);
#pragma unroll
  for (int i = 0; i < N; ++i) sums[i] += values[i];
  store<T, N>(at(out, spot), sums);
}

template <class T, int N>
__global__ void __launch_bounds__(sheet_threads)
    add_row_kernel(Sheet sheet, Matrix<const T> x, const T* row, Matrix<T> out) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  float values[N], sums[N];
  load<T, N>(at(x, spot), sums);
  load<T, N>(row + spot.column, values);
#pragma unroll
  for (int i = 0; i < N; ++i) sums[i] += values[i];
  store<T, N>(at(out, spot), sums);
}

template <class T, int N>
void fill_packed(Stream& stream, const Fill& a) {
  const Sheet sheet = sheet_of(N, a.out);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, fill_kernel<T, N>, sheet, matrix<T>(a.out),
             static_cast<float>(a.value));
}

template <class From, class To, int N>
void cast_packed(Stream& stream, const Cast& a) {
  const Sheet sheet = sheet_of(N, a.x, a.out);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, cast_kernel<From, To, N>, sheet, matrix<const From>(a.x),
             matrix<To>(a.out));
}

template <class T, int N>
void accumulate_packed(Stream& stream, const Accumulate& a) {
  const Sheet sheet = sheet_of(N, a.x, a.out);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, accumulate_kernel<T, N>, sheet, matrix<const T>(a.x),
             matrix<T>(a.out));
}

template <class T, int N>
void add_row_packed(Stream& stream, const AddRow& a) {
  const Sheet sheet = sheet_of_rows(N, a.x);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, add_row_kernel<T, N>, sheet, matrix<const T>(a.x),
             a.row.as<const T>(), matrix<T>(a.out));
}

void fill_run(Stream& stream, const Fill& a, void*) {
  visit(a.out.dtype, [&]<class T>(T) {
    packs(a.out, widest<T>) ? fill_packed<T, widest<T>>(stream, a) : fill_packed<T, 1>(stream, a);
  });
}

void cast_run(Stream& stream, const Cast& a, void*) {
  visit(a.x.dtype, [&]<class From>(From) {
    visit(a.out.dtype, [&]<class To>(To) {
      constexpr int N = std::min(widest<From>, widest<To>);
      packs(a.x, N) && packs(a.out, N) ? cast_packed<From, To, N>(stream, a) : cast_packed<From, To, 1>(stream, a);
    });
  });
}

void accumulate_run(Stream& stream, const Accumulate& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    packs(a.x, widest<T>) && packs(a.out, widest<T>) ? accumulate_packed<T, widest<T>>(stream, a)
                                                     : accumulate_packed<T, 1>(stream, a);
  });
}

void add_row_run(Stream& stream, const AddRow& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    wide<T>(a, a.x.cols()) ? add_row_packed<T, widest<T>>(stream, a) : add_row_packed<T, 1>(stream, a);
  });
}

const char* cast_refuses(const Device&, const Cast& a) {
  const char* reason = not_f32_or_bf16(a.x);
  return reason ? reason : not_f32_or_bf16(a.out);
}

}  // namespace

const Variant<Fill> fill_rows[] = {
    {.name = "packs", .refuses = [](const Device&, const Fill& a) { return not_f32_or_bf16(a.out); }, .run = fill_run}};
const Variant<Cast> cast_rows[] = {{.name = "packs", .refuses = cast_refuses, .run = cast_run}};
const Variant<Accumulate> accumulate_rows[] = {
    {.name = "packs",
     .refuses = [](const Device&, const Accumulate& a) { return not_f32_or_bf16(a.x); },
     .run = accumulate_run}};
const Variant<AddRow> add_row_rows[] = {{.name = "packs",
                                         .refuses = [](const Device&, const AddRow& a) { return not_f32_or_bf16(a.x); },
                                         .run = add_row_run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<Fill> Fill::MAE_GPU{MAE_GPU::fill_rows};
const Rows<Cast> Cast::MAE_GPU{MAE_GPU::cast_rows};
const Rows<Accumulate> Accumulate::MAE_GPU{MAE_GPU::accumulate_rows};
const Rows<AddRow> AddRow::MAE_GPU{MAE_GPU::add_row_rows};
}  // namespace kernels
