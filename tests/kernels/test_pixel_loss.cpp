#include "kernels/cases/loss.h"
#include "tests/support/battery.h"
#include "tests/support/threads.h"

using namespace kernels;

TEST_CASE("pixel_loss passes the battery") { test::battery<PixelLoss>(); }

namespace {

using Values = std::vector<double>;

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

/// Launches in f64 on the CPU.
template <class Args>
void run(const Args& args) {
  Stream stream(devices().front());
  const auto& row = choose(stream.device(), args);
  Values scratch(row.scratch_bytes(stream.device(), args) / sizeof(double) + 1);
  stream.lend_scratch(scratch.data(), scratch.size() * sizeof(double));
  launch(stream, args);
}

struct Sizes {
  std::int64_t height, width, channels;
  int patch;
  PatchOrder order = PatchOrder::row_column_channel;
};

/// Three images, all but two of their patches masked; the loss by PixelLoss, and by the kernels that it is instead of.
struct Images {
  static constexpr std::int64_t B = 3, keep = 2;
  Sizes s;
  PixelTarget pixels;
  std::int64_t L = s.height / s.patch * (s.width / s.patch), M = L - keep, P = s.patch * s.patch * s.channels;
  double factor = 1.0 / double(B * M * P), loss = 0, loss_of_three = 0;
  std::vector<std::uint8_t> images = std::vector<std::uint8_t>(size(B * s.height * s.width * s.channels));
  std::vector<std::int32_t> rank = std::vector<std::int32_t>(size(B * L)), ids = rank;
  Values scale = Values(size(s.channels)), shift = scale;
  Values pred = Values(size(B * M * P)), dpred = pred;                         // of masked patches
  Values all_pred = Values(size(B * (1 + L) * P), 9.0), all_dpred = all_pred;  // of class token and all patches
  Values target = Values(size(B * L * P)), mean = Values(size(B * L)), rstd = mean;

  Images(const Sizes& sizes, PixelTarget target_pixels) : s(sizes), pixels(target_pixels) {
    test::fill_random(view_of(images.data(), DType::u8, {std::int64_t(images.size())}), 1);
    for (std::size_t c = 0; c < scale.size(); ++c) scale[c] = 0.01 + 0.002 * double(c), shift[c] = -1.5 + double(c);
    fill_permutations(of(rank, L), of(ids, L), L);
    test::fill_random(of(pred, M), 2);
    for (std::int64_t r = 0; r < B * M; ++r) std::copy_n(&pred[size(r * P)], P, &all_pred[size(all_row(r) * P)]);
  }

  View of(std::vector<std::int32_t>& v, std::int64_t T) { return view_of(v.data(), DType::i32, {B, T}); }
  View of(Values& v, std::int64_t T) { return view_of(v.data(), DType::f64, {B, T, P}); }
  View constant(Values& v) { return view_of(v.data(), DType::f64, {s.channels}); }
  View pixel_view() { return view_of(images.data(), DType::u8, {B, s.height, s.width, s.channels}); }
  // the row of prediction r of the B M among predictions of all patches
  std::int64_t all_row(std::int64_t r) const { return r / M * (1 + L) + 1 + ids[size(r / M * L + keep + r % M)]; }

  PixelLoss args() {
    return {.images = pixel_view(),
            .scale = constant(scale),
            .shift = constant(shift),
            .pred = of(pred, M),
            .ids = view_of(ids.data() + keep, DType::i32, {B, M}, L),
            .loss = view_of(&loss, DType::f64, {1}),
            .dpred = of(dpred, M),
            .patch = s.patch,
            .order = s.order,
            .pixels = pixels,
            .factor = factor};
  }
  void three_kernels() {
    const bool normalized = pixels == PixelTarget::normalized;
    const View m = normalized ? view_of(mean.data(), DType::f64, {B, L}) : View{};
    const View r = normalized ? view_of(rstd.data(), DType::f64, {B, L}) : View{};
    run(Patchify{.images = pixel_view(),
                 .scale = constant(scale),
                 .shift = constant(shift),
                 .patches = of(target, L),
                 .patch = s.patch,
                 .order = s.order});
    run(MaskedMseForward{.pred = of(all_pred, 1 + L),
                         .target = of(target, L),
                         .rank = of(rank, L),
                         .loss = view_of(&loss_of_three, DType::f64, {1}),
                         .mean = m,
                         .rstd = r,
                         .keep = keep,
                         .scale = factor,
                         .pixels = pixels});
    run(MaskedMseBackward{.pred = of(all_pred, 1 + L),
                          .target = of(target, L),
                          .rank = of(rank, L),
                          .mean = m,
                          .rstd = r,
                          .dpred = of(all_dpred, 1 + L),
                          .keep = keep,
                          .scale = factor});
  }
};

constexpr Sizes base{.height = 48, .width = 64, .channels = 3, .patch = 16};

}  // namespace

TEST_CASE("the loss on pixels is patchify and the masked loss, in one") {
  const Sizes huge{.height = 28, .width = 56, .channels = 3, .patch = 14},
      grey{.height = 28, .width = 28, .channels = 1, .patch = 4},
      many{.height = 6, .width = 9, .channels = 13, .patch = 3};
  Sizes planes = many;
  planes.order = PatchOrder::channel_row_column;
  for (PixelTarget pixels : {PixelTarget::raw, PixelTarget::normalized}) {
    for (const Sizes& sizes : {base, huge, grey, many, planes}) {
      Images a(sizes, pixels);
      run(a.args());
      a.three_kernels();
      CHECK(a.loss == Approx(a.loss_of_three).epsilon(1e-12));
      double worst = 0;
      for (std::int64_t r = 0; r < a.B * a.M; ++r) {
        for (std::int64_t p = 0; p < a.P; ++p)
          worst = std::max(worst, std::abs(a.dpred[size(r * a.P + p)] - a.all_dpred[size(a.all_row(r) * a.P + p)]));
      }
      CHECK(worst <= 1e-12 * a.factor);  // of slopes of about 2 factor
    }
  }
}

TEST_CASE("the loss on pixels has the same bits for any number of threads") {
  const auto cases = [](DType t) { return Case<PixelLoss>::make(Dims("B=3 H=28 W=56 C=3 P=14"), t)[0]; };
  test::check_threads(cases(DType::f32), "fast");
  test::check_threads(cases(DType::bf16), "widened");
  test::check_threads(cases(DType::f64), "reference");
}

TEST_CASE("the loss on pixels is the same where its gradient is not wanted") {
  Images a(base, PixelTarget::normalized);
  PixelLoss args = a.args();
  run(args);
  const double loss = a.loss;
  args.dpred = View{};
  run(args);
  CHECK(a.loss == loss);
}

TEST_CASE("a patch of one colour has no slope but its prediction") {
  Images a(base, PixelTarget::normalized);
  a.images.assign(a.images.size(), 77);
  a.shift.assign(a.shift.size(), 0.25);
  a.scale.assign(a.scale.size(), 0.5);
  run(a.args());
  for (std::size_t i : {std::size_t{0}, a.pred.size() - 1}) CHECK(a.dpred[i] == Approx(2 * a.factor * a.pred[i]));
}

TEST_CASE("the loss on pixels refuses what does not fit") {
  const PixelLoss good = Case<PixelLoss>::make(Dims("B=2 H=6 W=9 C=1 P=3"), DType::f32)[0];
  CHECK_NOTHROW(validate(good));
  PixelLoss a = good;
  a.patch = 2;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("must divide"));
  a = Case<PixelLoss>::make(Dims("B=2 H=6 W=9 C=1 P=3 M=7"), DType::f32)[0];  // there are 6 patches
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("M at most"));
  a = good;
  a.images.dtype = DType::i32;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("images must be"));
  const auto single = Case<PixelLoss>::make(Dims("B=2 H=6 W=9 C=1 P=1"), DType::f32);
  CHECK_THROWS_WITH(validate(single[0]), ContainsSubstring("has no variance"));
  CHECK_NOTHROW(validate(single[1]));  // raw
}

TEST_CASE("large patches go to the row that reads pixels again") {
  if constexpr (with_simt) {
    const Device device = find_device("simt");
    const auto row = [&](const char* shape) {
      return std::string(choose(device, Case<PixelLoss>::make(Dims(shape), DType::bf16)[0]).name);
    };
    CHECK(row("B=1 H=32 W=32 C=3 P=16") == "warp");
    CHECK(row("B=1 H=32 W=32 C=3 P=32") == "loop");
  }
}
