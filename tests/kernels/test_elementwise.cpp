#include <cstring>
#include "kernels/cases/elementwise.h"

#include "tests/support/threads.h"

using namespace kernels;

TEST_CASE("fill passes the battery") { test::battery<Fill>(); }
TEST_CASE("cast passes the battery") { test::battery<Cast>(); }
TEST_CASE("accumulate passes the battery") { test::battery<Accumulate>(); }
TEST_CASE("add_row passes the battery") { test::battery<AddRow>(); }

TEST_CASE("fill writes every element and nothing between padded rows") {
  std::vector<float> memory(4 * 9, 7.0f);
  Stream stream(devices().front());
  launch(stream, Fill{.out = view_of(memory.data(), DType::f32, {4, 6}, 9), .value = -2.5});
  for (std::size_t i = 0; i < memory.size(); ++i) CHECK(memory[i] == (i % 9 < 6 ? -2.5f : 7.0f));
}

TEST_CASE("cast to bf16 rounds to nearest even, and back again is exact") {
  const float ulp = 1.0f / 128;  // of bf16 in [1, 2)
  const std::vector<float> x{1 + ulp / 2, 1 + 3 * ulp / 2, 1 + 0.51f * ulp, -1 - 0.49f * ulp, INFINITY, -0.0f};
  const std::vector<float> rounded{1, 1 + 2 * ulp, 1 + ulp, -1, INFINITY, -0.0f};
  std::vector<float> source = x, back(x.size());
  std::vector<bf16> narrow(x.size());
  Stream stream(devices().front());
  const Shape shape{2, 3};
  launch(stream,
         Cast{.x = view_of(source.data(), DType::f32, shape), .out = view_of(narrow.data(), DType::bf16, shape)});
  launch(stream, Cast{.x = view_of(narrow.data(), DType::bf16, shape), .out = view_of(back.data(), DType::f32, shape)});
  for (std::size_t i = 0; i < x.size(); ++i) {
    CHECK(back[i] == rounded[i]);
    CHECK(std::signbit(back[i]) == std::signbit(rounded[i]));
  }
}

TEST_CASE("cast's fast row has the reference's bits for ties, NaN and all exponents") {
  std::vector<float> source;
  for (std::uint32_t upper = 0; upper < 0x10000; upper += 3) {
    for (const std::uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const std::uint32_t word = upper << 16 | lower;
      std::memcpy(&source.emplace_back(), &word, 4);
    }
  }
  const Shape shape{static_cast<std::int64_t>(source.size())};
  std::vector<bf16> fast(source.size()), reference(source.size());
  Stream stream(devices().front());
  const auto narrow = [&](std::vector<bf16>& to, const char* row) {
    launch(stream, Cast{.x = view_of(source.data(), DType::f32, shape), .out = view_of(to.data(), DType::bf16, shape)},
           row);
  };
  narrow(fast, "fast");
  narrow(reference, "reference");
  CHECK(std::memcmp(fast.data(), reference.data(), fast.size() * sizeof(bf16)) == 0);
}

TEST_CASE("accumulate adds to what is there") {
  std::vector<float> x{1, -2, 3, 4}, out{10, 20, 30, 0.5f};
  Stream stream(devices().front());
  for (const char* row : {"fast", "reference"})
    launch(stream, Accumulate{.x = view_of(x.data(), DType::f32, {4}), .out = view_of(out.data(), DType::f32, {4})},
           row);
  CHECK(out == std::vector<float>{12, 16, 36, 8.5f});
}

TEST_CASE("add_row adds one row to every row") {
  std::vector<double> x{1, 2, 3, 4, 5, 6}, row{10, 20, 30}, out(6);
  Stream stream(devices().front());
  launch(stream, AddRow{.x = view_of(x.data(), DType::f64, {2, 3}),
                        .row = view_of(row.data(), DType::f64, {3}),
                        .out = view_of(out.data(), DType::f64, {2, 3})});
  CHECK(out == std::vector<double>{11, 22, 33, 14, 25, 36});
}

TEST_CASE("accumulate has the same bits with any number of threads") {
  const auto args = Case<Accumulate>::make(Dims("R=3 C=70001"), DType::f32)[0];
  for (const char* row : {"fast", "reference"}) test::check_threads(args, row);
}

TEST_CASE("elementwise kernels refuse integers and mixed sums") {
  const View f32 = shaped(DType::f32, {4}), i32 = shaped(DType::i32, {4}), half = shaped(DType::bf16, {4});
  CHECK_THROWS_WITH(validate(Fill{.out = i32}), ContainsSubstring("fill"));
  CHECK_THROWS_WITH(validate(Cast{.x = f32, .out = i32}), ContainsSubstring("cast"));
  CHECK_THROWS_WITH(validate(Accumulate{.x = half, .out = f32}), ContainsSubstring("accumulate"));
  const View two_rows = shaped(DType::f32, {2, 4});
  CHECK_THROWS_WITH(validate(AddRow{.x = two_rows, .row = two_rows, .out = two_rows}),
                    ContainsSubstring("row must be"));
}
