#include "kernels/cases/layernorm.h"
#include "tests/support/battery.h"

using namespace kernels;

TEST_CASE("layernorm_forward passes the battery") { test::battery<LayerNormForward>(); }
TEST_CASE("layernorm_backward passes the battery") { test::battery<LayerNormBackward>(); }

TEST_CASE("layernorm's output has the mean of beta and the spread of gamma") {
  test::Bench<LayerNormForward> bench(devices().front(),
                                      Case<LayerNormForward>::make(Dims("R=4 C=1000"), DType::f64)[1]);
  LayerNormForward host = bench.host_args();
  test::fill_random(host.x, 1, 50.0, 3.0);
  for (std::int64_t c = 0; c < 1000; ++c) test::set(host.gamma, 0, c, 2.0), test::set(host.beta, 0, c, 0.5);
  bench.upload();
  bench.run("reference");
  bench.download();
  for (std::int64_t r = 0; r < 4; ++r) {
    double sum = 0, squares = 0;
    for (std::int64_t c = 0; c < 1000; ++c) {
      const double y = test::get(bench.host_args().y, r, c);
      sum += y;
      squares += (y - 0.5) * (y - 0.5);
    }
    CHECK(sum / 1000 == Approx(0.5).margin(1e-9));
    CHECK(std::sqrt(squares / 1000) == Approx(2.0).epsilon(1e-6));
  }
}

// The battery's formula, overwrite + previous, does not hold where dx and its sum both accumulate.
TEST_CASE("layernorm's dx_sum is the sum of the finished dx, on every device in every row") {
  LayerNormBackward args = Case<LayerNormBackward>::make(Dims("R=45 C=260"), DType::f32)[3];
  args.sum_mode = Write::accumulate;
  for (const Device& device : devices()) {
    for (const auto& variant : rows_of<LayerNormBackward>(device.kind)) {
      if (variant.refuses && variant.refuses(device, args)) continue;
      INFO(device.name << " row " << variant.name);
      test::Bench<LayerNormBackward> bench(device, args);
      for (std::size_t i = 0; i < bench.count(); ++i)
        test::fill_random(bench.operand(i).host_view(), static_cast<std::uint32_t>(i + 1));
      const View dx = bench.host_args().dx, dx_sum = bench.host_args().dx_sum;
      std::vector<double> expected;
      for (std::int64_t c = 0; c < 260; ++c) expected.push_back(test::get(dx_sum, 0, c));
      bench.upload();
      bench.run(variant.name);
      bench.download();
      for (std::int64_t c = 0; c < 260; ++c) {
        for (std::int64_t r = 0; r < 45; ++r) expected[static_cast<std::size_t>(c)] += test::get(dx, r, c);
        REQUIRE(test::get(dx_sum, 0, c) == Approx(expected[static_cast<std::size_t>(c)]).margin(1e-4));
      }
    }
  }
}

TEST_CASE("layernorm's dx_sum needs dx") {
  LayerNormBackward args = Case<LayerNormBackward>::make(Dims("R=4 C=8"), DType::f32)[3];
  CHECK_NOTHROW(validate(args));
  args.dx = View{};
  CHECK_THROWS_WITH(validate(args), ContainsSubstring("dx_sum is the sum of dx"));
}

TEST_CASE("a row that is forced and refuses says why") {
  const auto args = Case<LayerNormForward>::make(Dims("R=4 C=8"), DType::f64)[0];
  Stream stream(devices().front(), StreamMode::dry);
  CHECK_THROWS_WITH(launch(stream, args, "fast"), ContainsSubstring("f32 only"));
  CHECK_THROWS_WITH(launch(stream, args, "warp9"), ContainsSubstring("there is no row \"warp9\""));
  stream.force("layernorm_forward", "fast");
  CHECK_THROWS_WITH(launch(stream, args), ContainsSubstring("f32 only"));
  stream.force("layernorm_forward", "");
  CHECK_NOTHROW(launch(stream, args));
}

TEST_CASE("a dry stream validates, costs and observes, but touches no memory") {
  auto args = Case<LayerNormForward>::make(Dims("R=64 C=32"), DType::f32)[0];  // null data everywhere
  Stream stream(devices().front(), StreamMode::dry);
  std::vector<std::string> seen;
  stream.observer = [&](const LaunchRecord& record) {
    seen.push_back(std::string(record.kernel) + "=" + record.row);
    CHECK(record.cost.bytes == 64 * 32 * 4 * 2 + 2 * 32 * 4);
    CHECK(record.fields.size() == 4);
  };
  launch(stream, args);
  CHECK(seen == std::vector<std::string>{"layernorm_forward=fast"});
}
