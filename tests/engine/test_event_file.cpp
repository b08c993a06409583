#include <limits>

#include "engine/event_file.h"
#include "kernels/core/check.h"
#include "tests/support/catch.h"
#include "tests/support/event_reader.h"

TEST_CASE("CRC-32C has the published values") {  // the check value, and RFC 3720, B.4
  CHECK(engine::crc32c("") == 0);
  CHECK(engine::crc32c("123456789") == 0xe3069283u);
  CHECK(engine::crc32c(std::string(32, '\0')) == 0x8a9136aau);
  CHECK(engine::crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
}

TEST_CASE("an event file begins with its version and a session, and gives back what was written") {
  const std::int64_t far = std::numeric_limits<std::int64_t>::max();
  const std::string png("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x2c\0\0\0\x07\x08\x02\0\0\0crc.", 33);
  const auto events =
      test::read_events(engine::event_file_begin(1.5) + engine::scalars_event(2.25, 300, {{"a/b", 0.1}, {"", -3e30}}) +
                        engine::scalars_event(3, far, {}) + engine::image_event(4, 7, "picture", png));
  REQUIRE(events.size() == 5);
  CHECK(events[0].version == "brain.Event:2");
  CHECK(events[0].wall_time == 1.5);
  CHECK((events[1].session_start && events[1].step == 0));
  CHECK(events[2].step == 300);
  CHECK((events[2].scalars == std::vector<std::pair<std::string, float>>{{"a/b", 0.1f}, {"", -3e30f}}));
  CHECK(events[3].step == far);
  CHECK((events[4].width == 300 && events[4].height == 7 && events[4].channels == 3));
  CHECK(events[4].png == png);
  CHECK_THROWS_AS(engine::image_event(1, 1, "picture", "no picture, but long enough to be one"), kernels::Error);
  CHECK_THROWS_AS(engine::image_event(1, 1, "picture", png.substr(0, 32)), kernels::Error);
}
