// The table of kernels by time, on launches made by hand.
#include "apps/kernel_times.h"

#include "tests/support/catch.h"

namespace {

engine::OpEntry op(const char* kernel, double flops, double bytes) {
  engine::OpEntry entry;
  entry.op = "op", entry.range = "encoder";
  entry.launches.push_back({.kernel = kernel, .row = "fast", .cost = {.flops = flops, .bytes = bytes}});
  return entry;
}

const std::vector<engine::OpEntry> ops{op("product", 4e9, 1e6), op("product", 2e9, 1e6), op("copy", 1e3, 3e9)};
const std::vector<engine::Span> spans{{0, 10}, {10, 5}, {15, 4}};
const apps::Rates rates{.flops = 1e12, .bytes = 1e12};

}  // namespace

TEST_CASE("a kernel's floor is the sum of its launches', each by its FLOPs or its bytes") {
  const apps::KernelTimes times = apps::kernel_times(ops, spans, apps::GroupBy::kernel, rates);
  REQUIRE(times.kernels.size() == 2);
  CHECK(times.kernels[0].name == "product=fast");
  CHECK(times.kernels[0].ms == Approx(15));
  CHECK(times.kernels[0].floor_ms == Approx(6));
  CHECK(times.kernels[1].floor_ms == Approx(3));
  CHECK(times.floor_ms == Approx(9));
  const std::string text = apps::kernel_table(times, 1, 1);
  CHECK_THAT(text, ContainsSubstring("floor ms"));
  CHECK_THAT(text, ContainsSubstring("78.9 %"));
  CHECK_THAT(text, ContainsSubstring("6.00"));
  CHECK_THAT(text, ContainsSubstring("the rest"));
  CHECK_THAT(text, ContainsSubstring("3.00"));
  CHECK_THAT(text, ContainsSubstring("19.00 ms a step in all, floor 9.00"));
}

TEST_CASE("without rates there is no floor") {
  const apps::KernelTimes times = apps::kernel_times(ops, spans, apps::GroupBy::kernel, {});
  CHECK(times.floor_ms == 0);
  CHECK_THAT(apps::kernel_table(times, 1, 9), ContainsSubstring("floor not measured"));
  CHECK_THAT(apps::kernel_table(times, 2, 9), ContainsSubstring("9.50 ms a step in all"));
}
