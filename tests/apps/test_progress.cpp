#include "apps/progress.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace apps;

namespace {

/// A file that is no terminal, and what was written to it.
struct Sheet {
  std::FILE* file = std::tmpfile();
  ~Sheet() { std::fclose(file); }
  std::string text() const {
    std::string out;
    std::rewind(file);
    for (int c; (c = std::fgetc(file)) != EOF;) out += char(c);
    std::fseek(file, 0, SEEK_END);
    return out;
  }
};

/// What a terminal shows: '\r' goes back to the start of the line, later letters overwrite. Error: a line of `columns`
/// or more.
std::vector<std::string> screen(const std::string& written, std::size_t columns) {
  std::vector<std::string> lines(1);
  std::size_t column = 0;
  for (const char c : written) {
    if (c == '\r') {
      column = 0;
    } else if (c == '\n') {
      lines.emplace_back(), column = 0;
    } else {
      auto& line = lines.back();
      line.resize(std::max(line.size(), column + 1), ' ');
      line[column++] = c;
      REQUIRE(column < columns);
    }
  }
  for (auto& line : lines) line.resize(line.find_last_not_of(' ') + 1);
  return lines;
}

Progress at(std::int64_t step) {
  return {.epoch = 3,
          .epochs = 100,
          .step = step,
          .steps = 23400,
          .loss = 0.43125,
          .lr = 1.234e-6,
          .images_per_second = 5120.4,
          .seconds_left = 200};
}

}  // namespace

TEST_CASE("times are short and never lose a minute to rounding") {
  CHECK(short_time(12) == "12s");
  CHECK(short_time(0) == "0s");
  CHECK(short_time(59.4) == "59s");
  CHECK(short_time(59.6) == "1m00s");
  CHECK(short_time(200) == "3m20s");
  CHECK(short_time(3599.7) == "1h00m");
  CHECK(short_time(3720) == "1h02m");
  CHECK(short_time(3 * 86400 + 4 * 3600 + 5) == "3d04h");
  CHECK(short_time(-1) == "?");
  CHECK(short_time(std::numeric_limits<double>::quiet_NaN()) == "?");
  CHECK(short_time(std::numeric_limits<double>::infinity()) == "?");
}

TEST_CASE("the progress line says it all and keeps its columns") {
  CHECK(progress_line(at(1234)) ==
        "epoch   3/100  step  1234/23400  loss 0.4313  lr 1.2e-06  ETA 3m20s  5120 images/s");
  CHECK(progress_line(at(1)).size() == progress_line(at(23400)).size());
  Progress first = at(1);
  first.lr = 0;
  first.seconds_left = -1;
  CHECK_THAT(progress_line(first), ContainsSubstring("lr 0 ") && ContainsSubstring("ETA ?"));
  CHECK(progress_line(first).find("ETA") == progress_line(at(1)).find("ETA"));
  first.loss = std::numeric_limits<double>::quiet_NaN();
  CHECK_THAT(progress_line(first), ContainsSubstring("loss nan"));
}

TEST_CASE("fitted lines leave the last column free") {
  CHECK(fitted("abcdef", 4) == "abc");
  CHECK(fitted("ab", 5) == "ab  ");
  CHECK(fitted("one field  two", 12) == "one field  ");
  CHECK(fitted("one field  two", 14) == "one field    ");
  CHECK(fitted("one field  two", 15) == "one field  two");
  CHECK_THAT(fitted(progress_line(at(1234)), 80), ContainsSubstring("ETA 3m20s   "));
  CHECK(fitted("ab", 1).empty());
  CHECK(fitted("ab", 0).empty());
}

TEST_CASE("elsewhere than on a terminal: plain lines, the first at once, then one every N seconds, the last always") {
  Sheet sheet;
  CHECK(terminal_columns(sheet.file) == 0);
  ProgressWriter writer(sheet.file, 10);
  for (int second = 0; second <= 25; ++second) writer.show(at(second), 1000 + second);
  writer.note("checkpoint written");
  writer.finish();
  CHECK(sheet.text() == progress_line(at(0)) + '\n' + progress_line(at(10)) + '\n' + progress_line(at(20)) +
                            "\ncheckpoint written\n" + progress_line(at(25)) + '\n');
  writer.finish();
  CHECK(screen(sheet.text(), 200).size() == 6);  // a second finish adds nothing
}

TEST_CASE("a stream that takes nothing stops nothing") {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> full(std::fopen("/dev/full", "w"), std::fclose);
  REQUIRE(full);
  ProgressWriter writer(full.get());
  CHECK_NOTHROW(writer.show(at(1)));
  CHECK_NOTHROW(writer.note("a note"));
}

TEST_CASE("on a terminal: one line rewritten at most ten times a second, cut to the window, notes above it") {
  Sheet sheet;
  int columns = 60;
  ProgressWriter writer(sheet.file, 10, [&] { return columns; });
  for (int i = 0; i < 1000; ++i) writer.show(at(i), 50 + i * 0.001);
  const std::string text = sheet.text();
  const auto rewrites = std::count(text.begin(), text.end(), '\r');
  CHECK((rewrites >= 8 && rewrites <= 11));
  CHECK(std::count(text.begin(), text.end(), '\n') == 0);
  columns = 40;
  writer.note("checkpoint written");
  writer.show(at(2000), 60);
  writer.show(at(2001), 60.01);
  writer.finish();
  const auto lines = screen(sheet.text().substr(text.size()), 60);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == "checkpoint written");
  CHECK(lines[1] == "epoch   3/100  step  2001/23400");
  CHECK(lines[2].empty());
}
