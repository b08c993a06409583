#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <set>

#include "kernels/core/check.h"
#include "mae/loader.h"
#include "tests/support/catch.h"
#include "tests/support/noise.h"
#include "tests/support/temp_dir.h"

using namespace mae;
using kernels::DType;

namespace {

/// Noise images of different sizes, labels of their own.
Dataset noise_data(std::int64_t size, int channels = 3, DType dtype = DType::u8) {
  Dataset data;
  data.path = "noise";
  data.size = size;
  data.channels = channels;
  data.dtype = dtype;
  data.image = [channels, dtype](std::int64_t i) {
    Image image = make_image(9 + static_cast<int>(i % 4), 8 + static_cast<int>(i % 5), channels, dtype);
    image.pixels = support::noise_bytes(image.pixels.size(), static_cast<std::uint32_t>(i));
    return image;
  };
  data.label = [](std::int64_t i) { return static_cast<int>(i * 7 % 11); };
  return data;
}

const LoaderOptions small{.seed = 5, .batch = 20, .height = 8, .width = 6, .workers = 0};

bool same(const Batch& a, const Batch& b) { return a.pixels == b.pixels && a.draws == b.draws && a.labels == b.labels; }

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("an epoch's order is a permutation that never changes") {
  CHECK(epoch_order(10, 1, 0) == std::vector<std::uint32_t>{2, 0, 8, 3, 6, 5, 9, 7, 1, 4});
  CHECK(epoch_order(10, 1, 1) == std::vector<std::uint32_t>{3, 5, 7, 1, 4, 2, 0, 8, 6, 9});
  for (const std::int64_t n : {1, 2, 5, 1000, 4099}) {
    std::vector<std::uint32_t> order = epoch_order(n, 77, 3);
    CHECK((n < 5 || order != epoch_order(n, 78, 3)));
    std::sort(order.begin(), order.end());
    std::vector<std::uint32_t> all(static_cast<std::size_t>(n));
    std::iota(all.begin(), all.end(), 0u);
    CHECK(order == all);
  }
}

TEST_CASE("an epoch in parts leaves nothing out: its last part is short, and batches run on across epochs") {
  LoaderOptions options = small;
  options.batch = 16;
  options.part = 4;
  Loader loader(noise_data(18), options);  // 5 parts an epoch, the last of 2; 4 make a batch
  REQUIRE(loader.steps_per_epoch().value() == 1.25);
  std::vector<std::uint32_t> seen;
  const std::vector<std::vector<std::int64_t>> parts{
      {4, 4, 4, 4}, {2, 4, 4, 4}, {4, 2, 4, 4}, {4, 4, 2, 4}, {4, 4, 4, 2}};
  for (std::size_t step = 0; step < 5; ++step) {
    const Batch batch = loader.get(static_cast<std::int64_t>(step));
    CHECK(batch.parts == parts[step]);
    const auto size = static_cast<std::size_t>(std::accumulate(batch.parts.begin(), batch.parts.end(), 0));
    REQUIRE(batch.draws.size() == 2 * size);
    CHECK(batch.pixels.size() == size * 8 * 6 * 3);
    for (std::size_t i = 0; i < size; ++i) {
      CHECK(batch.samples[i] == batch.draws[2 * i]);
      CHECK(batch.draws[2 * i + 1] == seen.size() / 18);
      CHECK(batch.labels[i] == static_cast<int>(batch.samples[i] * 7 % 11));
      seen.push_back(batch.samples[i]);
    }
  }
  REQUIRE(seen.size() == 4 * 18);
  for (std::uint32_t e = 0; e < 4; ++e) {
    const std::vector<std::uint32_t> order = epoch_order(18, small.seed, e);
    CHECK(std::equal(order.begin(), order.end(), seen.begin() + 18 * e));
  }
  options.workers = 2;
  Loader threads(noise_data(18), options);
  for (const std::int64_t step : {0, 1, 2, 3, 4, 1}) CHECK(same(threads.get(step), loader.get(step)));
  options.part = 5;
  CHECK_THROWS_AS(Loader(noise_data(18), options), kernels::Error);
  options.part = 4;
  options.count = 8;
  CHECK_THROWS_AS(Loader(noise_data(18), options), kernels::Error);
}

TEST_CASE("a batch holds the augmented samples of the order") {
  const Dataset data = noise_data(47);
  Loader loader(data, small);
  REQUIRE(loader.steps_per_epoch().value() == 2);
  const Batch batch = loader.get(3);  // the second of epoch 1
  const std::vector<std::uint32_t> order = epoch_order(47, 5, 1);
  CHECK(reinterpret_cast<std::uintptr_t>(batch.pixels.data()) % 64 == 0);
  REQUIRE(batch.pixels.size() == 20 * 8 * 6 * 3);
  for (std::uint32_t i = 0; i < 20; ++i) {
    const std::uint32_t sample = order[20 + i];
    CHECK(batch.draws[2 * i] == sample);
    CHECK(batch.draws[2 * i + 1] == 1);
    CHECK(batch.labels[i] == static_cast<int>(sample * 7 % 11));
    const Image image = data.image(sample);
    const DrawOf draw{.seed = 5, .sample = sample, .epoch = 1};
    Crop crop = random_crop(image.height, image.width, {}, draw);
    crop.flip = random_flip(draw);
    const Image expected = apply(image, crop, 8, 6);
    CHECK(std::equal(expected.pixels.begin(), expected.pixels.end(), batch.pixels.begin() + i * 8 * 6 * 3));
  }
}

TEST_CASE("any number of workers gives the same bits, for 16 bits and 13 channels too") {
  for (const bool deep : {false, true}) {
    const Dataset data = deep ? noise_data(65, 13, DType::u16) : noise_data(65);
    LoaderOptions options = small;
    Loader plain(data, options);
    for (const int workers : {1, 2, 8}) {
      options.workers = workers;
      Loader loader(data, options);
      for (const std::int64_t step : {0, 1, 2, 3, 4, 11, 12, 2, 2, 1000}) {  // in order, and jumps both ways
        CAPTURE(workers, step);
        CHECK(same(loader.get(step), plain.get(step)));
      }
    }
  }
}

TEST_CASE("slices of a batch are parts of the whole one") {
  const Dataset data = noise_data(65);
  const Batch whole = Loader(data, small).get(4);
  LoaderOptions options = small;
  options.workers = 2;
  Batch joined;
  for (const auto& [first, count] : {std::pair{0, 7}, std::pair{7, 5}, std::pair{12, 0}}) {
    options.first = first;
    options.count = count;
    const Batch part = Loader(data, options).get(4);
    joined.pixels.insert(joined.pixels.end(), part.pixels.begin(), part.pixels.end());
    joined.draws.insert(joined.draws.end(), part.draws.begin(), part.draws.end());
    joined.labels.insert(joined.labels.end(), part.labels.begin(), part.labels.end());
  }
  CHECK(same(joined, whole));
}

TEST_CASE("an image and its crop do not depend on the batch size") {
  const Dataset data = noise_data(60);
  LoaderOptions options = small;
  const Batch twenty = Loader(data, options).get(1);
  options.batch = 10;
  const Batch ten = Loader(data, options).get(3);  // the second half of it
  CHECK(std::equal(ten.pixels.begin(), ten.pixels.end(), twenty.pixels.begin() + 10 * 8 * 6 * 3));
}

TEST_CASE("without augmentation an image of the right size is passed on, others are fitted") {
  const Dataset data = noise_data(40);
  LoaderOptions options = small;
  options.augmentation = no_augmentation;
  options.height = 9;
  options.width = 8;
  const Batch batch = Loader(data, options).get(0);
  for (std::uint32_t i = 0; i < 20; ++i) {
    const Image expected = fit(data.image(batch.draws[2 * i]), 9, 8);
    CHECK(std::equal(expected.pixels.begin(), expected.pixels.end(), batch.pixels.begin() + i * 9 * 8 * 3));
  }
}

TEST_CASE("what goes wrong in a worker is thrown by get, always the same, and later steps go on") {
  Dataset data = noise_data(60);
  const std::vector<std::uint32_t> order = epoch_order(60, 5, 0);
  data.image = [inner = data.image, bad = order[27], worse = order[39]](std::int64_t i) {
    if (i == bad) throw std::runtime_error("bit rot");
    if (i == worse) throw std::bad_alloc();
    return inner(i);
  };
  for (const int workers : {0, 1, 3}) {
    LoaderOptions options = small;
    options.workers = workers;
    Loader loader(data, options);
    const Batch before = loader.get(0);
    CHECK_THROWS_WITH(loader.get(1), ContainsSubstring("noise, sample " + std::to_string(order[27]) + ": bit rot"));
    CHECK(loader.get(2).draws.size() == 40);
    CHECK(same(loader.get(0), before));
    options.first = 8;  // a slice without the first bad sample
    CHECK_THROWS_WITH(Loader(data, options).get(1), ContainsSubstring("bad_alloc"));
  }
}

TEST_CASE("a damaged sample is replaced by the next whole one, the same for any number of workers and any start") {
  Dataset data = noise_data(60);
  const std::set<std::int64_t> bad{7, 8, 59};
  data.image = [inner = data.image, bad](std::int64_t i) {
    if (bad.contains(i)) throw kernels::Error("cut", std::to_string(i) + ".png", "");
    return inner(i);
  };
  LoaderOptions options = small;
  options.max_damaged = 0.05;
  std::vector<Batch> batches;
  for (const int workers : {0, 1, 2, 8}) {
    options.workers = workers;
    Loader loader(data, options);
    std::vector<std::int64_t> found;
    for (int step = 0; step < 6; ++step) {
      const Batch batch = loader.get(step);
      for (const Damaged& d : loader.take_damaged()) found.push_back(d.sample);
      if (workers == 0) batches.push_back(batch);
      CHECK(same(batch, batches[static_cast<std::size_t>(step)]));
    }
    std::sort(found.begin(), found.end());
    CHECK(found == std::vector<std::int64_t>{7, 8, 59});  // each once in two epochs
    CHECK(same(Loader(data, options).get(5), batches[5]));
  }
  const std::vector<std::uint32_t> order = epoch_order(60, 5, 0);
  for (std::size_t at = 0; at < 60; ++at) {
    if (!bad.contains(order[at])) continue;
    const std::int64_t taken = order[at] == 59 ? 0 : 9;
    const Batch& batch = batches[at / 20];
    CHECK(batch.draws[2 * (at % 20)] == order[at]);
    CHECK(batch.labels[at % 20] == data.label(taken));
    const DrawOf draw{.seed = 5, .sample = order[at], .epoch = 0};  // of the one that it stands in for
    const Image image = data.image(taken);
    Crop crop = random_crop(image.height, image.width, {}, draw);
    crop.flip = random_flip(draw);
    const Image expected = apply(image, crop, 8, 6);
    CHECK(std::equal(expected.pixels.begin(), expected.pixels.end(),
                     batch.pixels.begin() + static_cast<std::ptrdiff_t>(at % 20 * 8 * 6 * 3)));
  }
}

TEST_CASE("more damage than a share is an error, at the same step in every run") {
  Dataset data = noise_data(200);
  std::set<std::int64_t> bad;
  for (const std::int64_t at : {30, 50, 90}) bad.insert(epoch_order(200, 5, 0)[static_cast<std::size_t>(at)]);
  data.image = [inner = data.image, bad](std::int64_t i) {
    if (bad.contains(i)) throw kernels::Error("cut", "file " + std::to_string(i));
    return inner(i);
  };
  for (const int workers : {0, 1, 3}) {
    LoaderOptions options = small;
    options.workers = workers;  // 0.01 of 200: two are allowed
    Loader loader(data, options);
    for (int step = 0; step < 4; ++step) CHECK_NOTHROW(loader.get(step));
    CHECK_THROWS_WITH(loader.get(4), ContainsSubstring("3 of 200 images cannot be read"));
  }
  data.image = [](std::int64_t) -> Image { throw kernels::Error("gone", "server"); };
  CHECK_THROWS_WITH(Loader(data, small).get(0), ContainsSubstring("gone, and so are the 99 after it"));
}

TEST_CASE("a damaged file of a folder is named") {
  const support::TempDir dir;
  Image image = make_image(6, 6, 3, DType::u8);
  for (std::uint32_t i = 0; i < 6; ++i) {
    image.pixels = support::noise_bytes(image.pixels.size(), i);
    write_png(dir / (std::to_string(i) + ".png"), image);
  }
  const std::vector<std::byte> file = read_bytes(dir / "4.png");
  support::write_file(dir / "4.png", std::span(file).first(file.size() / 2));
  Loader loader(open_dataset(dir.string()), {.seed = 1, .batch = 6, .height = 6, .width = 6, .workers = 2});
  CHECK_THROWS_WITH(loader.get(0), ContainsSubstring(dir / "4.png"));
}

TEST_CASE("a loader ends at once, whatever its workers do") {
  Dataset data = noise_data(4000);
  std::atomic<int> images = 0;
  data.image = [inner = data.image, &images](std::int64_t i) {
    ++images;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return inner(i);
  };
  LoaderOptions options = small;
  options.batch = 1000;
  options.workers = 3;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    Loader loader(data, options);
    if (i % 2 == 0) continue;  // never asked for anything
    options.batch = 10;
    Loader busy(data, options);
    busy.get(i);
    options.batch = 1000;
  }
  CHECK(seconds_since(start) < 10.0);  // a hang, or whole batches of 1000 at 2 ms, would be far above
  CHECK(images < 20000);
}

TEST_CASE("workers stay a bounded number of batches ahead") {
  Dataset data = noise_data(2000);
  std::atomic<int> images = 0;
  data.image = [inner = data.image, &images](std::int64_t i) {
    ++images;
    return inner(i);
  };
  LoaderOptions options = small;
  options.workers = 2;
  Loader loader(data, options);
  loader.get(0);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(images >= 2 * 20);  // the next batch was begun without being asked for
  CHECK(images <= 3 * 20);
  CHECK(loader.wait_seconds() > 0);
}

TEST_CASE("impossible options are refused") {
  const Dataset data = noise_data(30);
  LoaderOptions options = small;
  options.batch = 31;
  CHECK_THROWS_WITH(Loader(data, options), ContainsSubstring("batch of 31 from 30 images"));
  options.batch = 20;
  options.first = 15;
  options.count = 6;
  CHECK_THROWS_AS(Loader(data, options), kernels::Error);
}
