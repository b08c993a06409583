// Rows that choose by timing: found by a dry run, tuned once there is memory, before the first launch; and rows that
// are only taken by name.
#include "engine/workspace.h"
#include "kernels/core/choices.h"
#include "tests/support/catch.h"

using namespace kernels;

/// y = x, by a row that keeps what it was tuned on.
struct Toy {
  static constexpr const char* kernel = "toy";
  static const Rows<Toy> cpu, cuda, simt;

  View x, y;  // (R, C)   f32

  template <class Self, class F>
  static void fields(Self& a, F f) {
    f("x", a.x, Role::input);
    f("y", a.y, Role::output);
  }
};
void validate(const Toy& a) { require(a.x.shape == a.y.shape, a, "x and y differ"); }
Cost cost(const Toy& a) { return {.bytes = field_bytes(a)}; }

namespace {

std::vector<Toy> tuned;
std::vector<std::string> ran;

constexpr Variant<Toy> toy_rows[] = {
    {.name = "rounding",
     .run = [](Stream&, const Toy&, void*) { ran.push_back("rounding"); },
     .reduced_precision = true},
    {.name = "timed",
     .workspace = [](const Device&, const Toy&) { return std::size_t{64}; },
     .run = [](Stream&, const Toy&, void*) { ran.push_back("timed"); },
     .tune =
         [](Stream&, const Toy& a, void* scratch) {
           REQUIRE(scratch);
           tuned.push_back(a);
           a.y.as<float>()[a.y.rows() * a.y.row_stride - 1] = 1;  // the sanitizer says where the memory ends
           for (int i = 0; i < 8; ++i) CHECK(std::abs(std::abs(a.x.as<float>()[i]) - 1.25) <= 0.75);  // no zeros
         }},
};

Toy toy(std::int64_t R, std::int64_t C, std::int64_t stride) {
  return {.x = view_of(nullptr, DType::f32, {R, C}, stride), .y = view_of(nullptr, DType::f32, {R, C})};
}

}  // namespace

const Rows<Toy> Toy::cpu{toy_rows};
const Rows<Toy> Toy::cuda{};
const Rows<Toy> Toy::simt{};

TEST_CASE("a workspace tunes the rows of its programs, on operands of their own, when it is reserved") {
  Stream stream(devices().front());
  engine::Workspace workspace(stream, DType::f32);
  tuned.clear(), ran.clear();
  workspace.include([](engine::Context& c) { launch(c.stream, toy(3, 5, 7)); });
  workspace.include([](engine::Context& c) { launch(c.stream, toy(100, 200, 200)); });
  CHECK(tuned.empty());
  workspace.reserve();
  CHECK(ran.empty());
  REQUIRE(tuned.size() == 2);
  CHECK((tuned[0].x.shape == Shape{3, 5} && tuned[0].x.row_stride == 7));
  for (const Toy& t : tuned) {
    const auto x = reinterpret_cast<std::uintptr_t>(t.x.data), y = reinterpret_cast<std::uintptr_t>(t.y.data);
    CHECK((x % 512 == 0 && y % 512 == 0));
    CHECK(y >= x + static_cast<std::size_t>(t.x.rows() * t.x.row_stride) * sizeof(float));
  }
}

TEST_CASE("a row of reduced precision is taken only by name") {
  Stream stream(devices().front());
  std::vector<float> memory(128);
  stream.lend_scratch(memory.data(), 64);
  ran.clear();
  launch(stream, toy(3, 5, 5));
  launch(stream, toy(3, 5, 5), "rounding");
  stream.force("toy", "rounding");
  launch(stream, toy(3, 5, 5));
  CHECK(ran == std::vector<std::string>{"timed", "rounding", "rounding"});
}

TEST_CASE("choices: the first stands, adopted ones replace it, and they survive as text") {
  CHECK_FALSE(find_choice("test one"));
  CHECK(keep_choice("test one", "a b") == "a b");
  CHECK(keep_choice("test one", "c") == "a b");
  adopt_choices({{"test one", "d"}, {"test two", ""}});
  CHECK(find_choice("test one") == "d");
  CHECK(find_choice("test two") == "");
  const Choices some{{"a, b: 1", "2 3"}, {"c", ""}};
  CHECK(choices_from(to_text(some)) == some);
  CHECK(choices_from("").empty());
  CHECK(choices_from("no equals sign;a=b;") == Choices{{"a", "b"}});
}
