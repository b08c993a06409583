// Drop path on CUDA, f32 and bf16.
//
// One thread a pack, blocks of 256 threads along a row: sheet.cuh. Packs are 16 bytes where all rows allow, else one
// element. All threads of a block are in one row, so in one sample, and read the same word of keep. Bytes: of a dropped
// sample x alone is read (backward: nothing), of a kept one everything once: the least possible.
#include "kernels/cuda/sheet.cuh"
#include "kernels/drop_path.h"

namespace kernels::MAE_GPU {
namespace {

/// Whether the sample of a row is kept.
struct Kept {
  Matrix<const std::int32_t> keep;
  unsigned tokens;

  __device__ bool operator()(long long row) const { return keep[static_cast<unsigned>(row) / tokens][0] != 0; }
};
Kept kept(const View& keep, const View& tokens) {
  return {matrix<const std::int32_t>(keep), static_cast<unsigned>(tokens.shape[1])};
}

template <class T, int N>
__global__ void __launch_bounds__(sheet_threads)
    forward_kernel(Sheet sheet, Kept kept, Matrix<const T> x, Matrix<const T> branch, Matrix<T> out, float scale) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  float values[N];
  load<T, N>(at(x, spot), values);
  if (kept(spot.row)) {
    float added[N];
    load<T, N>(at(branch, spot), added);
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] += scale * added[i];
  }
  store<T, N>(at(out, spot), values);
}

template <class T, int N>
__global__ void __launch_bounds__(sheet_threads)
    backward_kernel(Sheet sheet, Kept kept, Matrix<const T> dout, Matrix<T> dbranch, float scale) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside) return;
  float values[N] = {};
  if (kept(spot.row)) {
    load<T, N>(at(dout, spot), values);
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] *= scale;
  }
  store<T, N>(at(dbranch, spot), values);
}

template <class T, int N>
void forward_packed(Stream& stream, const DropPathForward& a) {
  const Sheet sheet = sheet_of_rows(N, a.x);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, forward_kernel<T, N>, sheet, kept(a.keep, a.x),
             matrix<const T>(a.x), matrix<const T>(a.branch), matrix<T>(a.out), static_cast<float>(a.scale));
}

template <class T, int N>
void backward_packed(Stream& stream, const DropPathBackward& a) {
  const Sheet sheet = sheet_of_rows(N, a.dout);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, backward_kernel<T, N>, sheet, kept(a.keep, a.dout),
             matrix<const T>(a.dout), matrix<T>(a.dbranch), static_cast<float>(a.scale));
}

void forward_run(Stream& stream, const DropPathForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    wide<T>(a, a.x.cols()) ? forward_packed<T, widest<T>>(stream, a) : forward_packed<T, 1>(stream, a);
  });
}

void backward_run(Stream& stream, const DropPathBackward& a, void*) {
  visit(a.dout.dtype, [&]<class T>(T) {
    wide<T>(a, a.dout.cols()) ? backward_packed<T, widest<T>>(stream, a) : backward_packed<T, 1>(stream, a);
  });
}

}  // namespace

const Variant<DropPathForward> drop_path_forward_rows[] = {
    {.name = "packs",
     .refuses = [](const Device&, const DropPathForward& a) { return not_f32_or_bf16(a.x); },
     .run = forward_run}};
const Variant<DropPathBackward> drop_path_backward_rows[] = {
    {.name = "packs",
     .refuses = [](const Device&, const DropPathBackward& a) { return not_f32_or_bf16(a.dout); },
     .run = backward_run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<DropPathForward> DropPathForward::MAE_GPU{MAE_GPU::drop_path_forward_rows};
const Rows<DropPathBackward> DropPathBackward::MAE_GPU{MAE_GPU::drop_path_backward_rows};
}  // namespace kernels
