#include "kernels/cases/drop_path.h"
#include "tests/support/battery.h"
#include "tests/support/threads.h"

using namespace kernels;

TEST_CASE("drop_path_forward passes the battery") { test::battery<DropPathForward>(); }
TEST_CASE("drop_path_backward passes the battery") { test::battery<DropPathBackward>(); }

namespace {

/// Every row of the kernel on the CPU and on simt that takes these arguments: f(stream, row).
template <class Args, class F>
void each_row(const Args& args, F f) {
  for (const char* name : {"cpu", "simt"}) {
    if (!with_simt && name == std::string("simt")) continue;
    const Device device = find_device(name);
    for (const auto& row : rows_of<Args>(device.kind)) {
      if (row.refuses && row.refuses(device, args)) continue;
      INFO(name << " " << row.name);
      Stream stream(device);
      f(stream, row.name);
    }
  }
}

}  // namespace

TEST_CASE("a dropped branch counts for nothing, be it NaN or infinite; a kept one is scaled") {
  const float inf = INFINITY, nan = NAN;
  std::vector<float> x{1, 2, 3, 4, 5, 6, 7, 8}, branch{2, 4, -6, 8, inf, nan, -inf, nan}, out(8);
  std::vector<float> dout{1, -2, 3, 4, nan, inf, 1, 1}, dbranch(8);
  std::vector<std::int32_t> table{0, 1, 1, 0};                         // two samples: of attention, of the MLP
  const View keep = view_of(table.data() + 1, DType::i32, {2, 1}, 2);  // 1, 0
  const auto of = [](std::vector<float>& v) { return view_of(v.data(), DType::f32, {2, 2, 2}); };
  const DropPathForward forward{.x = of(x), .branch = of(branch), .keep = keep, .out = of(out), .scale = 1.25};
  each_row(forward, [&](Stream& stream, const char* row) {
    out.assign(8, -1.0f);
    launch(stream, forward, row);
    CHECK(out == std::vector<float>{3.5f, 7, -4.5f, 14, 5, 6, 7, 8});
  });
  const DropPathBackward backward{.dout = of(dout), .keep = keep, .dbranch = of(dbranch), .scale = 1.25};
  each_row(backward, [&](Stream& stream, const char* row) {
    dbranch.assign(8, -1.0f);
    launch(stream, backward, row);
    CHECK(dbranch == std::vector<float>{1.25f, -2.5f, 3.75f, 5, 0, 0, 0, 0});
  });
}

TEST_CASE("drop path has the same bits with any number of threads") {
  const Dims sizes("B=5 T=50 C=100");
  for (const char* row : {"fast", "reference"}) {
    test::check_threads(Case<DropPathForward>::make(sizes, DType::f32)[0], row);
    test::check_threads(Case<DropPathBackward>::make(sizes, DType::bf16)[0], row);
  }
}

TEST_CASE("drop path refuses what does not fit") {
  DropPathForward a = Case<DropPathForward>::make(Dims("B=2 T=3 C=4"), DType::f32)[0];
  CHECK_NOTHROW(validate(a));
  a.keep = shaped(DType::i32, {2, 2});  // the table itself
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("drop_path_forward") && ContainsSubstring("keep must be"));
  a.keep = shaped(DType::f32, {2, 1});
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("keep must be"));
}
