#include "kernels/core/philox.h"
#include "tests/support/catch.h"

using namespace kernels;

// Known answers published with Random123 (kat_vectors, philox4x32 10 rounds).
TEST_CASE("philox matches the published vectors") {
  const auto check = [](PhiloxCounter c, PhiloxKey k, std::uint32_t a, std::uint32_t b, std::uint32_t d,
                        std::uint32_t e) {
    const PhiloxWords words = philox(c, k);
    CHECK(words.w[0] == a);
    CHECK(words.w[1] == b);
    CHECK(words.w[2] == d);
    CHECK(words.w[3] == e);
  };
  check({0, 0, 0, 0}, {0, 0}, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
  check({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}, 0x408f276d, 0x41c83b0e, 0xa20bc7c6,
        0x6d5451fd);
  check({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
        0x24126ea1);
}

TEST_CASE("an element's draw is the word of its block") {
  const PhiloxCounter counter{.block = 0, .subindex = 3, .sample = 17, .time = 5};
  const PhiloxKey key{.seed = 42, .purpose = static_cast<std::uint32_t>(Purpose::mask)};
  PhiloxCounter second = counter;
  second.block = 1;
  CHECK(philox_word(6, counter, key) == philox(second, key).w[2]);
  CHECK(uniform(0xffffffffu) < 1.0);
  CHECK(uniform(0) == 0.0);
}
