#include <array>

#include "kernels/cases/mix_images.h"
#include "kernels/mix_noise.h"
#include "kernels/tokens.h"
#include "tests/support/threads.h"

using namespace kernels;

namespace {

template <class T>
struct Images {
  static constexpr std::int64_t B = 8, H = 9, W = 14, C = 3;
  static constexpr std::size_t each = H * W * C;

  std::vector<std::uint8_t> images;  // (B, H, W, C)
  std::vector<T> scale, shift, out;  // (C), (C), (B, H, W, C)
  std::vector<MixBoxes> boxes;       // (B)
  std::vector<double> lambda;        // (B)
  std::vector<std::uint32_t> draws;  // (B, 2)
  int group = 4;
  std::uint32_t seed = 3;

  Images() : images(B * each), scale{T(0.017), T(0.018), T(0.019)}, shift{T(-2.1), T(-2), T(-1.8)}, out(B * each) {
    for (std::size_t i = 0; i < images.size(); ++i) images[i] = static_cast<std::uint8_t>(i * 2654435761u >> 24);
    boxes.resize(B), lambda.assign(B, 1);
    for (std::uint32_t b = 0; b < B; ++b) draws.insert(draws.end(), {1000 + b, 7});
  }
  void run(const char* device = "cpu", const char* row = "") {
    Stream stream(find_device(device));
    launch(stream,
           MixImages{.images = view_of(images.data(), DType::u8, {B, H, W, C}),
                     .scale = view_of(scale.data(), dtype_of<T>, {C}),
                     .shift = view_of(shift.data(), dtype_of<T>, {C}),
                     .boxes = view_of(boxes.data(), DType::i32, {B, mix_box_fields}),
                     .lambda = view_of(lambda.data(), DType::f64, {B}),
                     .draws = view_of(draws.data(), DType::u32, {B, 2}),
                     .out = view_of(out.data(), dtype_of<T>, {B, H, W, C}),
                     .group = group,
                     .seed = seed},
           row);
  }
  T normalised(std::size_t b, std::size_t element) const {
    const std::size_t c = element % C;
    return T(images[b * each + element]) * scale[c] + shift[c];
  }
};

bool inside(std::size_t y, std::size_t x, const MixBox& box) {
  const int row = static_cast<int>(y) - box.top, column = static_cast<int>(x) - box.left;
  return row >= 0 && row < box.height && column >= 0 && column < box.width;
}

// The plain loop, with partners from a table and noise by its definition.
std::vector<double> plain(const Images<double>& a, const std::array<std::size_t, 8>& partner) {
  const auto value = [&](std::size_t b, std::size_t y, std::size_t x, std::size_t c) {
    const MixBoxes& box = a.boxes[b];
    const auto e = static_cast<std::uint32_t>((y * a.W + x) * a.C + c);
    if (!inside(y, x, box.erase)) return a.normalised(b, e);
    const PhiloxWords w = philox({e / 4, 0, a.draws[2 * b], a.draws[2 * b + 1]}, {a.seed, 10});
    const std::uint32_t u = w.w[e % 4 < 2 ? 0 : 2], v = w.w[e % 4 < 2 ? 1 : 3];
    const double radius = std::sqrt(-2 * std::log(1 - uniform(u))), angle = 2 * M_PI * uniform(v);
    return e % 2 == 0 ? radius * std::cos(angle) : radius * std::sin(angle);
  };
  std::vector<double> out;
  for (std::size_t b = 0; b < 8; ++b) {
    const MixBoxes& box = a.boxes[b];
    for (std::size_t i = 0; i < a.each; ++i) {
      const std::size_t c = i % a.C, x = i / a.C % a.W, y = i / a.C / a.W, p = partner[b];
      const double own = value(b, y, x, c), other = value(p, y, x, c);
      if (box.cut.height * box.cut.width > 0) out.push_back(inside(y, x, box.cut) ? other : own);
      else out.push_back(a.lambda[b] * own + (1 - a.lambda[b]) * other);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("mix_images passes the battery") { test::battery<MixImages>(); }

TEST_CASE("mix_images is its plain loop, for partners in groups of 1, 2, 4 and 8") {
  const std::array<std::array<std::size_t, 8>, 4> partners{
      {{0, 1, 2, 3, 4, 5, 6, 7}, {1, 0, 3, 2, 5, 4, 7, 6}, {3, 2, 1, 0, 7, 6, 5, 4}, {7, 6, 5, 4, 3, 2, 1, 0}}};
  for (std::size_t k = 0; k < 4; ++k) {
    Images<double> a;
    a.group = 1 << k;
    a.boxes = {{},
               {.erase = {1, 2, 5, 7}, .cut = {}},
               {.erase = {}, .cut = {3, 0, 6, 5}},
               {.erase = {8, 13, 1, 1}, .cut = {0, 0, 9, 14}},
               {.erase = {0, 0, 9, 14}, .cut = {2, 2, 3, 3}},
               {.erase = {2, 3, 0, 4}, .cut = {5, 5, 4, 0}},      // without area
               {.erase = {-2, 9, 5, 50}, .cut = {4, -7, 1, 99}},  // reach beyond the image
               {}};
    a.lambda = {0.3, 1, 0.5, 0.5, 1, 0.75, 0.2, 0.05};
    a.run();
    const std::vector<double> want = plain(a, partners[k]);
    double worst = 0;
    for (std::size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(a.out[i] - want[i]));
    CHECK(worst < 1e-14);
    Images<float> fast;
    fast.group = a.group, fast.boxes = a.boxes, fast.lambda = a.lambda;
    fast.run("cpu", "fast");
    worst = 0;
    for (std::size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(double(fast.out[i]) - want[i]));
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("where nothing is drawn, mix_images is patchify's normalisation to the bit") {
  const auto check = [](auto a, const char* device) {
    using T = typename decltype(a.scale)::value_type;
    a.images[5] = 0, a.images[6] = 255;
    for (const int group : {1, 8}) {
      a.group = group;
      a.run(device);
      std::vector<T> patches(a.out.size());
      Stream stream(find_device(device));
      launch(stream, Patchify{.images = view_of(a.images.data(), DType::u8, {a.B, a.H, a.W, a.C}),
                              .scale = view_of(a.scale.data(), dtype_of<T>, {a.C}),
                              .shift = view_of(a.shift.data(), dtype_of<T>, {a.C}),
                              .patches = view_of(patches.data(), dtype_of<T>, {a.B, a.H * a.W, a.C}),
                              .patch = 1});
      CHECK((a.out == patches));
    }
  };
  check(Images<double>(), "cpu");
  check(Images<float>(), "cpu");
  if (with_simt) check(Images<float>(), "simt");
}

TEST_CASE("what is erased is noise of mean 0 and variance 1, of its own for each sample, epoch and seed") {
  Images<float> a;
  for (MixBoxes& box : a.boxes) box.erase = {0, 0, 9, 14};
  double sum = 0, squares = 0, fourth = 0, neighbours = 0, count = 0;
  for (a.draws[1] = 0; a.draws[1] < 40; ++a.draws[1]) {
    for (std::size_t b = 0; b < a.B; ++b) a.draws[2 * b + 1] = a.draws[1];
    a.run();
    for (std::size_t i = 0; i < a.out.size(); ++i) {
      const double v = a.out[i];
      sum += v, squares += v * v, fourth += v * v * v * v, count += 1;
      if (i > 0) neighbours += v * double(a.out[i - 1]);
    }
  }
  REQUIRE(count > 1e5);
  CHECK(std::abs(sum / count) < 4 / std::sqrt(count));  // four deviations
  CHECK(std::abs(squares / count - 1) < 4 * std::sqrt(2 / count));
  CHECK(std::abs(fourth / count - 3) < 4 * std::sqrt(96 / count));
  CHECK(std::abs(neighbours / count) < 4 / std::sqrt(count));

  const auto equal_samples = [](const Images<float>& one, const Images<float>& other) {
    int equal = 0;
    for (std::size_t i = 0; i < one.out.size(); ++i) equal += one.out[i] == other.out[i];
    return equal;
  };
  Images<float> same = a, seeded = a, later = a;
  a.run(), same.run();
  CHECK((a.out == same.out));
  seeded.seed += 1, seeded.run();
  for (std::size_t b = 0; b < a.B; ++b) later.draws[2 * b + 1] += 1;
  later.run();
  CHECK(equal_samples(a, seeded) < 5);
  CHECK(equal_samples(a, later) < 5);
  CHECK_FALSE(std::equal(a.out.begin(), a.out.begin() + a.each, a.out.begin() + a.each));
}

TEST_CASE("a sample's noise does not depend on its place in the batch") {
  Images<float> a, turned;
  for (Images<float>* images : {&a, &turned}) {
    images->group = 1;
    for (MixBoxes& box : images->boxes) box.erase = {2, 3, 5, 9};
  }
  turned.draws[2 * 6] = a.draws[2 * 1];
  std::copy_n(a.images.begin() + a.each, a.each, turned.images.begin() + 6 * a.each);
  a.run(), turned.run();
  CHECK(std::equal(a.out.begin() + a.each, a.out.begin() + 2 * a.each, turned.out.begin() + 6 * a.each));
}

TEST_CASE("mix_images has the same bits with any number of threads") {
  const std::vector<MixImages> cases = Case<MixImages>::make(Dims("B=8 H=16 W=20 C=3 G=8"), DType::f32);
  for (const MixImages& a : cases) test::check_threads(a, "reference");
  test::check_threads(cases.front(), "fast");
}

TEST_CASE("mix_images refuses odd groups, and groups that do not divide the batch") {
  MixImages a = Case<MixImages>::make(Dims("B=12 H=5 W=5 C=3 G=4"), DType::f32)[0];
  for (const int group : {1, 2, 4, 6, 12}) {
    a.group = group;
    CHECK_NOTHROW(validate(a));
  }
  for (const int group : {3, 0, -2}) {
    a.group = group;
    CHECK_THROWS_WITH(validate(a), ContainsSubstring("group must be even"));
  }
  a.group = 8;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("group must divide B"));
}
