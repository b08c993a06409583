// Matrix product by cuBLASLt, f32 and bf16, every layout: the library to beat, and a row like ours.
//
// columns    the library counts by columns, and a row-major (R, C) matrix is a column-major (C, R) one. So it is asked
//            for out^T = b^T a^T: our b is its first operand, our a its second.
// one pass   bias, residual and the sum with what was there are part of the product: its bias epilogue, its C.
// precision  sums in f32. f32 operands stay f32; TF32, which keeps 10 bits of their fractions, is a row of its own.
// GELU       behind the product, by our own kernels, and column sums too: the library's own GELU is the approximation
//            by tanh, which is not this one.
// bits       partial sums of a split K are added in f32 in an order of their own, never by atomics: the same bits on
//            every run of one algorithm. Which one, is chosen by timing before the first step, and kept (choices.h).
#include "kernels/cuda/cublaslt.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <type_traits>
#include <vector>

#include "kernels/core/choices.h"
#include "kernels/cuda/profile.h"
#include "kernels/matmul_passes.h"

namespace kernels::cuda {
namespace {

constexpr std::size_t workspace_bytes = std::size_t{32} << 20;  // what NVIDIA advises for Hopper
constexpr int candidates = 8;                                   // algorithms that are timed
constexpr double clearly_faster = 0.97;  // than the library's own first: else that one, whose choice does not waver

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error(cublasLtGetStatusString(status), call, "--row matmul=tiled runs our own kernel");
}

/// One of a device, made when it is first needed, and there until the process ends.
cublasLtHandle_t handle_of(const Device& device) {
  static std::mutex mutex;
  static std::map<int, cublasLtHandle_t> handles;
  const std::lock_guard lock(mutex);
  cublasLtHandle_t& handle = handles[device.index];
  if (handle) return handle;
  if (const cudaError_t status = cudaSetDevice(device.index); status != cudaSuccess)
    throw Error(cudaGetErrorString(status), "cudaSetDevice");
  check(cublasLtCreate(&handle), "cublasLtCreate");
  return handle;
}

template <auto destroy>
struct Destroy {
  void operator()(auto* handle) const { destroy(handle); }
};
template <class Handle, auto destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, Destroy<destroy>>;

using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using MatrixLayout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cudaDataType_t type_of(const View& v) { return v.dtype == DType::f32 ? CUDA_R_32F : CUDA_R_16BF; }

/// A row-major matrix in columns.
MatrixLayout layout_of(const View& v) {
  cublasLtMatrixLayout_t layout;
  const auto rows = static_cast<std::uint64_t>(v.rows()), columns = static_cast<std::uint64_t>(v.cols());
  check(cublasLtMatrixLayoutCreate(&layout, type_of(v), columns, rows, v.row_stride), "cublasLtMatrixLayoutCreate");
  return MatrixLayout(layout);
}

/// The power of two, 16 at most, that all addresses and row strides of the operands are multiples of, in bytes.
/// Algorithms ask for some of it; a bias counts too.
std::uint32_t alignment_of(const MatMul& s) {
  std::size_t bits = 16;
  MatMul::fields(s, [&](const char*, const View& v, Role) {
    if (!v) return;
    bits |= reinterpret_cast<std::size_t>(v.data);
    if (v.rows() > 1) bits |= static_cast<std::size_t>(v.row_stride) * size_of(v.dtype);
  });
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

/// A product as the library takes it.
class Product {
 public:
  Product(const Device& device, const MatMul& s, cublasComputeType_t compute, void* scratch)
      : s_(s),
        handle_(handle_of(device)),
        a_(layout_of(s.b)),
        b_(layout_of(s.a)),
        c_(layout_of(s.residual ? s.residual : s.out)),
        d_(layout_of(s.out)),
        scratch_(scratch) {
    cublasLtMatmulDesc_t description;
    check(cublasLtMatmulDescCreate(&description, compute, CUDA_R_32F), "cublasLtMatmulDescCreate");
    description_.reset(description);
    set(CUBLASLT_MATMUL_DESC_TRANSA, s.b_layout == Layout::plain ? CUBLAS_OP_N : CUBLAS_OP_T);
    set(CUBLASLT_MATMUL_DESC_TRANSB, s.a_layout == Layout::plain ? CUBLAS_OP_N : CUBLAS_OP_T);
    if (!s.bias) return;
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, s.bias.data);
  }

  /// The library's guesses, best first.
  std::vector<cublasLtMatmulAlgo_t> algorithms(int most) const {
    cublasLtMatmulPreference_t made;
    check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
    const Preference preference(made);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
      check(cublasLtMatmulPreferenceSetAttribute(made, attribute, &value, sizeof value),
            "cublasLtMatmulPreferenceSetAttribute");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes);
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, std::uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
    for (const auto operand : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                               CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
      prefer(operand, alignment_of(s_));
    std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<std::size_t>(most));
    int count = 0;
    check(cublasLtMatmulAlgoGetHeuristic(handle_, description_.get(), a_.get(), b_.get(), c_.get(), d_.get(), made,
                                         most, found.data(), &count),
          "cublasLtMatmulAlgoGetHeuristic");
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    for (int i = 0; i < count; ++i) {
      const auto& result = found[static_cast<std::size_t>(i)];
      if (result.state == CUBLAS_STATUS_SUCCESS) algorithms.push_back(result.algo);
    }
    if (algorithms.empty()) check(CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmulAlgoGetHeuristic");
    return algorithms;
  }

  bool takes(const cublasLtMatmulAlgo_t& algorithm) const {
    cublasLtMatmulHeuristicResult_t result{};
    return cublasLtMatmulAlgoCheck(handle_, description_.get(), a_.get(), b_.get(), c_.get(), d_.get(), &algorithm,
                                   &result) == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= workspace_bytes;
  }

  void run(Stream& stream, const cublasLtMatmulAlgo_t& algorithm) const {
    const float alpha = 1, beta = s_.residual || s_.mode == Write::accumulate ? 1.0f : 0.0f;
    const View& c = s_.residual ? s_.residual : s_.out;
    const LaunchRange range(stream.running);
    check(cublasLtMatmul(handle_, description_.get(), &alpha, s_.b.data, a_.get(), s_.a.data, b_.get(), &beta, c.data,
                         c_.get(), s_.out.data, d_.get(), &algorithm, scratch_, workspace_bytes,
                         static_cast<cudaStream_t>(stream.native())),
          "cublasLtMatmul");
  }

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, T value) {
    check(cublasLtMatmulDescSetAttribute(description_.get(), attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute");
  }

  const MatMul& s_;
  cublasLtHandle_t handle_;
  Description description_;
  MatrixLayout a_, b_, c_, d_;  // the library's names
  void* scratch_;
};

// ---- the choice -----------------------------------------------------------------------------------------------------

/// Sums that start from zero and from what was there share a choice: it makes no difference to the algorithms.
std::string key_of(const Device& device, const MatMul& s, cublasComputeType_t compute) {
  std::string key = "cublaslt " + std::to_string(cublasLtGetVersion()) + ", " + device.name + ":";
  const auto add = [&](const auto& word) { (key += ' ') += word; };
  add(compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? "tf32" : name_of(s.a.dtype));
  MatMul::fields(s, [&](const char* name, const View& v, Role) {
    if (!v) return;
    add(name), add(name_of(v.dtype)), add(std::to_string(v.rows())), add(std::to_string(v.cols()));
    add(std::to_string(v.row_stride));
  });
  add(s.a_layout == Layout::plain ? "a" : "a^T"), add(s.b_layout == Layout::plain ? "b" : "b^T");
  add(std::to_string(alignment_of(s)));
  return key;
}

std::string text_of(const cublasLtMatmulAlgo_t& algorithm) {
  std::string text;
  for (const std::uint64_t word : algorithm.data) text += (text.empty() ? "" : " ") + std::to_string(word);
  return text;
}

/// Nothing where the text is not what text_of writes.
std::optional<cublasLtMatmulAlgo_t> algorithm_of(const std::string& text) {
  cublasLtMatmulAlgo_t algorithm{};
  std::istringstream words(text);
  for (std::uint64_t& word : algorithm.data) words >> word;
  return words && text_of(algorithm) == text ? std::optional(algorithm) : std::nullopt;
}

void run_as(Stream& stream, const MatMul& all, void* scratch, cublasComputeType_t compute) {
  const MatMul s = product_of(all);
  const Product product(stream.device(), s, compute, scratch);
  const std::string key = key_of(stream.device(), s, compute);
  auto choice = find_choice(key);
  if (!choice) choice = keep_choice(key, text_of(product.algorithms(1).front()));  // nobody has timed this one
  const auto algorithm = algorithm_of(*choice);
  const bool good = algorithm && product.takes(*algorithm);  // it may come from a checkpoint
  product.run(stream, good ? *algorithm : product.algorithms(1).front());
  run_passes(stream, all, scratch);
}

/// Milliseconds of three runs, the best of three times; of a graph, because a small product runs faster than the host
/// can launch it. Nothing where the library refuses after all.
std::optional<double> time_of(Stream& stream, const Product& product, const cublasLtMatmulAlgo_t& algorithm) {
  std::optional<Graph> graph;
  try {
    product.run(stream, algorithm);
    graph.emplace(stream, [&] {
      for (int i = 0; i < 3; ++i) product.run(stream, algorithm);
    });
  } catch (const Error&) {
    return std::nullopt;
  }
  Event start(stream.device()), end(stream.device());
  double best = std::numeric_limits<double>::max();
  for (int trial = 0; trial < 3; ++trial) {
    start.record(stream);
    graph->replay(stream);
    end.record(stream);
    best = std::min(best, end.milliseconds_since(start));
  }
  return best;
}

void tune_as(Stream& stream, const MatMul& all, void* scratch, cublasComputeType_t compute) {
  const MatMul s = product_of(all);
  const std::string key = key_of(stream.device(), s, compute);
  if (find_choice(key)) return;
  const Product product(stream.device(), s, compute, scratch);
  std::optional<cublasLtMatmulAlgo_t> chosen;
  double to_beat = std::numeric_limits<double>::max();
  for (const cublasLtMatmulAlgo_t& algorithm : product.algorithms(candidates)) {
    const auto time = time_of(stream, product, algorithm);
    if (!time || *time >= to_beat) continue;
    to_beat = chosen ? *time : *time * clearly_faster;
    chosen = algorithm;
  }
  if (!chosen) check(CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmul");
  keep_choice(key, text_of(*chosen));
}

}  // namespace

const char* cublaslt_refuses(const Device&, const MatMul& s) {
  if (s.a.dtype == DType::f64) return "this row has f32 and bf16";
  if (s.bias && s.out.dtype != s.a.dtype) return "a bias beside an out of another type";
  constexpr std::int64_t most = std::numeric_limits<int>::max();
  return std::max({s.m(), s.n(), s.k()}) <= most ? nullptr : "a side of 2^31 elements or more";
}
const char* cublaslt_tf32_refuses(const Device& device, const MatMul& s) {
  return s.a.dtype == DType::f32 ? cublaslt_refuses(device, s) : "TF32 is for f32";
}

std::size_t cublaslt_workspace(const Device& device, const MatMul& s) {
  return std::max(workspace_bytes, passes_workspace(device, s));
}

void cublaslt(Stream& stream, const MatMul& s, void* scratch) { run_as(stream, s, scratch, CUBLAS_COMPUTE_32F); }
void cublaslt_tf32(Stream& stream, const MatMul& s, void* scratch) {
  run_as(stream, s, scratch, CUBLAS_COMPUTE_32F_FAST_TF32);
}
void tune_cublaslt(Stream& stream, const MatMul& s, void* scratch) { tune_as(stream, s, scratch, CUBLAS_COMPUTE_32F); }
void tune_cublaslt_tf32(Stream& stream, const MatMul& s, void* scratch) {
  tune_as(stream, s, scratch, CUBLAS_COMPUTE_32F_FAST_TF32);
}

}  // namespace kernels::cuda
