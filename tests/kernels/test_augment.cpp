#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/cases/augment.h"
#include "tests/support/battery.h"
#include "tests/support/image_golden.h"

using namespace kernels;

TEST_CASE("crop_resize passes the battery") { test::battery<CropResize>(); }

namespace {

using Bits = std::vector<std::byte>;

/// The bits of out, of the first row there is on the device; inputs are made by `fill`, on the host.
template <class Fill>
Bits run_on(const Device& device, const CropResize& args, Fill fill) {
  test::Bench<CropResize> bench(device, args);
  CropResize host = bench.host_args();
  fill(host);
  bench.upload();
  bench.run(rows_of<CropResize>(device.kind).front().name);
  bench.download();
  const auto* out = static_cast<const std::byte*>(bench.host_args().out.data);
  return Bits(out, out + static_cast<std::size_t>(args.out.bytes()));
}

void fill_random_case(CropResize& a) {
  std::uint32_t number = 0;
  for (const View& v : {a.pixels, a.scale, a.shift}) test::fill_random(v, ++number);
  Case<CropResize>::fill(a);
}

struct Golden {
  CropResize args;  // without memory
  CropBox box;
  Bits in, expected;
};

std::vector<Golden> goldens() {
  support::Golden file("resize.bin");
  std::vector<Golden> all;
  for (int n = file.number(); n > 0; --n) {
    std::array<std::int32_t, 10> v{};  // type, height, width, channels, box, height and width of the result
    for (auto& x : v) x = file.number();
    const DType dtype = v[0] == 0 ? DType::u8 : DType::f32;
    Golden g{.args = {.pixels = shaped(dtype, {v[1] * v[2], v[3]}),
                      .boxes = shaped(DType::i32, {1, box_fields}),
                      .out = shaped(dtype, {1, v[8], v[9], v[3]}),
                      .longest = std::max(v[6], v[7])},
             .box = {.height = v[1], .width = v[2], .top = v[4], .left = v[5], .box_height = v[6], .box_width = v[7]},
             .in = {},
             .expected = {}};
    for (auto [bits, view] : {std::pair(&g.in, g.args.pixels), std::pair(&g.expected, g.args.out)}) {
      const auto bytes = file.take(static_cast<std::size_t>(view.bytes()));
      bits->assign(bytes.begin(), bytes.end());
    }
    all.push_back(std::move(g));
  }
  REQUIRE(file.at_end());
  return all;
}

template <class T>
std::vector<T> values_of(const Bits& bits) {
  std::vector<T> values(bits.size() / sizeof(T));
  std::memcpy(values.data(), bits.data(), bits.size());
  return values;
}

}  // namespace

TEST_CASE("crop_resize on every device equals Pillow's bit for bit from u8, to rounding from f32") {
  int compared = 0;
  for (const Golden& g : goldens()) {
    for (const Device& device : devices()) {
      INFO(device.name << " " << to_string(g.args.pixels) << " to " << to_string(g.args.out));
      const Bits out = run_on(device, g.args, [&](CropResize& a) {
        std::memcpy(a.pixels.data, g.in.data(), g.in.size());
        *a.boxes.as<CropBox>() = g.box;
      });
      ++compared;
      if (g.args.out.dtype == DType::u8) {
        CHECK((out == g.expected));
        continue;
      }
      const std::vector<float> got = values_of<float>(out), want = values_of<float>(g.expected);
      for (std::size_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == Approx(want[i]).margin(2e-6));
    }
  }
  CHECK(compared > 10);
}

TEST_CASE("crop_resize gives the CPU's bits on every device") {
  for (const char* shape : Case<CropResize>::tests) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const CropResize& args : Case<CropResize>::make(Dims(shape), dtype)) {
        const Bits on_cpu = run_on(devices().front(), args, fill_random_case);
        for (const Device& device : devices()) {
          INFO(device.name << " " << shape << " " << to_string(args.pixels) << " to " << to_string(args.out));
          CHECK((run_on(device, args, fill_random_case) == on_cpu));
        }
      }
    }
  }
}

TEST_CASE("crop_resize normalises the values that it would have written") {
  for (const CropResize& args : Case<CropResize>::make(Dims("B=3 H=20 W=15 C=3 OH=8 OW=24"), DType::f32)) {
    if (!args.scale) continue;
    CropResize plain = args;
    plain.scale = plain.shift = View{};
    plain.out.dtype = args.pixels.dtype;
    std::vector<float> scale(3), shift(3), values;
    const auto got = values_of<float>(run_on(devices().front(), args, [&](CropResize& a) {
      fill_random_case(a);
      std::copy_n(a.scale.as<float>(), 3, scale.begin());
      std::copy_n(a.shift.as<float>(), 3, shift.begin());
    }));
    const Bits bits = run_on(devices().front(), plain, fill_random_case);
    for (std::size_t i = 0; i < got.size(); ++i) {
      const View v =
          view_of(const_cast<std::byte*>(bits.data()), plain.out.dtype, {static_cast<std::int64_t>(got.size())});
      const auto value = static_cast<float>(test::get(v, 0, static_cast<std::int64_t>(i)));
      REQUIRE(got[i] == Approx(value * scale[i % 3] + shift[i % 3]).epsilon(1e-6).margin(1e-5));
    }
  }
}

TEST_CASE("crop_resize says what does not fit") {
  const CropResize good = Case<CropResize>::make(Dims("B=2 H=9 W=7 C=3 OH=4 OW=5"), DType::f32)[0];
  CHECK_NOTHROW(validate(good));
  CropResize a = good;
  a.longest = 0;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("longest"));
  a = good;
  a.shift = View{};
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("both, or neither"));
  a = good;
  a.scale = a.shift = View{};  // f32 from u8
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("dtype of pixels"));
  a = good;
  a.out.dtype = DType::u8;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("with scale and shift"));
  a = good;
  a.pixels = shaped(DType::u8, {2 * 9 * 7 * 3});
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("pixels must be (N, C)"));
  a = good;
  a.pixels = shaped(a.pixels.dtype, {std::int64_t{1} << 31, 3});
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("2^31 - 1 pixels"));
  if (!with_cuda && !with_simt) return;
  a = good;
  a.longest = 1 << 28;  // 2 * 2^28 * 5 * 3 values between the passes
  Stream dry(find_device("h100-80"), StreamMode::dry);
  CHECK_NOTHROW(launch(dry, good));
  CHECK_THROWS_WITH(launch(dry, a), ContainsSubstring("more than 2^31 - 1 values"));
}
