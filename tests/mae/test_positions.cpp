// labels: golden
#include "mae/positions.h"
#include "tests/support/golden.h"

using namespace test;

TEST_CASE("positions equal PyTorch's, and the recipe's spot values") {
  const Golden golden("positions.safetensors");
  for (const std::string name : {"encoder", "decoder"}) {
    const auto table = mae::sincos_positions(golden.integer(name + ".dim"), golden.integer(name + ".rows"),
                                             golden.integer(name + ".columns"));
    CHECK(distance(table, golden.values(name)) <= 1e-14);
  }
  const auto table = mae::sincos_positions(768, 14, 14);  // the first half encodes the column, the second the row
  const auto at = [&](std::size_t row, std::size_t column, std::size_t i) {
    return table[(1 + row * 14 + column) * 768 + i];
  };
  CHECK(at(0, 1, 0) == Approx(.841471).margin(5e-7));
  CHECK(at(0, 1, 1) == Approx(.815251).margin(5e-7));
  CHECK(at(0, 1, 192) == Approx(.540302).margin(5e-7));
  CHECK(at(0, 1, 384) == 0);
  CHECK(at(0, 1, 576) == 1);
  CHECK(at(1, 0, 0) == 0);
  CHECK(at(1, 0, 1) == 0);
  CHECK(at(1, 0, 192) == 1);
  CHECK(at(1, 0, 384) == Approx(.841471).margin(5e-7));
  CHECK(at(1, 0, 576) == Approx(.540302).margin(5e-7));
  for (std::size_t i = 0; i < 768; ++i) CHECK(table[i] == 0);
}
