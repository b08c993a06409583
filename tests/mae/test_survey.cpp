#include <chrono>
#include <cmath>
#include <thread>

#include "kernels/core/check.h"
#include "mae/survey.h"
#include "tests/support/catch.h"
#include "tests/support/noise.h"

using namespace mae;
using kernels::DType;

namespace {

/// Noise of different sizes; channel c of image i lies about 40 i + 7 c.
template <class T>
Dataset noise_data(std::int64_t size, int channels, DType dtype, double scale) {
  Dataset data;
  data.path = "noise";
  data.size = size;
  data.channels = channels;
  data.dtype = dtype;
  data.image = [=](std::int64_t i) {
    Image image = make_image(3 + static_cast<int>(i % 4), 5 + static_cast<int>(i % 3), channels, dtype);
    const auto count = image.pixels.size() / sizeof(T);
    const auto noise = support::noise_bytes(count, static_cast<std::uint32_t>(i));
    for (std::size_t p = 0; p < count; ++p) {
      const double base =
          static_cast<double>(i % 5) * 20 + static_cast<double>(p % static_cast<std::size_t>(channels)) * 7;
      image.as<T>()[p] = static_cast<T>(scale * (base + std::to_integer<int>(noise[p]) % 100));
    }
    return image;
  };
  return data;
}

std::vector<std::uint32_t> all_of(const Dataset& data) {
  std::vector<std::uint32_t> samples(static_cast<std::size_t>(data.size));
  for (std::size_t i = 0; i < samples.size(); ++i) samples[i] = static_cast<std::uint32_t>(i);
  return samples;
}

/// Mean and deviation of a channel in long double, by the definition in survey.h: E[x^2] - E[x]^2, images as equals.
template <class T>
std::pair<double, double> by_definition(const Dataset& data, std::size_t channel) {
  long double first = 0, second = 0;
  for (std::int64_t i = 0; i < data.size; ++i) {
    const Image image = data.image(i);
    long double sum = 0, squares = 0;
    const std::size_t pixels = image.pixels.size() / sizeof(T) / static_cast<std::size_t>(image.channels);
    for (std::size_t p = 0; p < pixels; ++p) {
      const long double x = image.as<T>()[p * static_cast<std::size_t>(image.channels) + channel];
      sum += x;
      squares += x * x;
    }
    first += sum / static_cast<long double>(pixels);
    second += squares / static_cast<long double>(pixels);
  }
  const auto n = static_cast<long double>(data.size);
  first /= n;
  return {static_cast<double>(first), static_cast<double>(std::sqrt(second / n - first * first))};
}

template <class T>
void check_against_definition(const Dataset& data) {
  const Survey s = survey(data, all_of(data), {.workers = 2});
  REQUIRE(s.channels.size() == static_cast<std::size_t>(data.channels));
  for (std::size_t c = 0; c < s.channels.size(); ++c) {
    const auto [mean, std] = by_definition<T>(data, c);
    CHECK(s.channels[c].mean == Approx(mean).epsilon(1e-12));
    CHECK(s.channels[c].std() == Approx(std).epsilon(1e-10));
  }
}

}  // namespace

TEST_CASE("mean and deviation are those of the definition, for every pixel type") {
  check_against_definition<std::uint8_t>(noise_data<std::uint8_t>(83, 3, DType::u8, 1));
  check_against_definition<std::uint16_t>(noise_data<std::uint16_t>(83, 13, DType::u16, 250));
  check_against_definition<float>(noise_data<float>(83, 2, DType::f32, 0.00125));
}

TEST_CASE("sizes and the range of values; the same bits for any number of workers") {
  Dataset data = noise_data<std::uint8_t>(120, 3, DType::u8, 1);
  data.image = [inner = data.image](std::int64_t i) {
    if (i == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the others overtake it
    return inner(i);
  };
  const std::vector<std::uint32_t> samples = all_of(data);
  const Survey one = survey(data, samples, {.workers = 1});
  CHECK(one.images == 120);
  CHECK(one.sizes.size() == 12);
  CHECK(one.sizes.at({3, 5}) == 10);
  CHECK((one.smallest() == 0 && one.largest() <= 80 + 14 + 99 && one.largest() > 180));
  CHECK(one.channels[2].smallest == 14);
  for (const int workers : {2, 5, 16}) {
    const Survey many = survey(data, samples, {.workers = workers});
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(many.channels[c].mean == one.channels[c].mean);
      CHECK(many.channels[c].squares == one.channels[c].squares);
    }
    CHECK(many.sizes == one.sizes);
  }
  CHECK(survey(data, std::span(samples).first(7), {}).images == 7);
}

TEST_CASE("what cannot be read, and what is not finite, is named in order and left out") {
  Dataset data = noise_data<float>(100, 1, DType::f32, 0.01);
  data.image = [inner = data.image](std::int64_t i) {
    if (i == 17 || i == 71) throw kernels::Error("cut", std::to_string(i) + ".npy");
    Image image = inner(i);
    if (i == 40) image.as<float>()[3] = NAN;
    if (i == 41) std::fill_n(image.as<float>(), image.pixels.size() / 4, INFINITY);
    return image;
  };
  for (const int workers : {1, 3}) {
    const Survey s = survey(data, all_of(data), {.workers = workers});
    REQUIRE((s.unreadable.size() == 2 && s.not_finite.size() == 2));
    CHECK((s.unreadable[0].sample == 17 && s.unreadable[1].error.where() == "71.npy"));
    CHECK((s.not_finite[0].error.where() == "noise, sample 40" && s.not_finite[1].sample == 41));
    CHECK(s.images == 98);
    CHECK(s.channels[0].images == 97);  // 41 has nothing to count
    CHECK((std::isfinite(s.channels[0].mean) && std::isfinite(s.largest())));
  }
  data.image = [](std::int64_t) -> Image { throw kernels::Error("gone", "server"); };
  const Survey none = survey(data, all_of(data), {});
  CHECK((none.images == 0 && none.unreadable.size() == 100 && none.largest() == 0));
  data.image = [](std::int64_t i) -> Image {
    return i < 50 ? make_image(1, 1, 1, DType::f32) : throw std::bad_alloc();
  };
  CHECK_THROWS_AS(survey(data, all_of(data), {.workers = 2}), std::bad_alloc);
  CHECK(survey(data, all_of(data), {.workers = 2, .seconds = 0}).images == 0);  // no time
}

TEST_CASE("what a config makes of the values, and the scale that they have by nature") {
  Survey s;
  s.channels = {{.images = 1, .mean = 51, .squares = 25.5 * 25.5}, {.images = 1, .mean = 102, .squares = 51 * 51}};
  Config config;
  config.value_range = {255};
  config.mean = {0.1, 0.5};
  config.std = {0.2};
  const std::vector<Normalised> seen = normalised(s, config);
  CHECK((seen[0].mean == Approx(0.5) && seen[0].std == Approx(0.5)));
  CHECK((seen[1].mean == Approx(-0.5) && seen[1].std == Approx(1)));

  CHECK(full_scale(DType::u8, 3) == 255);
  CHECK(full_scale(DType::u16, 200) == 255);
  CHECK(full_scale(DType::u16, 4000) == 4095);
  CHECK(full_scale(DType::u16, 10000) == 16383);
  CHECK(full_scale(DType::u16, 65535) == 65535);
  CHECK(full_scale(DType::f32, 1) == 1);
  CHECK(full_scale(DType::f32, 0.3) == 1);
  CHECK(full_scale(DType::f32, 254.5) == 255);
  CHECK(full_scale(DType::f32, 0.004) == Approx(0.01));
  CHECK(full_scale(DType::f32, -3) == 1);
}
