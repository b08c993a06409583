#include "kernels/cases/tokens.h"
#include "tests/support/battery.h"

using namespace kernels;

TEST_CASE("patchify passes the battery") { test::battery<Patchify>(); }
TEST_CASE("unpatchify passes the battery") { test::battery<Unpatchify>(); }

namespace {

// 13 channels of 16 bits, 2 x 3 patches of side 3 on 6 x 9 pixels
constexpr std::int64_t B = 2, H = 6, W = 9, C = 13, P = 3, L = 6;

struct Cut {
  std::vector<std::uint16_t> images = std::vector<std::uint16_t>(B * H * W * C);
  std::vector<double> scale = std::vector<double>(C), shift = std::vector<double>(C);
  std::vector<double> patches = std::vector<double>(B * L * P * P * C);
  PatchOrder order;

  explicit Cut(PatchOrder o) : order(o) {
    for (std::size_t i = 0; i < images.size(); ++i) images[i] = static_cast<std::uint16_t>(i * 40503u);
    for (std::size_t c = 0; c < C; ++c) scale[c] = 0.5 + 0.1 * double(c), shift[c] = -7.0 + double(c);
  }
  void run(const View& ids = {}) {
    Stream stream(devices().front());
    launch(stream, Patchify{.images = view_of(images.data(), DType::u16, {B, H, W, C}),
                            .scale = view_of(scale.data(), DType::f64, {C}),
                            .shift = view_of(shift.data(), DType::f64, {C}),
                            .ids = ids,
                            .patches = view_of(patches.data(), DType::f64, {B, ids ? ids.cols() : L, P * P * C}),
                            .patch = P,
                            .order = order});
  }
};

}  // namespace

TEST_CASE("patchify puts every value where the index formulas say") {
  for (PatchOrder order : {PatchOrder::row_column_channel, PatchOrder::channel_row_column}) {
    Cut cut(order);
    cut.run();
    int wrong = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      for (std::int64_t y = 0; y < H; ++y) {
        for (std::int64_t x = 0; x < W; ++x) {
          for (std::int64_t c = 0; c < C; ++c) {
            const std::int64_t l = (y / P) * (W / P) + x / P, py = y % P, px = x % P;
            const std::int64_t inside =
                order == PatchOrder::row_column_channel ? (py * P + px) * C + c : (c * P + py) * P + px;
            const double pixel = cut.images[static_cast<std::size_t>(((b * H + y) * W + x) * C + c)];
            const auto channel = static_cast<std::size_t>(c);
            const double want = pixel * cut.scale[channel] + cut.shift[channel];
            const double got = cut.patches[static_cast<std::size_t>((b * L + l) * P * P * C + inside)];
            wrong += !(got == Approx(want).epsilon(1e-14));
          }
        }
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("unpatchify takes patchify back") {
  for (PatchOrder order : {PatchOrder::row_column_channel, PatchOrder::channel_row_column}) {
    Cut cut(order);
    cut.scale.assign(C, 1.0);
    cut.shift.assign(C, 0.0);
    cut.run();
    std::vector<double> back(cut.images.size(), -1.0);
    Stream stream(devices().front());
    launch(stream, Unpatchify{.patches = view_of(cut.patches.data(), DType::f64, {B, L, P * P * C}),
                              .images = view_of(back.data(), DType::f64, {B, H, W, C}),
                              .patch = P,
                              .order = order});
    CHECK(back == std::vector<double>(cut.images.begin(), cut.images.end()));
  }
}

TEST_CASE("patchify of some patches is patchify of all, and a gather") {
  for (PatchOrder order : {PatchOrder::row_column_channel, PatchOrder::channel_row_column}) {
    constexpr std::int64_t K = 4;
    Cut all(order), some(order);
    all.run();
    std::vector<std::int32_t> ids{5, 0, 3, 1, 2, 4, 4, 5, 0, 2, 3, 1};  // (B, L), of which the first K are taken
    const View taken = view_of(ids.data(), DType::i32, {B, K}, L);
    some.patches.assign(B * K * P * P * C, 0.0);
    some.run(taken);
    std::vector<double> gathered(some.patches.size());
    Stream stream(devices().front());
    launch(stream, TokenGatherForward{.x = view_of(all.patches.data(), DType::f64, {B, L, P * P * C}),
                                      .ids = taken,
                                      .out = view_of(gathered.data(), DType::f64, {B, K, P * P * C})});
    CHECK((some.patches == gathered));
  }
}

TEST_CASE("scale 1 / (r s) and shift -m / s normalise pixels of range r") {
  std::uint8_t pixel = 204;  // 0.8 of 255
  float scale = 1.0f / (255 * 0.5f), shift = -0.3f / 0.5f, patch = 0;
  Stream stream(devices().front());
  launch(stream, Patchify{.images = view_of(&pixel, DType::u8, {1, 1, 1, 1}),
                          .scale = view_of(&scale, DType::f32, {1}),
                          .shift = view_of(&shift, DType::f32, {1}),
                          .patches = view_of(&patch, DType::f32, {1, 1, 1}),
                          .patch = 1});
  CHECK(patch == Approx((0.8 - 0.3) / 0.5));
}

TEST_CASE("a patch side that does not divide the image is refused") {
  Patchify a = Case<Patchify>::make(Dims("B=1 H=28 W=28 C=1 P=4"), DType::f32)[0];
  CHECK_NOTHROW(validate(a));
  for (int patch : {5, 0, -4}) {
    a.patch = patch;
    CHECK_THROWS_WITH(validate(a), ContainsSubstring("must divide"));
  }
  a.patch = 7;  // divides, but patches were cut for 4
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("patches must be"));
  a.patch = 4;
  a.ids = shaped(DType::i32, {1, 50});  // there are 49
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("K at most"));
}

TEST_CASE("of some patches, only their pixels are counted as read") {
  const auto all = Case<Patchify>::make(Dims("B=2 H=64 W=32 C=3 P=16 K=2"), DType::f32);
  const double table = 2 * 3 * 4, ids = 2 * 2 * 4;
  CHECK(cost(all[0]).bytes == 2 * 8 * 768 * (1 + 4) + table);  // u8 to f32
  REQUIRE(all[8].ids);
  CHECK(cost(all[8]).bytes == 2 * 2 * 768 * (1 + 4) + table + ids);
}
