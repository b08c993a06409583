// The moving average on CUDA, f32.
//
// One thread a pack, blocks of 256 threads: sheet.cuh. Packs are 16 bytes where both views allow, else one element.
// Bytes: read x and average, write average: the least possible; a copy, decay 0, does not read average.
#include "kernels/cuda/sheet.cuh"
#include "kernels/moving_average.h"

namespace kernels::MAE_GPU {
namespace {

template <int N>
__global__ void __launch_bounds__(sheet_threads)
    average_kernel(Sheet sheet, const float* x, const int* finite, float* average, float decay, float fresh) {
  const Spot spot = spot_of<N>(sheet);
  if (!spot.inside || *finite == 0) return;
  float values[N], averages[N];
  load<float, N>(x + spot.column, values);
  if (decay != 0) {
    load<float, N>(average + spot.column, averages);
#pragma unroll
    for (int i = 0; i < N; ++i) values[i] = decay * averages[i] + fresh * values[i];
  }
  store<float, N>(average + spot.column, values);
}

void average_run(Stream& stream, const MovingAverage& a, void*) {
  constexpr int most = widest<float>;
  const bool wide = packs(a.x, most) && packs(a.average, most);
  const Sheet sheet = sheet_of(wide ? most : 1, a.x, a.average);
  run_kernel(stream, {sheet.blocks(), sheet_threads}, wide ? average_kernel<most> : average_kernel<1>, sheet,
             a.x.as<float>(), a.finite.as<int>(), a.average.as<float>(), static_cast<float>(a.decay),
             static_cast<float>(1 - a.decay));
}

const char* not_f32(const Device&, const MovingAverage& a) {
  return a.x.dtype == DType::f32 ? nullptr : "this row has f32 only";
}

}  // namespace

const Variant<MovingAverage> moving_average_rows[] = {{.name = "packs", .refuses = not_f32, .run = average_run}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<MovingAverage> MovingAverage::MAE_GPU{MAE_GPU::moving_average_rows};
}  // namespace kernels
