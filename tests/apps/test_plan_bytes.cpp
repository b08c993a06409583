// What a step moves and launches, against a count by hand of the plan in docs/execution.md, "plan P" below.
//
// u is one tensor of tokens x width in bf16. A block of plan P moves 30 u forward and 52 u backward, and a few bytes a
// token of statistics; parameters cost 8 bytes each for three products (their gradients are f32), and 34 for the
// update.
#include "apps/step_plan.h"
#include "tests/support/catch.h"

using apps::StepPlan;

namespace {

StepPlan planned(const char* model, std::int64_t batch, const mae::Execution& execution) {
  kernels::Stream stream(kernels::devices().front(), kernels::StreamMode::dry);
  return apps::plan_step(stream, {.config = mae::preset(model),
                                  .execution = execution,
                                  .batch = batch,
                                  .micro_batch = batch,
                                  .compute = kernels::DType::bf16});
}

/// Bytes an image, counted by hand.
struct Count {
  double L, K, M, D, E, H, G, V;  // patches, kept, masked; widths and heads of encoder and decoder; values of a patch
  double depth, decoder_depth, parameters, batch;

  explicit Count(const mae::Config& c, double of_parameters, double images)
      : L(static_cast<double>(c.patches())),
        K(static_cast<double>(c.keep())),
        M(L - K),
        D(c.dim),
        E(c.decoder_dim),
        H(c.heads),
        G(c.decoder_heads),
        V(static_cast<double>(c.patch_values())),
        depth(c.depth),
        decoder_depth(c.decoder_depth),
        parameters(of_parameters),
        batch(images) {}

  static double u(double tokens, double width) { return 2 * tokens * width; }
  double encoder_u() const { return u(1 + K, D); }
  double decoder_u() const { return u(1 + L, E); }

  /// 82 u; attention's lse three times, the two norms' mean and rstd four times in all
  static double block(double tokens, double width, double heads) {
    return 82 * u(tokens, width) + 8 * tokens * heads + 32 * tokens;
  }
  double weights() const { return (8 + 34) * parameters / batch; }

  /// Final norms (forward 2 u, backward 3 u), three products of decoder_embed and its bias.
  double between() const { return 5 * encoder_u() + 16 * (1 + K) + 6 * (1 + K) * (D + E) + u(1 + K, E); }
  /// Kept pixels in and out as patches, two products and a bias, class token and positions added and taken back.
  double embedding_of_kept() const {
    return 3 * K * V + 4 * K * (V + D) + u(K, D) + u(K, D) + encoder_u() + 2 * u(K, D);
  }

  double trimmed() const {
    const double x = u(1 + K, E), all = decoder_u(), m = u(M, E);
    // distinct rows: written from the encoded ones; norm and qkv of those alone; merges forward and backward
    const double first = block(1 + L, E, G) - 18 * all + 18 * x + 2 * x + (1 + 3) * (x + all + 2 * x + m) - 16 * M;
    // norm, keys and values of all; the rest of the masked rows, which are gathered twice and returned twice
    const double last_all = 2 * all + 3 * all + 2 * all + 4 * all + 3 * all + 3 * all + 4 * all + all;
    const double last_masked = 2 * m + 2 * m + 2 * m + 2 * m + 3 * m + 2 * m + 9 * m + 6 * m  // forward
                               + 24 * m + 4 * m + 4 * m + 4 * m + 2 * m + 2 * m + 3 * m + m;  // backward
    const double statistics = 8 * M * G + 16 * (1 + L) + 16 * M;
    const double head = 5 * m + 16 * M + 6 * M * (E + V) + 2 * M * V;
    const double loss = M * V + 4 * M * V;
    return embedding_of_kept() + depth * block(1 + K, D, H) + between() + first +
           (decoder_depth - 2) * block(1 + L, E, G) + last_all + last_masked + statistics + head + loss + weights();
  }

  double untrimmed() const {
    // biases 9 u; GELU and its gradient in passes of their own: 4 u and 8 u
    const double extra = 21;
    const double embedding = 3 * L * V + 4 * L * (V + D) + u(L, D)  // of all patches, then gathered
                             + 2 * u(K, D) + u(K, D) + u(L, D)      //
                             + u(K, D) + encoder_u() + 2 * u(K, D);
    const double scatter = u(1 + K, E) + decoder_u() + 2 * u(1 + K, E) + u(M, E);
    const double head = 5 * decoder_u() + 16 * (1 + L) + 6 * (1 + L) * (E + V) + 2 * (1 + L) * V;
    const double loss = 3 * L * V + 2 * M * V * 2 + 4 * M * V + 2 * (1 + L) * V;
    return embedding + depth * (block(1 + K, D, H) + extra * encoder_u()) + between() + scatter +
           decoder_depth * (block(1 + L, E, G) + extra * decoder_u()) + head + loss + weights();
  }
};

}  // namespace

TEST_CASE("a planned step moves the bytes of plan P, and less where work is left out") {
  struct Row {
    const char* model;
    std::int64_t batch;
    double plan_p;  // MB an image, with bf16 gradients and nothing left out
  };
  for (const Row& row : {Row{"mae_vit_base_patch16", 1024, 217}, Row{"mae_vit_large_patch16", 512, 361},
                         Row{"mae_vit_huge_patch14", 256, 703}}) {
    INFO(row.model);
    const auto batch = static_cast<double>(row.batch);
    const StepPlan on = planned(row.model, row.batch, {}), off = planned(row.model, row.batch, mae::plain_execution());
    const Count count(mae::preset(row.model), static_cast<double>(on.trainable), batch);
    CHECK(on.bytes / batch == Approx(count.trimmed()).epsilon(3e-4));
    CHECK(off.bytes / batch == Approx(count.untrimmed()).epsilon(3e-4));
    // plan P's own figure, with 8 bytes more a parameter for gradients in f32: what is left out pays for the rest
    CHECK(on.bytes / batch < 1e6 * row.plan_p + 8 * count.parameters / batch);
    CHECK(on.bytes / batch > 0.95 * 1e6 * row.plan_p);
  }
}

TEST_CASE("a planned step has 18 launches a block, and a few at its edges") {
  const StepPlan on = planned("mae_vit_base_patch16", 64, {}),
                 off = planned("mae_vit_base_patch16", 64, mae::plain_execution());
  constexpr double blocks = 12 + 8;
  CHECK(on.launches - 18 * blocks == 39);
  CHECK(off.launches - (18 + 2 + 4) * blocks == 31);  // GELU twice, four biases
}
