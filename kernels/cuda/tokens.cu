// The moves of tokens on CUDA, f32 and bf16: two kernels, and for each move a rule that says which rows meet.
//
// rows   every output row is a copy of one row or the sum of two. One warp a row, 4 rows a block of 128 threads; a lane
//        owns packs of N elements (16 bytes where all rows allow), 32 * N apart.
//        Bytes: read each source, write out, the least possible; what all samples read (positions, mask_token) comes
//        from the L2 cache but for the first time.
// sums   every output row is a sum of rows, without atomics: a thread owns a column of a sum and adds the rows in
//        order, 8 loads in flight. One warp 32 columns, 4 warps a block.
//        dcls and dpositions are sums over samples. Bytes: read what is added, write the sums, the least possible.
//        dmask_token is one sum of B (L - K) rows, too few threads for it, so it takes three turns: parts of 32 tokens
//        of a sample, the parts of a sample, the samples. Bytes: the least possible, and 4 C for each part and sample
//        written and read once.
#include "kernels/cuda/common.cuh"
#include "kernels/tokens.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int warps = 4;           // of a block, in both kernels
constexpr int in_flight = 8;       // loads of a thread in sums
constexpr int tokens_a_part = 32;  // of a sample, in the first turn of dmask_token

using Indices = Matrix<const std::int32_t>;
Indices indices(const View& view) { return matrix<const std::int32_t>(view); }
// K or L: an int, as ids and ranks are
int size(const View& view, int dimension) { return static_cast<int>(view.shape[dimension]); }

// ---- rows -----------------------------------------------------------------------------------------------------------

// An output row is first + second, or first alone, or 0.
template <class T>
struct Sources {
  const T *first = nullptr, *second = nullptr;
};

template <class T, int N, class Rule>
__global__ void __launch_bounds__(32 * warps)
    rows_kernel(Rule rule, Matrix<T> out, long long rows, long long rows_a_sample, long long C) {
  const long long r = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (r >= rows) return;
  const Sources<T> from = rule(r / rows_a_sample, r % rows_a_sample);
  T* to = out[r];
  if (from.first == to && !from.second) return;  // stays as it is
  for (long long c = threadIdx.x % 32 * N; c < C; c += 32 * N) {
    float sum[N] = {}, other[N];
    if (from.first) load<T, N>(from.first + c, sum);
    if (from.second) {
      load<T, N>(from.second + c, other);
#pragma unroll
      for (int i = 0; i < N; ++i) sum[i] += other[i];
    }
    store<T, N>(to + c, sum);
  }
}

// gather, and dx of scatter, where a class token stands before the others
template <class T>
struct Gather {
  Matrix<const T> x;
  Indices ids;
  long long x_rows;  // tokens of a sample in x
  int class_rows;    // class tokens of a sample: 1 or 0
  __device__ Sources<T> operator()(long long b, long long t) const {
    return {.first = x[b * x_rows + (t < class_rows ? 0 : class_rows + ids[b][t - class_rows])]};
  }
};

// dx of gather
template <class T>
struct Return {
  Matrix<const T> dout, before;  // before: dx itself where the gradient is added to it, else null
  Indices rank;
  int K, L;
  __device__ Sources<T> operator()(long long b, long long l) const {
    const int k = rank[b][l];
    const T* gradient = k < K ? dout[b * K + k] : nullptr;
    if (before.data) return {.first = before[b * L + l], .second = gradient};
    return {.first = gradient};
  }
};

template <class T>
struct Embed {
  Matrix<const T> x, cls, positions;
  Indices ids;
  int K, class_rows;  // class_rows: of positions, 1 or 0
  __device__ Sources<T> operator()(long long b, long long t) const {
    if (t == 0) return {.first = cls[0], .second = class_rows ? positions[0] : nullptr};
    return {.first = x[b * K + t - 1], .second = positions[class_rows + ids[b][t - 1]]};
  }
};

// dx of embed: all but the class token
template <class T>
struct Patches {
  Matrix<const T> dout;
  int K;
  __device__ Sources<T> operator()(long long b, long long k) const { return {.first = dout[b * (1 + K) + 1 + k]}; }
};

// In x the class token stands before the kept patch of rank 0, as if its own rank were -1.
template <class T>
struct Scatter {
  Matrix<const T> x, mask_token, positions;
  Indices rank;
  int K;
  __device__ Sources<T> operator()(long long b, long long t) const {
    const int k = t == 0 ? -1 : rank[b][t - 1];
    return {.first = k < K ? x[b * (1 + K) + 1 + k] : mask_token[0], .second = positions[t]};
  }
};

// ---- sums -----------------------------------------------------------------------------------------------------------

// sums[r] = (before, if accumulating) + the rows rule(r, 0), rule(r, 1), ... of x; -1 adds nothing
template <class T, class Rule>
__global__ void __launch_bounds__(32 * warps)
    sums_kernel(Rule rule, Matrix<const T> x, long long terms, Matrix<float> sums, long long rows, long long C,
                bool accumulate) {
  const long long warp = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  const long long spans = (C + 31) / 32;
  const long long r = warp / spans, c = warp % spans * 32 + threadIdx.x % 32;
  if (r >= rows || c >= C) return;
  float total = 0;
  for (long long i = 0; i < terms; i += in_flight) {
    long long row[in_flight];  // three loops, so that all loads are under way before the first sum waits for its own
    float value[in_flight];
#pragma unroll
    for (int j = 0; j < in_flight; ++j) row[j] = rule(r, min(i + j, terms - 1));
#pragma unroll
    for (int j = 0; j < in_flight; ++j) {
      value[j] = i + j < terms && row[j] >= 0 ? static_cast<float>(x[row[j]][c]) : 0.0f;
    }
#pragma unroll
    for (int j = 0; j < in_flight; ++j) total += value[j];
  }
  sums[r][c] = accumulate ? sums[r][c] + total : total;
}

// Row r of every group of rows, such as token r of every sample.
struct OfEveryGroup {
  long long rows_a_group;
  __device__ long long operator()(long long r, long long i) const { return i * rows_a_group + r; }
};

// The token at position r of every sample that keeps it; the class token as in Scatter.
struct OfKeptPatches {
  Indices rank;
  int K, class_rows;
  __device__ long long operator()(long long r, long long b) const {
    const int k = r < class_rows ? -1 : rank[b][r - class_rows];
    return k < K ? b * (1 + K) + 1 + k : -1;
  }
};

// Row p * B + b: the masked tokens in part p of sample b.
struct OfMaskedPart {
  Indices rank;
  long long B;
  int K, L;
  __device__ long long operator()(long long r, long long i) const {
    const long long b = r % B;
    const int l = static_cast<int>(r / B * tokens_a_part + i);
    const int k = rank[b][min(l, L - 1)];
    return l < L && k >= K ? b * (1 + L) + 1 + l : -1;
  }
};

// ---- launches -------------------------------------------------------------------------------------------------------

template <class T, class Rule>
void write_rows(Stream& stream, bool wide, const Rule& rule, const View& out) {
  const auto kernel = wide ? rows_kernel<T, widest<T>, Rule> : rows_kernel<T, 1, Rule>;
  run_kernel(stream, {blocks_for(out.rows(), warps), 32 * warps}, kernel, rule, matrix<T>(out), out.rows(),
             out.shape[1], out.cols());
}

template <class T, class Rule>
void write_sums(Stream& stream, const View& x, const Rule& rule, long long terms, const View& sums, Write mode) {
  const long long spans = blocks_for(sums.cols(), 32);
  run_kernel(stream, {blocks_for(sums.rows() * spans, warps), 32 * warps}, sums_kernel<T, Rule>, rule,
             matrix<const T>(x), terms, matrix<float>(sums), sums.rows(), sums.cols(), mode == Write::accumulate);
}

void gather_forward(Stream& stream, const TokenGatherForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    const Gather<T> rule{.x = matrix<const T>(a.x), .ids = indices(a.ids), .x_rows = a.x.shape[1], .class_rows = 0};
    write_rows<T>(stream, wide<T>(a, a.x.cols()), rule, a.out);
  });
}

void gather_backward(Stream& stream, const TokenGatherBackward& a, void*) {
  visit(a.dx.dtype, [&]<class T>(T) {
    const Return<T> rule{.dout = matrix<const T>(a.dout),
                         .before = matrix<const T>(a.dx_mode == Write::accumulate ? a.dx : View{}),
                         .rank = indices(a.rank),
                         .K = size(a.dout, 1),
                         .L = size(a.dx, 1)};
    write_rows<T>(stream, wide<T>(a, a.dx.cols()), rule, a.dx);
  });
}

void embed_forward(Stream& stream, const TokenEmbedForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    const Embed<T> rule{.x = matrix<const T>(a.x),
                        .cls = matrix<const T>(a.cls),
                        .positions = matrix<const T>(a.positions),
                        .ids = indices(a.ids),
                        .K = size(a.x, 1),
                        .class_rows = a.class_position == ClassPosition::first_row};
    write_rows<T>(stream, wide<T>(a, a.x.cols()), rule, a.out);
  });
}

void embed_backward(Stream& stream, const TokenEmbedBackward& a, void*) {
  visit(a.dout.dtype, [&]<class T>(T) {
    const std::int64_t B = a.dout.shape[0];
    const int K = size(a.dout, 1) - 1;
    const OfKeptPatches kept{
        .rank = indices(a.rank), .K = K, .class_rows = a.class_position == ClassPosition::first_row};
    if (a.dx) write_rows<T>(stream, wide<T>(a, a.dx.cols()), Patches<T>{matrix<const T>(a.dout), K}, a.dx);
    if (a.dcls) write_sums<T>(stream, a.dout, OfEveryGroup{1 + K}, B, a.dcls, a.parameter_mode);
    if (a.dpositions) write_sums<T>(stream, a.dout, kept, B, a.dpositions, a.parameter_mode);
  });
}

void scatter_forward(Stream& stream, const TokenScatterForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    const Scatter<T> rule{.x = matrix<const T>(a.x),
                          .mask_token = matrix<const T>(a.mask_token),
                          .positions = matrix<const T>(a.positions),
                          .rank = indices(a.rank),
                          .K = size(a.x, 1) - 1};
    write_rows<T>(stream, wide<T>(a, a.x.cols()), rule, a.out);
  });
}

std::int64_t parts_of(const TokenScatterBackward& a) { return blocks_for(a.rank.cols(), tokens_a_part); }

// (parts, B, C) and (B, C): sums of the masked tokens of a part, and of a sample
std::size_t scatter_backward_workspace(const Device&, const TokenScatterBackward& a) {
  const std::int64_t rows = (parts_of(a) + 1) * a.dout.shape[0];
  return a.dmask_token ? static_cast<std::size_t>(rows * a.dout.cols()) * sizeof(float) : 0;
}

template <class T>
void write_dmask_token(Stream& stream, const TokenScatterBackward& a, float* scratch) {
  const std::int64_t B = a.dout.shape[0], C = a.dout.cols(), parts = parts_of(a);
  const View of_parts = view_of(scratch, DType::f32, {parts * B, C});
  const View of_samples = view_of(scratch + parts * B * C, DType::f32, {B, C});
  const OfMaskedPart masked{.rank = indices(a.rank), .B = B, .K = size(a.ids, 1), .L = size(a.rank, 1)};
  write_sums<T>(stream, a.dout, masked, tokens_a_part, of_parts, Write::overwrite);
  write_sums<float>(stream, of_parts, OfEveryGroup{B}, parts, of_samples, Write::overwrite);
  write_sums<float>(stream, of_samples, OfEveryGroup{1}, B, a.dmask_token, a.parameter_mode);
}

void scatter_backward(Stream& stream, const TokenScatterBackward& a, void* scratch) {
  visit(a.dout.dtype, [&]<class T>(T) {
    const std::int64_t B = a.dout.shape[0], L = a.rank.cols();
    const Gather<T> rule{.x = matrix<const T>(a.dout), .ids = indices(a.ids), .x_rows = 1 + L, .class_rows = 1};
    if (a.dx) write_rows<T>(stream, wide<T>(a, a.dx.cols()), rule, a.dx);
    if (a.dmask_token) write_dmask_token<T>(stream, a, static_cast<float*>(scratch));
    if (a.dpositions) write_sums<T>(stream, a.dout, OfEveryGroup{1 + L}, B, a.dpositions, a.parameter_mode);
  });
}

template <class Args>
const char* refuses(const Device&, const Args& a) {
  const char* reason = nullptr;
  Args::fields(a, [&](const char*, const View& v, Role) {
    if (v && is_floating(v.dtype) && !reason) reason = not_f32_or_bf16(v);
  });
  return reason;
}

constexpr Variant<TokenGatherForward> gather_forward_rows[] = {
    {.name = "rows", .refuses = refuses<TokenGatherForward>, .run = gather_forward}};
constexpr Variant<TokenGatherBackward> gather_backward_rows[] = {
    {.name = "rows", .refuses = refuses<TokenGatherBackward>, .run = gather_backward}};
constexpr Variant<TokenEmbedForward> embed_forward_rows[] = {
    {.name = "rows", .refuses = refuses<TokenEmbedForward>, .run = embed_forward}};
constexpr Variant<TokenEmbedBackward> embed_backward_rows[] = {
    {.name = "rows", .refuses = refuses<TokenEmbedBackward>, .run = embed_backward}};
constexpr Variant<TokenScatterForward> scatter_forward_rows[] = {
    {.name = "rows", .refuses = refuses<TokenScatterForward>, .run = scatter_forward}};
constexpr Variant<TokenScatterBackward> scatter_backward_rows[] = {{.name = "rows",
                                                                    .refuses = refuses<TokenScatterBackward>,
                                                                    .workspace = scatter_backward_workspace,
                                                                    .run = scatter_backward}};

}  // namespace

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<TokenGatherForward> TokenGatherForward::MAE_GPU{MAE_GPU::gather_forward_rows};
const Rows<TokenGatherBackward> TokenGatherBackward::MAE_GPU{MAE_GPU::gather_backward_rows};
const Rows<TokenEmbedForward> TokenEmbedForward::MAE_GPU{MAE_GPU::embed_forward_rows};
const Rows<TokenEmbedBackward> TokenEmbedBackward::MAE_GPU{MAE_GPU::embed_backward_rows};
const Rows<TokenScatterForward> TokenScatterForward::MAE_GPU{MAE_GPU::scatter_forward_rows};
const Rows<TokenScatterBackward> TokenScatterBackward::MAE_GPU{MAE_GPU::scatter_backward_rows};
}  // namespace kernels
