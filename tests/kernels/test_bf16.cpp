#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/core/bf16.h"
#include "tests/support/catch.h"

using kernels::bf16;

TEST_CASE("every bf16 survives the round trip through f32") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    bf16 value;
    value.bits = static_cast<std::uint16_t>(bits);
    const float wide = value;
    if (std::isnan(wide)) {
      REQUIRE(std::isnan(static_cast<float>(bf16(wide))));
    } else {
      REQUIRE(bf16(wide).bits == bits);
    }
  }
}

TEST_CASE("conversion rounds to nearest, ties to even") {
  CHECK(static_cast<float>(bf16(1.0f + 1.0f / 256)) == 1.0f);  // half way between 1 and 1 + 1/128: even is 1
  CHECK(static_cast<float>(bf16(1.0f + 3.0f / 256)) == 1.0f + 2.0f / 128);  // half way: even is 1 + 2/128
  CHECK(static_cast<float>(bf16(1.0f + 1.01f / 256)) == 1.0f + 1.0f / 128);
  CHECK(std::isinf(static_cast<float>(bf16(std::numeric_limits<float>::max()))));
  CHECK(std::isinf(static_cast<float>(bf16(std::numeric_limits<float>::infinity()))));
  CHECK(std::isnan(static_cast<float>(bf16(std::numeric_limits<float>::quiet_NaN()))));
  float low_payload;  // a NaN whose payload is only in the half that is cut off
  const std::uint32_t bits = 0x7f800001u;
  std::memcpy(&low_payload, &bits, 4);
  CHECK(std::isnan(static_cast<float>(bf16(low_payload))));
}
