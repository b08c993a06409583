// Attention by cuDNN, bf16, forward and backward: a library to measure ours against, and a row behind them in the
// table. Built where CMake finds cuDNN and its C++ front end. Not yet run on a GPU.
//
// views      head h of (B, T, C) rows is (B, H, T, D) of strides (T row_stride, D, row_stride, 1): packed queries, keys
//            and values go in as they lie, and their gradients come out so.
// lse        is what cuDNN calls statistics: the natural log of the sum of exp of the scaled scores, f32.
// plans      A graph of one operation, for which cuDNN chooses kernels and compiles them: a second or so for each
//            shape. `tune` has that done before the first step; then the process keeps the plan.
// bits       The deterministic backward pass, because a row promises the same bits on every run: it writes dP in bf16,
//            (B, H, Tq, T), to scratch and reads it again. What cuDNN does by default adds up dq by atomics.
// scratch    forward: 256 bytes. backward: dP, with Tq rounded up to 64 and T to 128, and B H Tq sums. So says
// cuDNN 9.19
//            of its plans for sm_80 and sm_90, which can be asked for without a GPU. Plans that want more are refused.
// library    is loaded when a row first asks for it: a program built with it starts where there is none.
#ifdef MAE_WITH_CUDNN
#include <cuda_runtime_api.h>
#include <cudnn_frontend.h>
#include <dlfcn.h>

#include <algorithm>
#include <bit>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "kernels/attention.h"
#include "kernels/cuda/profile.h"

void* cudnn_frontend::cudnn_dlhandle = nullptr;  // the front end asks it for every function of the library

namespace kernels::cuda {

struct Cudnn;
namespace {

namespace frontend = cudnn_frontend;
using frontend::graph::Graph;
using frontend::graph::Tensor_attributes;

static_assert(CUDNN_FRONTEND_VERSION >= 12000, "the C++ front end of cuDNN is older than 1.20");
static_assert(CUDNN_MAJOR == 9, "another libcudnn than libcudnn.so.9");

/// Null where the library cannot be loaded.
void* library() {
  static void* const loaded = [] {
    void* handle = dlopen("libcudnn.so.9", RTLD_NOW);
    if (!handle) handle = dlopen(MAE_CUDNN_LIBRARY, RTLD_NOW);  // where CMake found it
    return frontend::cudnn_dlhandle = handle;
  }();
  return loaded;
}

std::string advice(const char* kernel) { return std::string("--row ") + kernel + "=flash runs our own kernel"; }
void check(cudnnStatus_t status, const char* call, const char* kernel) {
  if (status != CUDNN_STATUS_SUCCESS) throw Error(frontend::detail::get_error_string(status), call, advice(kernel));
}
void check(frontend::error_object error, const char* kernel) {
  if (error.is_bad()) throw Error("cuDNN: " + error.get_message(), kernel, advice(kernel));
}

// ---- the operation --------------------------------------------------------------------------------------------------

enum Id : std::int64_t { q = 1, k, v, out, lse, dout, dq, dk, dv };
using Memory = std::unordered_map<std::int64_t, void*>;

Memory memory_of(const AttentionForward& a) {
  Memory memory{{q, a.q.data}, {k, a.k.data}, {v, a.v.data}, {out, a.out.data}};
  if (a.lse) memory[lse] = a.lse.data;
  return memory;
}
Memory memory_of(const AttentionBackward& a) {
  return {{q, a.q.data},       {k, a.k.data},   {v, a.v.data},   {out, a.out.data}, {lse, a.lse.data},
          {dout, a.dout.data}, {dq, a.dq.data}, {dk, a.dk.data}, {dv, a.dv.data}};
}

/// (B, T, C), or Tq for T, in heads.
Tensor_attributes& describe(Tensor_attributes& t, Id id, const View& x, std::int64_t heads) {
  const std::int64_t T = x.shape[1], D = x.cols() / heads;
  return t.set_uid(id).set_dim({x.shape[0], heads, T, D}).set_stride({T * x.row_stride, D, x.row_stride, 1});
}
/// (B, H, Tq)
Tensor_attributes& describe_lse(Tensor_attributes& t, const AttentionSizes& s) {
  t.set_uid(lse).set_data_type(frontend::DataType_t::FLOAT);
  return t.set_dim({s.B, s.H, s.Tq, 1}).set_stride({s.H * s.Tq, s.Tq, 1, 1});
}

void add_operation(Graph& graph, const AttentionForward& a) {
  const auto input = [&](Id id, const View& x) {
    Tensor_attributes t;
    return graph.tensor(describe(t, id, x, a.heads));
  };
  frontend::graph::SDPA_attributes wanted;
  wanted.set_name(a.kernel).set_generate_stats(static_cast<bool>(a.lse)).set_attn_scale(static_cast<float>(a.scale));
  const auto made = graph.sdpa(input(q, a.q), input(k, a.k), input(v, a.v), wanted);
  describe(*made[0], out, a.out, a.heads).set_output(true);
  if (a.lse) describe_lse(*made[1], sizes_of(a)).set_output(true);
}

void add_operation(Graph& graph, const AttentionBackward& a) {
  const auto input = [&](Id id, const View& x) {
    Tensor_attributes t;
    return graph.tensor(describe(t, id, x, a.heads));
  };
  Tensor_attributes statistics;
  describe_lse(statistics, sizes_of(a));
  frontend::graph::SDPA_backward_attributes wanted;
  wanted.set_name(a.kernel).set_attn_scale(static_cast<float>(a.scale)).set_deterministic_algorithm(true);
  const auto made = graph.sdpa_backward(input(q, a.q), input(k, a.k), input(v, a.v), input(out, a.out),
                                        input(dout, a.dout), graph.tensor(statistics), wanted);
  describe(*made[0], dq, a.dq, a.heads).set_output(true);
  describe(*made[1], dk, a.dk, a.heads).set_output(true);
  describe(*made[2], dv, a.dv, a.heads).set_output(true);
}

template <class Args>
std::unique_ptr<Graph> graph_of(const Device& device, const Args& a) {
  auto graph = std::make_unique<Graph>();
  graph->set_io_data_type(frontend::DataType_t::BFLOAT16)
      .set_intermediate_data_type(frontend::DataType_t::FLOAT)
      .set_compute_data_type(frontend::DataType_t::FLOAT)
      .set_sm_version(device.capability);  // else it asks the libcudart.so that it finds, which need not be ours
  add_operation(*graph, a);
  return graph;
}

// ---- scratch --------------------------------------------------------------------------------------------------------

std::size_t plan_bytes(const AttentionForward&) { return 256; }
std::size_t plan_bytes(const AttentionBackward& a) {
  const AttentionSizes s = sizes_of(a);
  const std::int64_t dP = (s.Tq + 63) / 64 * 64 * ((s.T + 127) / 128 * 128) * 2, sums = s.Tq * 4;
  return static_cast<std::size_t>(s.B * s.H * (dP + sums)) + 256;
}

std::size_t forward_workspace(const Device&, const AttentionForward& a) { return plan_bytes(a); }
std::size_t backward_workspace(const Device& device, const AttentionBackward& a) {
  return std::max(plan_bytes(a), sum_bias_workspace(device, a));
}

// ---- plans ----------------------------------------------------------------------------------------------------------

/// All that a graph is made of. Forward has fewer views than backward, so their keys differ.
using Key = std::vector<std::int64_t>;

template <class Args>
Key key_of(const Args& a) {
  const AttentionSizes s = sizes_of(a);
  Key key{s.B, s.Tq, s.T, s.H, s.D, std::bit_cast<std::int64_t>(a.scale)};
  Args::fields(a, [&](const char*, const View& x, Role) { key.push_back(x ? x.row_stride : 0); });
  return key;
}

/// What the process keeps for a device.
struct Kept {
  cudnnHandle_t handle = nullptr;
  std::map<Key, std::unique_ptr<Graph>> plans;
};
std::mutex one_at_a_time;  // a handle has one stream

Kept& kept_for(const Device& device, const char* kernel) {
  static auto& devices = *new std::map<int, Kept>;  // never taken down: the library may be gone by then
  Kept& kept = devices[device.index];
  if (kept.handle) return kept;
  if (const cudaError_t status = cudaSetDevice(device.index); status != cudaSuccess)
    throw Error(cudaGetErrorString(status), "cudaSetDevice");
  check(frontend::detail::create_handle(&kept.handle), "cudnnCreate", kernel);
  return kept;
}

bool captured(const Stream& stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  return cudaStreamIsCapturing(static_cast<cudaStream_t>(stream.native()), &status) != cudaSuccess ||
         status != cudaStreamCaptureStatusNone;
}

template <class Args>
Graph& plan_of(const Stream& stream, const Args& a, Kept& kept) {
  std::unique_ptr<Graph>& plan = kept.plans[key_of(a)];
  if (plan) return *plan;
  if (captured(stream)) throw Error("no plan has been made before the capture", a.kernel, "run it once outside");
  auto graph = graph_of(stream.device(), a);
  graph->deselect_workspace_greater_than(static_cast<std::int64_t>(plan_bytes(a)));
  check(graph->build(kept.handle, {frontend::HeurMode_t::A}), a.kernel);
  std::int64_t bytes = 0;  // with what the front end adds
  check(graph->get_workspace_size(bytes), a.kernel);
  if (bytes > static_cast<std::int64_t>(plan_bytes(a)))
    throw Error("cuDNN wants " + std::to_string(bytes) + " bytes of scratch, more than were planned for", a.kernel,
                advice(a.kernel));
  plan = std::move(graph);
  return *plan;
}

template <class Args>
void execute(Stream& stream, const Args& a, void* scratch) {
  const std::lock_guard lock(one_at_a_time);
  Kept& kept = kept_for(stream.device(), a.kernel);
  check(frontend::detail::set_stream(kept.handle, static_cast<cudaStream_t>(stream.native())), "cudnnSetStream",
        a.kernel);
  Memory memory = memory_of(a);
  const LaunchRange range(stream.running);
  check(plan_of(stream, a, kept).execute(kept.handle, memory, scratch), a.kernel);
}

void forward(Stream& stream, const AttentionForward& a, void* scratch) { execute(stream, a, scratch); }
void backward(Stream& stream, const AttentionBackward& a, void* scratch) {
  AttentionBackward gradients = a;
  gradients.dbias = {};
  execute(stream, gradients, scratch);
  sum_bias(stream, a, scratch);
}

// ---- what it takes --------------------------------------------------------------------------------------------------

bool aligned(const View& x) { return reinterpret_cast<std::size_t>(x.data) % 16 == 0 && x.row_stride % 8 == 0; }

template <class Args>
const char* refuses(const Device& device, const Args& a) {
  constexpr bool is_backward = std::is_same_v<Args, AttentionBackward>;
  const AttentionSizes s = sizes_of(a);
  const bool hopper = device.capability / 10 == 9;
  if (a.q.dtype != DType::bf16) return "this row has bf16 alone";
  if (device.capability < 80 || device.capability >= 100) return "its scratch is known for compute capability 8 and 9";
  if (s.D % 8 != 0 || s.D > 256) return "this row has heads of multiples of 8, up to 256 elements";
  if (is_backward && s.D > 128 && !hopper) return "backward, heads of more than 128 elements need compute capability 9";
  if (is_backward && s.Tq == 1 && s.T == 1) return "backward, cuDNN refuses one query of one key";
  if (a.lse && !a.lse.contiguous()) return "cuDNN takes no gaps in lse";
  bool all_aligned = true;
  Args::fields(a, [&](const char*, const View& x, Role) { all_aligned &= x.dtype != DType::bf16 || aligned(x); });
  if (!all_aligned) return "addresses and row strides must be multiples of 16 bytes";
  if (!library()) return "libcudnn.so.9 cannot be loaded: put its folder into LD_LIBRARY_PATH";
  // Some before give wrong results (9.10.0), and some copy masks from the host in every backward pass.
  return frontend::detail::get_backend_version() < 91600 ? "it needs cuDNN 9.16 or newer" : nullptr;
}

}  // namespace
}  // namespace kernels::cuda

namespace kernels {

template <>
Variant<AttentionForward> row<cuda::Cudnn, AttentionForward>() {
  return {.name = "cudnn",
          .refuses = cuda::refuses<AttentionForward>,
          .workspace = cuda::forward_workspace,
          .run = cuda::forward,
          .vendor = true,
          .tune = cuda::forward};
}
template <>
Variant<AttentionBackward> row<cuda::Cudnn, AttentionBackward>() {
  return {.name = "cudnn",
          .refuses = cuda::refuses<AttentionBackward>,
          .workspace = cuda::backward_workspace,
          .run = cuda::backward,
          .vendor = true,
          .tune = cuda::backward};
}

}  // namespace kernels
#endif
