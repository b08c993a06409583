// The loader's threads: they end with it, whatever happens in them.
#include <chrono>
#include <filesystem>
#include <random>
#include <stdexcept>

#include "kernels/core/check.h"
#include "mae/loader.h"
#include "tests/support/catch.h"

using namespace mae;

namespace {

/// Grey images of one pixel; sample `bad` throws what no reader should.
Dataset pixels(std::int64_t size, std::int64_t bad = -1) {
  Dataset data;
  data.path = "pixels";
  data.size = size;
  data.channels = 1;
  data.image = [bad](std::int64_t i) {
    if (i == bad) throw std::runtime_error("struck");
    Image image = make_image(1, 1, 1, kernels::DType::u8);
    image.pixels[0] = static_cast<std::byte>(i % 251);
    return image;
  };
  return data;
}

LoaderOptions with_workers(int workers) {
  return {.seed = 3, .batch = 16, .height = 1, .width = 1, .augmentation = no_augmentation, .workers = workers};
}

std::int64_t threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator());
}

}  // namespace

TEST_CASE("a thousand loaders leave no thread behind") {
  const Dataset data = pixels(64), broken = pixels(64, 40);
  { const Loader first(data, with_workers(2)); }  // whatever a first thread brings with it
  const std::int64_t before = threads();
  for (int i = 0; i < 1000; ++i) {
    Loader loader(i % 5 == 0 ? broken : data, with_workers(1 + i % 8));
    try {
      for (int step = 0; step < i % 3; ++step) loader.get(step);
    } catch (const kernels::Error&) {  // of the broken one
    }
  }
  // a thread that was joined may stand in the list for a moment
  for (int wait = 0; wait < 100 && threads() > before; ++wait)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(threads() == before);
}

TEST_CASE("an exception in a worker, at any step, is an error of that step, and no hang") {
  std::mt19937 random(11);
  for (int i = 0; i < 40; ++i) {
    const std::int64_t bad = random() % 160, steps = 160 / 16;
    const std::vector<std::uint32_t> order = epoch_order(160, 3, 0);
    const std::int64_t at = std::find(order.begin(), order.end(), bad) - order.begin();
    for (const int workers : {1, 2, 8}) {
      INFO("sample " << bad << ", " << workers << " workers");
      const auto begin = std::chrono::steady_clock::now();
      Loader loader(pixels(160, bad), with_workers(workers));
      for (std::int64_t step = 0; step < at / 16; ++step) loader.get(step);
      CHECK_THROWS_WITH(loader.get(at / 16), ContainsSubstring("sample " + std::to_string(bad) + ": struck"));
      if (at / 16 + 1 < steps) CHECK_NOTHROW(loader.get(at / 16 + 1));
      CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
    }
  }
}
