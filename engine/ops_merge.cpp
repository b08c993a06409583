#include "engine/ops_common.h"
#include "kernels/elementwise.h"
#include "kernels/token_merge.h"

namespace engine {
namespace {

/// The two parts of distinct rows (B (1 + K) + L, C).
struct Parts {
  View tokens;  // (B, 1 + K, C)
  View table;   // (L, C)
};
Parts parts_of(const View& rows, std::int64_t B, std::int64_t L) {
  const std::int64_t C = rows.cols(), tokens = rows.rows() - L;
  return {rows_of(rows, 0, {B, tokens / B, C}), rows_of(rows, tokens, {L, C})};
}

/// dpositions = or += the gradients of all rows that a position was added to.
void position_gradient(Context& back, const Parts& dy, const Masking& masking, const Parameter& positions) {
  const std::int64_t L = masking.patches(), C = dy.table.cols();
  const View all = positions.gradient({1 + L, C});
  launch(back.stream, kernels::TokenEmbedBackward{.dout = dy.tokens,
                                                  .rank = masking.rank.view,
                                                  .dpositions = all,
                                                  .parameter_mode = positions.take_write_mode()});
  // a sum over one row of L C columns is an addition that widens bf16; Accumulate wants one dtype
  launch(back.stream, kernels::ColumnSum{.x = kernels::view_of(dy.table.data, dy.table.dtype, {1, L * C}),
                                         .out = kernels::view_of(rows_of(all, 1, {L, C}).data, all.dtype, {L * C}),
                                         .mode = kernels::Write::accumulate});
}

}  // namespace

Tensor distinct_tokens(Context& c, const Tensor& x, const Parameter& mask_token, const Parameter& positions,
                       const Masking& masking) {
  const OpScope scope(c.profile, "distinct_tokens");
  const std::int64_t B = x.shape()[0], K = x.shape()[1] - 1, C = x.shape()[2], L = masking.patches();
  const Shape token{1, C};
  if (c.profile) c.profile->read_parameters(static_cast<double>(C));
  const View table = positions.value({1 + L, C});
  Tensor rows = c.tensor({B * (1 + K) + L, C});
  const Parts out = parts_of(rows.view, B, L);
  launch(c.stream,
         kernels::TokenEmbedForward{.x = x.view, .positions = table, .ids = masking.kept(K), .out = out.tokens});
  launch(c.stream, kernels::AddRow{.x = rows_of(table, 1, {L, C}), .row = mask_token.value(token), .out = out.table});
  if (!c.tape) return rows;
  c.tape->record(c, "distinct_tokens", rows, {masking.rank, masking.ids},
                 [=, x = gradient_only(x)](Context& back, Gradient& dy) {
                   const Parts gradient = parts_of(dy.view, B, L);
                   bias_gradient(back, gradient.table, mask_token);
                   if (positions.trainable()) position_gradient(back, gradient, masking, positions);
                   give_gradient(back, x, {gradient.tokens, dy.storage});
                 });
  return rows;
}

Tensor merge_tokens(Context& c, const Tensor& rows, const Masking& masking) {
  const OpScope scope(c.profile, "merge_tokens");
  const std::int64_t B = masking.rank.shape()[0], L = masking.patches(), C = rows.shape()[1];
  const Parts from = parts_of(rows.view, B, L);
  const std::int64_t K = from.tokens.shape[1] - 1;
  Tensor out = c.tensor({B, 1 + L, C});
  launch(c.stream,
         kernels::TokenMergeForward{.x = from.tokens, .table = from.table, .rank = masking.rank.view, .out = out.view});
  if (!c.tape || !tracked(rows)) return out;
  c.tape->record(c, "merge_tokens", out, {masking.rank, masking.ids},
                 [=, rows = gradient_only(rows)](Context& back, Gradient& dy) {
                   const Tensor gradient = back.tensor(rows.shape());
                   const Parts to = parts_of(gradient.view, B, L);
                   launch(back.stream, kernels::TokenMergeBackward{.dout = dy.view,
                                                                   .rank = masking.rank.view,
                                                                   .ids = masking.kept(K),
                                                                   .dx = to.tokens,
                                                                   .dtable = to.table});
                   give_gradient(back, rows, {gradient.view, gradient.storage});
                 });
  return out;
}

}  // namespace engine
