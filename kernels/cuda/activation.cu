// Exact GELU on CUDA, f32 and bf16.
//
// One thread a pack of 16 bytes, or of one element where the rows do not allow it: sheet.cuh. The formula: gelu.cuh.
// Bytes: inputs read once, output written once: the least possible.
#include "kernels/activation.h"
#include "kernels/cuda/gelu.cuh"
#include "kernels/cuda/sheet.cuh"

namespace kernels::MAE_GPU {
namespace {

template <class T, int N>
__global__ void __launch_bounds__(sheet_threads) forward_kernel(Sheet sheet, Matrix<const T> x, Matrix<T> y) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  float values[N];
  load<T, N>(at(x, spot), values);
#pragma unroll
  for (int i = 0; i < N; ++i) values[i] *= cumulative(values[i]);
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
void forward_packed(Stream& stream, const GeluForward& a) {
  const Sheet sheet = sheet_of(N, a.x, a.y);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, forward_kernel<T, N>, sheet, matrix<const T>(a.x),
             matrix<T>(a.y));
}

template <class T, int N>
void backward_packed(Stream& stream, const GeluBackward& a) {
  const Sheet sheet = sheet_of(N, a.dy, a.x, a.dx);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, backward_kernel<T, N>, sheet, matrix<const T>(a.dy),
             matrix<const T>(a.x), matrix<T>(a.dx));
}

void forward_run(Stream& stream, const GeluForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    constexpr int N = widest<T>;
    packs(a.x, N) && packs(a.y, N) ? forward_packed<T, N>(stream, a) : forward_packed<T, 1>(stream, a);
  });
}

void backward_run(Stream& stream, const GeluBackward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    constexpr int N = widest<T>;
    packs(a.dy, N) && packs(a.x, N) && packs(a.dx, N) ? backward_packed<T, N>(stream, a)
                                                      : backward_packed<T, 1>(stream, a);
  });
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
    {.name = "packs", .refuses = refuses<GeluBackward>, .run = backward_run},
};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<GeluForward> GeluForward::MAE_GPU{MAE_GPU::forward_rows};
const Rows<GeluBackward> GeluBackward::MAE_GPU{MAE_GPU::backward_rows};
}  // namespace kernels
