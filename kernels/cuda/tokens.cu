// The moves of tokens on CUDA, f32 and bf16: the kernels of tokens.cuh, rows and sums, which share out the work, and
// for each move a rule.
//
// gather, embed, scatter and all dx are rows. dcls and dpositions are sums over samples.
// dmask_token is one sum of B (L - K) rows, too few threads for it, so it takes three turns: parts of 32 tokens of a
// sample, the parts of a sample, the samples. Bytes: the least possible, and 4 C for each part and sample written and
// read once.
#include "kernels/cuda/tokens.cuh"
#include "kernels/tokens.h"

namespace kernels::MAE_GPU {
namespace {

constexpr int tokens_a_part = 32;  // of a sample, in the first turn of dmask_token

// ---- rows -----------------------------------------------------------------------------------------------------------

// dx of gather; a class token has a rank that nobody asked for
template <class T>
struct Return {
  Matrix<const T> dout, before;  // before: dx itself where the gradient is added to it, else null
  Indices rank;
  int K, dx_rows, class_tokens, first_rank;
  __device__ Sources<T> operator()(int b, int t) const {
    const int k = t < class_tokens ? -1 : rank[b][t - class_tokens] - first_rank;
    const T* gradient = 0 <= k && k < K ? dout[b * K + k] : nullptr;
    if (before.data) return {.first = before[b * dx_rows + t], .second = gradient};
    return {.first = gradient};
  }
};

// Without cls the class token is x's own.
template <class T>
struct Embed {
  Matrix<const T> x, cls, positions;
  Indices ids;
  int x_rows, class_rows;  // class_rows: of positions, 1 or 0
  __device__ Sources<T> operator()(int b, int t) const {
    const T* token = cls.data && t == 0 ? cls[0] : x[b * x_rows + t - (cls.data ? 1 : 0)];
    if (t == 0) return {.first = token, .second = class_rows ? positions[0] : nullptr};
    return {.first = token, .second = positions[class_rows + ids[b][t - 1]]};
  }
};

// dx of embed: the last dx_rows tokens of every sample, which are all but the class token, or all
template <class T>
struct Last {
  Matrix<const T> dout;
  int dout_rows, dx_rows;
  __device__ Sources<T> operator()(int b, int t) const { return {.first = dout[(b + 1) * dout_rows - dx_rows + t]}; }
};

// In x the class token stands before the kept patch of rank 0, as if its own rank were -1.
template <class T>
struct Scatter {
  Matrix<const T> x, mask_token, positions;
  Indices rank;
  int K;
  __device__ Sources<T> operator()(int b, int t) const {
    const int k = t == 0 ? -1 : rank[b][t - 1];
    return {.first = k < K ? x[b * (1 + K) + 1 + k] : mask_token[0], .second = positions[t]};
  }
};

// ---- sums -----------------------------------------------------------------------------------------------------------

// Row r of every group of rows, such as token r of every sample.
struct OfEveryGroup {
  int rows_a_group;
  __device__ int operator()(int r, int i) const { return i * rows_a_group + r; }
};

// The token at position r of every sample that keeps it; the class token as in Scatter.
struct OfKeptPatches {
  Indices rank;
  int K, class_rows;
  __device__ int operator()(int r, int b) const {
    const int k = r < class_rows ? -1 : rank[b][r - class_rows];
    return k < K ? b * (1 + K) + 1 + k : -1;
  }
};

// Row p * B + b: the masked tokens in part p of sample b.
struct OfMaskedPart {
  Indices rank;
  int B, K, L;
  __device__ int operator()(int r, int i) const {
    const int b = r % B;
    const int l = r / B * tokens_a_part + i;
    const int k = rank[b][min(l, L - 1)];
    return l < L && k >= K ? b * (1 + L) + 1 + l : -1;
  }
};

// ---- launches -------------------------------------------------------------------------------------------------------

void gather_forward(Stream& stream, const TokenGatherForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    const Gather<T> rule{
        .x = matrix<const T>(a.x), .ids = indices(a.ids), .x_rows = size(a.x, 1), .class_tokens = a.class_tokens};
    write_rows<T>(stream, wide<T>(a, a.x.cols()), rule, a.out);
  });
}

void gather_backward(Stream& stream, const TokenGatherBackward& a, void*) {
  visit(a.dx.dtype, [&]<class T>(T) {
    const Return<T> rule{.dout = matrix<const T>(a.dout),
                         .before = matrix<const T>(a.dx_mode == Write::accumulate ? a.dx : View{}),
                         .rank = indices(a.rank),
                         .K = size(a.dout, 1),
                         .dx_rows = size(a.dx, 1),
                         .class_tokens = a.class_tokens,
                         .first_rank = a.first_rank};
    write_rows<T>(stream, wide<T>(a, a.dx.cols()), rule, a.dx);
  });
}

void embed_forward(Stream& stream, const TokenEmbedForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    const Embed<T> rule{.x = matrix<const T>(a.x),
                        .cls = matrix<const T>(a.cls),
                        .positions = matrix<const T>(a.positions),
                        .ids = indices(a.ids),
                        .x_rows = size(a.x, 1),
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
    if (a.dx) {
      const Last<T> rule{.dout = matrix<const T>(a.dout), .dout_rows = 1 + K, .dx_rows = size(a.dx, 1)};
      write_rows<T>(stream, wide<T>(a, a.dx.cols()), rule, a.dx);
    }
    if (a.dcls) write_sums<T, float>(stream, a.dout, OfEveryGroup{1 + K}, B, a.dcls, a.parameter_mode);
    if (a.dpositions) write_sums<T, float>(stream, a.dout, kept, B, a.dpositions, a.parameter_mode);
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
  const OfMaskedPart masked{.rank = indices(a.rank), .B = size(a.rank, 0), .K = size(a.ids, 1), .L = size(a.rank, 1)};
  write_sums<T, float>(stream, a.dout, masked, tokens_a_part, of_parts, Write::overwrite);
  write_sums<float, float>(stream, of_parts, OfEveryGroup{size(a.rank, 0)}, parts, of_samples, Write::overwrite);
  write_sums<float, float>(stream, of_samples, OfEveryGroup{1}, B, a.dmask_token, a.parameter_mode);
}

void scatter_backward(Stream& stream, const TokenScatterBackward& a, void* scratch) {
  visit(a.dout.dtype, [&]<class T>(T) {
    const std::int64_t B = a.dout.shape[0];
    const int tokens = size(a.dout, 1);
    const Gather<T> rule{
        .x = matrix<const T>(a.dout), .ids = indices(a.ids), .x_rows = tokens, .class_tokens = 1, .kept_classes = 1};
    if (a.dx) write_rows<T>(stream, wide<T>(a, a.dx.cols()), rule, a.dx);
    if (a.dmask_token) write_dmask_token<T>(stream, a, static_cast<float*>(scratch));
    if (a.dpositions) write_sums<T, float>(stream, a.dout, OfEveryGroup{tokens}, B, a.dpositions, a.parameter_mode);
  });
}

}  // namespace

const Variant<TokenGatherForward> gather_forward_rows[] = {
    {.name = "rows", .refuses = refuses_tokens<TokenGatherForward>, .run = gather_forward}};
const Variant<TokenGatherBackward> gather_backward_rows[] = {
    {.name = "rows", .refuses = refuses_tokens<TokenGatherBackward>, .run = gather_backward}};
const Variant<TokenEmbedForward> embed_forward_rows[] = {
    {.name = "rows", .refuses = refuses_tokens<TokenEmbedForward>, .run = embed_forward}};
const Variant<TokenEmbedBackward> embed_backward_rows[] = {
    {.name = "rows", .refuses = refuses_tokens<TokenEmbedBackward>, .run = embed_backward}};
const Variant<TokenScatterForward> scatter_forward_rows[] = {
    {.name = "rows", .refuses = refuses_tokens<TokenScatterForward>, .run = scatter_forward}};
const Variant<TokenScatterBackward> scatter_backward_rows[] = {{.name = "rows",
                                                                .refuses = refuses_tokens<TokenScatterBackward>,
                                                                .workspace = scatter_backward_workspace,
                                                                .run = scatter_backward}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<TokenGatherForward> TokenGatherForward::MAE_GPU{MAE_GPU::gather_forward_rows};
const Rows<TokenGatherBackward> TokenGatherBackward::MAE_GPU{MAE_GPU::gather_backward_rows};
const Rows<TokenEmbedForward> TokenEmbedForward::MAE_GPU{MAE_GPU::embed_forward_rows};
const Rows<TokenEmbedBackward> TokenEmbedBackward::MAE_GPU{MAE_GPU::embed_backward_rows};
const Rows<TokenScatterForward> TokenScatterForward::MAE_GPU{MAE_GPU::scatter_forward_rows};
const Rows<TokenScatterBackward> TokenScatterBackward::MAE_GPU{MAE_GPU::scatter_backward_rows};
}  // namespace kernels
