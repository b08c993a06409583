// A kernel that cannot keep its values in registers: the build must refuse it (tests.cmake, test `spill_gate`).
__global__ void __launch_bounds__(1024, 2) spill(const float* x, float* y, int n) {
  float values[96];
#pragma unroll
  for (int i = 0; i < 96; ++i) values[i] = x[i * n + threadIdx.x];
  for (int round = 0; round < n; ++round) {
#pragma unroll
    for (int i = 0; i < 96; ++i) values[i] = values[i] * values[(i * 7 + 1) % 96] + values[(i * 5 + 3) % 96];
  }
#pragma unroll
  for (int i = 0; i < 96; ++i) y[i * n + threadIdx.x] = values[i];
}
