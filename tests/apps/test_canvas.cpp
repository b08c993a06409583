#include "apps/canvas.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <random>

#include "apps/grid_picture.h"
#include "apps/text.h"
#include "kernels/core/check.h"
#include "tests/support/catch.h"

using namespace apps;

namespace {

Canvas noise(int width, int height, unsigned seed) {
  std::mt19937 random(seed);
  Canvas canvas = make_canvas(width, height);
  for (auto& byte : canvas.rgb) byte = std::uint8_t(random());
  return canvas;
}

struct Bounds {
  int left = std::numeric_limits<int>::max(), top = left, right = -1, bottom = -1;
};

/// Of all pixels that are not white.
Bounds ink_of(const Canvas& canvas) {
  Bounds out;
  for (int y = 0; y < canvas.height; ++y)
    for (int x = 0; x < canvas.width; ++x)
      if (!(pixel(canvas, x, y) == white)) {
        out.left = std::min(out.left, x), out.right = std::max(out.right, x);
        out.top = std::min(out.top, y), out.bottom = std::max(out.bottom, y);
      }
  return out;
}

}  // namespace

TEST_CASE("blit enlarges every pixel into a square and clips at all four sides") {
  const Canvas tile = noise(5, 4, 1);
  const int by = 3;
  for (const auto& [left, top] : {std::pair{4, 6}, {-7, -5}, {22, 20}, {-100, 3}, {3, 1000}}) {
    Canvas canvas = make_canvas(30, 25), before = canvas;
    blit(canvas, tile, left, top, by);
    for (int y = 0; y < canvas.height; ++y)
      for (int x = 0; x < canvas.width; ++x) {
        const int tx = x - left, ty = y - top;
        const bool covered = tx >= 0 && ty >= 0 && tx < 5 * by && ty < 4 * by;
        REQUIRE(pixel(canvas, x, y) == (covered ? pixel(tile, tx / by, ty / by) : pixel(before, x, y)));
      }
  }
}

TEST_CASE("grey tiles carry their bytes in all three channels") {
  const Canvas tile = from_grey(3, 2, {1, 2, 3, 40, 50, 60});
  CHECK(pixel(tile, 2, 0) == Colour{3, 3, 3});
  CHECK(pixel(tile, 0, 1) == Colour{40, 40, 40});
  CHECK_THROWS_AS(from_grey(3, 2, {1, 2, 3}), kernels::Error);
}

TEST_CASE("rectangle fills its pixels and no other") {
  Canvas canvas = make_canvas(20, 10);
  rectangle(canvas, 15, -2, 30, 6, {10, 20, 30});
  const Bounds box = ink_of(canvas);
  CHECK((box.left == 15 && box.right == 19 && box.top == 0 && box.bottom == 3));
  CHECK(pixel(canvas, 15, 3) == Colour{10, 20, 30});
  const Canvas before = canvas;
  rectangle(canvas, -9, -9, 5, 5, black);
  rectangle(canvas, 3, 3, 0, 4, black);
  CHECK(canvas.rgb == before.rgb);
}

TEST_CASE("a line is opaque at its middle, half there at its edge, and covers length x width pixels") {
  Canvas canvas = make_canvas(100, 60);
  polyline(canvas, {{20, 30}, {80, 30}}, {black, 5, 1});
  CHECK(pixel(canvas, 50, 29) == black);
  CHECK(pixel(canvas, 50, 31) == black);
  CHECK(pixel(canvas, 50, 40) == white);
  double sum = 0, slanted = 0;
  for (int y = 0; y < 60; ++y) sum += 1 - pixel(canvas, 50, y).r / 255.0;
  CHECK(sum == Approx(5).margin(0.02));

  Canvas other = make_canvas(100, 60);
  polyline(other, {{10, 10}, {90, 50}}, {black, 4, 1});
  for (const auto byte : other.rgb) slanted += (1 - byte / 255.0) / 3;
  CHECK(slanted == Approx(std::hypot(80, 40) * 4 + 3.14159 * 4).epsilon(0.02));  // with two round ends
}

TEST_CASE("a pale line is no darker where it meets or crosses itself") {
  Canvas canvas = make_canvas(60, 60);
  polyline(canvas, {{10, 10}, {50, 50}, {50, 10}, {10, 50}, {10, 10}}, {black, 6, 0.25});
  int darkest = 255;
  for (const auto byte : canvas.rgb) darkest = std::min(darkest, int(byte));
  CHECK(darkest == 191);
}

TEST_CASE("points that are not finite are gaps, far points are clipped, a lone point is a dot") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  Canvas canvas = make_canvas(100, 20);
  polyline(canvas, {{10, 10}, {40, 10}, {50, nan}, {60, 10}, {inf, 10}, {90, 10}}, {black, 3, 1});
  CHECK(pixel(canvas, 25, 10) == black);
  CHECK(pixel(canvas, 50, 10) == white);
  CHECK(pixel(canvas, 60, 10) == black);
  CHECK(pixel(canvas, 75, 10) == white);
  Canvas far = make_canvas(100, 20);
  polyline(far, {{-1e12, 10}, {1e12, 10}}, {black, 3, 1});
  CHECK(pixel(far, 99, 10) == black);
  Canvas none = make_canvas(10, 10), same = none;
  polyline(none, {}, {});
  CHECK(none.rgb == same.rgb);
}

TEST_CASE("text lies inside its measured box, in both faces") {
  for (const Face face : {Face::best, Face::built_in})
    for (const int size : {9, 14, 18, 33})
      for (const std::string text :
           {"jQ|gy_ (1e-06)", "j", "\xc3\x85\xc7\x95 \xc2\xb5s \xc3\x97", "broken \xff\xc3", "W"}) {
        const TextStyle style{size, black, face};
        const int width = text_width(text, style), height = text_height(style);
        Canvas canvas = make_canvas(width + 40, height + 40);
        draw_text(canvas, 20, 20, text, style);
        const Bounds box = ink_of(canvas);
        INFO(text << " at " << size);
        CHECK(box.right >= 0);
        CHECK((box.left >= 20 && box.top >= 20 && box.right < 20 + width && box.bottom < 20 + height));
        // the box is not much wider than the ink either
        CHECK(box.right - box.left + 1 >= width - size);
      }
}

TEST_CASE("more letters are wider, no letters are nothing, text off the canvas is clipped") {
  for (const Face face : {Face::best, Face::built_in}) {
    const TextStyle style{18, black, face};
    CHECK(text_width("", style) == 0);
    CHECK(text_width("mask", style) > text_width("mas", style));
    CHECK(text_height({36, black, face}) > text_height(style));
    Canvas canvas = make_canvas(30, 10);
    draw_text(canvas, -15, -6, "clipped on every side", style);
    draw_text(canvas, 1000, 1000, "far away", style);
    CHECK(ink_of(canvas).right >= 0);
  }
}

TEST_CASE("wrapped lines fit and keep every word") {
  const TextStyle style{};
  const std::string text = "prediction with the visible patches pasted in";
  const auto lines = wrapped(text, style, 150);
  std::string joined;
  for (const auto& line : lines) {
    CHECK(text_width(line, style) <= 150);
    joined += (joined.empty() ? "" : " ") + line;
  }
  CHECK(joined == text);
  CHECK(lines.size() >= 3);
  CHECK(wrapped("unbreakable", style, 5) == std::vector<std::string>{"unbreakable"});
  CHECK(wrapped("", style, 50).empty());
}

TEST_CASE("a grid shows every tile whole, in its row and column") {
  Grid grid;
  grid.enlarge = 2;
  for (unsigned row = 0; row < 3; ++row) grid.tiles.push_back({noise(8, 6, 10 + row), noise(8, 6, 20 + row)});
  const Canvas plain = draw(grid);
  int found_x[2] = {}, found_y[3] = {};
  for (int row = 0; row < 3; ++row)
    for (int column = 0; column < 2; ++column) {
      const Canvas& tile = grid.tiles[row][column];
      int matches = 0;
      for (int y = 0; y + 12 <= plain.height; ++y)
        for (int x = 0; x + 16 <= plain.width; ++x) {
          bool same = true;
          for (int i = 0; same && i < 16 * 12; ++i)
            same = pixel(plain, x + i % 16, y + i / 16) == pixel(tile, i % 16 / 2, i / 16 / 2);
          if (same) ++matches, found_x[column] = x, found_y[row] = y;
        }
      CHECK(matches == 1);
    }
  CHECK(found_x[1] > found_x[0] + 16);
  CHECK((found_y[0] < found_y[1] && found_y[1] < found_y[2]));

  grid.columns = {"original", "masked"};
  grid.rows = {"a", "b", "c"};
  grid.title = "Reconstructions";
  const Canvas captioned = draw(grid);
  CHECK(captioned.width > plain.width);
  CHECK(captioned.height > plain.height);
}

TEST_CASE("a grid takes blank cells and refuses what does not line up") {
  Grid grid{"", {}, {}, {{noise(4, 4, 1), Canvas{}}}, 1};
  CHECK_NOTHROW(draw(grid));
  grid.tiles.push_back({noise(4, 4, 2)});
  CHECK_THROWS_WITH(draw(grid), ContainsSubstring("rows of 2 and of 1 tiles"));
  grid.tiles.pop_back();
  grid.columns = {"only one"};
  CHECK_THROWS_AS(draw(grid), kernels::Error);
  CHECK_THROWS_AS(draw(Grid{}), kernels::Error);
}

TEST_CASE("impossible pictures are refused") {
  CHECK_THROWS_AS(make_canvas(0, 5), kernels::Error);
  CHECK_THROWS_AS(make_canvas(1 << 20, 1 << 20), kernels::Error);
  Canvas canvas = make_canvas(4, 4);
  CHECK_THROWS_AS(blit(canvas, canvas, 0, 0, 0), kernels::Error);
  CHECK_THROWS_AS(blit(canvas, Canvas{}, 0, 0), kernels::Error);
  CHECK_THROWS_AS(pixel(canvas, 4, 0), kernels::Error);
  canvas.rgb.pop_back();
  CHECK_THROWS_AS(rectangle(canvas, 0, 0, 1, 1, black), kernels::Error);
  CHECK_THROWS_AS(text_width("x", {0}), kernels::Error);
}

TEST_CASE("write_png writes a PNG of the right size and says where it cannot") {
  const std::string path = std::string(MAE_BINARY_DIR) + "/test_canvas.png";
  write_png(path, noise(300, 7, 3));
  std::ifstream in(path, std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(in), {}};
  REQUIRE(file.size() > 300 * 7);
  CHECK(file.substr(1, 3) == "PNG");
  CHECK(file.substr(16, 8) == std::string("\0\0\x01\x2c\0\0\0\x07", 8));
  std::remove(path.c_str());
  CHECK_THROWS_WITH(write_png("/no/such/folder/a.png", noise(2, 2, 4)), ContainsSubstring("/no/such/folder/a.png"));
}
