// Merging kept tokens with a table, on CUDA, f32 and bf16: the kernels of tokens.cuh, rows and sums, which share out
// the work.
//
// Forward is rows: each a copy, of x where the patch is kept and of the table where it is masked. Bytes: read x, write
// out, the least possible; the table, which all samples read, comes from the L2 cache but for the first time.
// Backward: dx is rows, by ids. dtable is L sums over the samples that mask a patch, in order: of 196 rows of 1,536 in
// bf16, 37,632 threads with 8 packs of 16 bytes each in flight. Bytes: kept rows of dout are read by dx alone, masked
// ones by dtable alone, so dout is read once: the least possible.
#include "kernels/cuda/tokens.cuh"
#include "kernels/token_merge.h"

namespace kernels::MAE_GPU {
namespace {

// In x the class token stands before the kept patch of rank 0, as if its own rank were -1.
template <class T>
struct Merge {
  Matrix<const T> x, table;
  Indices rank;
  int K;
  __device__ Sources<T> operator()(int b, int t) const {
    const int k = t == 0 ? -1 : rank[b][t - 1];
    return {.first = k < K ? x[b * (1 + K) + 1 + k] : table[t - 1]};
  }
};

// The token of patch l of every sample that masks it.
struct OfMaskedPatches {
  Indices rank;
  int K, L;
  __device__ int operator()(int l, int b) const { return rank[b][l] >= K ? b * (1 + L) + 1 + l : -1; }
};

void forward(Stream& stream, const TokenMergeForward& a, void*) {
  visit(a.x.dtype, [&]<class T>(T) {
    const Merge<T> rule{
        .x = matrix<const T>(a.x), .table = matrix<const T>(a.table), .rank = indices(a.rank), .K = size(a.x, 1) - 1};
    write_rows<T>(stream, wide<T>(a, a.x.cols()), rule, a.out);
  });
}

void backward(Stream& stream, const TokenMergeBackward& a, void*) {
  visit(a.dout.dtype, [&]<class T>(T) {
    const Gather<T> kept{.x = matrix<const T>(a.dout),
                         .ids = indices(a.ids),
                         .x_rows = size(a.dout, 1),
                         .class_tokens = 1,
                         .kept_classes = 1};
    const OfMaskedPatches masked{.rank = indices(a.rank), .K = size(a.ids, 1), .L = size(a.rank, 1)};
    if (a.dx) write_rows<T>(stream, wide<T>(a, a.dx.cols()), kept, a.dx);
    if (a.dtable) write_sums<T, T>(stream, a.dout, masked, a.dout.shape[0], a.dtable, Write::overwrite);
  });
}

}  // namespace

const Variant<TokenMergeForward> forward_rows[] = {
    {.name = "rows", .refuses = refuses_tokens<TokenMergeForward>, .run = forward}};
const Variant<TokenMergeBackward> backward_rows[] = {
    {.name = "rows", .refuses = refuses_tokens<TokenMergeBackward>, .run = backward}};

}  // namespace kernels::MAE_GPU

namespace kernels {
const Rows<TokenMergeForward> TokenMergeForward::MAE_GPU{MAE_GPU::forward_rows};
const Rows<TokenMergeBackward> TokenMergeBackward::MAE_GPU{MAE_GPU::backward_rows};
}  // namespace kernels
