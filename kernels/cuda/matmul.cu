// Matrix product on CUDA, f32 and bf16, every layout and size: the plain tiled one.
//
// grid      one block of 256 threads for each tile of 64 x 64 elements of out; a thread owns 4 x 4 of them.
// a block   walks over K in steps of 16: it copies a (64, 16) tile of a and a (16, 64) tile of b into shared memory,
//           both with K outermost, zeros beyond the edges; then every thread adds the products of its 4 x 4 from there.
// sums      f32, in the order of k: the same bits on every run.
// Bytes: a is read N / 64 times and b M / 64 times, against once; each shared value serves 4 products a thread.
//
// It equals     for m, n: out[m, n] = sum over k of a[m, k] b[k, n] (+ bias[n]) (+ residual[m, n] or what was there)
#include "kernels/cuda/common.cuh"
#include "kernels/cuda/cublaslt.h"
#include "kernels/matmul.h"
#include "kernels/matmul_passes.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int tile = 64;           // rows and columns of out a block
constexpr int step = 16;           // of K
constexpr int each = 4;            // rows and columns of out a thread
constexpr int side = tile / each;  // threads along one side of the tile
constexpr int threads = side * side;
// Floats from one k to the next in shared memory. Neighbours along K are written by neighbouring threads where K is
// contiguous: 64 apart they would all fall into two of the 32 banks, 68 apart two meet in one.
constexpr int pitch = tile + 4;

/// A matrix of which element (i, k) is wanted, k along K, whatever way round it is stored.
template <class T>
struct Operand {
  const T* data;
  long long i_stride, k_stride, count;  // count: of i

  __device__ float at(long long i, long long k, long long K) const {
    return i < count && k < K ? static_cast<float>(data[i * i_stride + k * k_stride]) : 0.0f;
  }
};

template <class T, class Out>
struct Product {
  Operand<T> a, b;  // b by its columns: (N, K)
  const T* bias;
  const Out* residual;
  Out* out;
  long long residual_stride, out_stride, K;
  unsigned column_tiles;
  bool accumulate;
};

/// Copies elements (first ... first + 63, k ... k + 15) into tile_k (16, 68). Neighbouring threads take neighbours in
/// memory: along K where K is contiguous, else along i.
template <class T, class Shared>
__device__ void copy_tile(const Operand<T>& from, long long first, long long k, long long K, Shared tile_k) {
  for (int n = static_cast<int>(threadIdx.x); n < tile * step; n += threads) {
    const int i = from.k_stride == 1 ? n / step : n % tile, at = from.k_stride == 1 ? n % step : n / tile;
    tile_k[at * pitch + i] = from.at(first + i, k + at, K);
  }
}

template <class T, class Out>
__device__ void finish(const Product<T, Out>& p, long long m, long long n, float sum) {
  if (m >= p.a.count || n >= p.b.count) return;
  Out* out = p.out + m * p.out_stride + n;
  if (p.bias) sum += static_cast<float>(p.bias[n]);
  if (p.residual) sum += static_cast<float>(p.residual[m * p.residual_stride + n]);
  if (p.accumulate) sum += static_cast<float>(*out);
  *out = Out(sum);
}

template <class T, class Out>
__global__ void __launch_bounds__(threads) matmul_kernel(Product<T, Out> p) {
  auto a = shared<float, pitch * step, 0>();  // (16, 68)
  auto b = shared<float, pitch * step, 1>();  // (16, 68)
  const long long m = static_cast<long long>(blockIdx.x / p.column_tiles) * tile;
  const long long n = static_cast<long long>(blockIdx.x % p.column_tiles) * tile;
  const int row = static_cast<int>(threadIdx.x) / side * each, column = static_cast<int>(threadIdx.x) % side * each;

  float sums[each][each] = {};
  for (long long k = 0; k < p.K; k += step) {
    copy_tile(p.a, m, k, p.K, a);
    copy_tile(p.b, n, k, p.K, b);
    __syncthreads();
    for (int s = 0; s < step; ++s) {
      float left[each], right[each];
#pragma unroll
      for (int i = 0; i < each; ++i) left[i] = a[s * pitch + row + i], right[i] = b[s * pitch + column + i];
#pragma unroll
      for (int i = 0; i < each; ++i) {
#pragma unroll
        for (int j = 0; j < each; ++j) sums[i][j] += left[i] * right[j];
      }
    }
    __syncthreads();  // before the next step overwrites the tiles
  }
#pragma unroll
  for (int i = 0; i < each; ++i) {
#pragma unroll
    for (int j = 0; j < each; ++j) finish(p, m + row + i, n + column + j, sums[i][j]);
  }
}

template <class T>
Operand<T> operand(const View& v, bool k_contiguous) {
  if (k_contiguous) return {.data = v.as<T>(), .i_stride = v.row_stride, .k_stride = 1, .count = v.rows()};
  return {.data = v.as<T>(), .i_stride = 1, .k_stride = v.row_stride, .count = v.cols()};
}

template <class T, class Out>
void run_typed(Stream& stream, const MatMul& s) {
  const unsigned column_tiles = blocks_for(s.n(), tile), row_tiles = blocks_for(s.m(), tile);
  const Product<T, Out> p{.a = operand<T>(s.a, s.a_layout == Layout::plain),
                          .b = operand<T>(s.b, s.b_layout == Layout::transposed),
                          .bias = s.bias.as<T>(),
                          .residual = s.residual.as<Out>(),
                          .out = s.out.as<Out>(),
                          .residual_stride = s.residual.row_stride,
                          .out_stride = s.out.row_stride,
                          .K = s.k(),
                          .column_tiles = column_tiles,
                          .accumulate = s.mode == Write::accumulate};
  run_kernel(stream, {row_tiles * column_tiles, threads}, matmul_kernel<T, Out>, p);
}

void product(Stream& stream, const MatMul& s) {
  if (s.a.dtype == DType::f32) return run_typed<float, float>(stream, s);
  s.out.dtype == DType::f32 ? run_typed<bf16, float>(stream, s) : run_typed<bf16, bf16>(stream, s);
}

void run(Stream& stream, const MatMul& s, void* scratch) {
  product(stream, product_of(s));
  run_passes(stream, s, scratch);
}

constexpr Variant<MatMul> tiled{.name = "tiled",
                                .refuses = [](const Device&, const MatMul& s) { return not_f32_or_bf16(s.a); },
                                .workspace = passes_workspace,
                                .run = run};

}  // namespace

#ifdef __CUDACC__
const Variant<MatMul> rows[] = {{.name = "cublaslt",
                                 .refuses = cublaslt_refuses,
                                 .workspace = cublaslt_workspace,
                                 .run = cublaslt,
                                 .vendor = true,
                                 .tune = tune_cublaslt},
                                row<struct Mma, MatMul>(),
                                row<struct Wgmma, MatMul>(),
                                tiled,
                                {.name = "cublaslt_tf32",
                                 .refuses = cublaslt_tf32_refuses,
                                 .workspace = cublaslt_workspace,
                                 .run = cublaslt_tf32,
                                 .vendor = true,
                                 .reduced_precision = true,
                                 .tune = tune_cublaslt_tf32}};
#else  // simt has no libraries
const Variant<MatMul> rows[] = {row<struct Mma, MatMul>(), row<struct Wgmma, MatMul>(), tiled};
#endif

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<MatMul> MatMul::MAE_GPU{MAE_GPU::rows};
}  // namespace kernels
