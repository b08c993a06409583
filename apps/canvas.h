// An RGB picture in memory and the few strokes that charts and picture grids need.
//
// Pixel (x, y) covers [x, x+1) x [y, y+1), x to the right, y down; a stroke coordinate is a point in that plane, so the
// middle of pixel (3, 4) is (3.5, 4.5). Whatever falls outside the canvas is clipped, never an error. Colours blend in
// sRGB.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mae/image.h"

namespace apps {

struct Colour {
  std::uint8_t r, g, b;
  friend bool operator==(const Colour&, const Colour&) = default;
};

inline constexpr Colour white{255, 255, 255}, black{0, 0, 0}, ink{38, 38, 38}, soft_ink{96, 96, 96};

struct Canvas {
  int width = 0, height = 0;
  std::vector<std::uint8_t> rgb;  // (height, width, 3)
};

/// A canvas of one colour. Error: a side below 1, or more than 2^28 pixels.
Canvas make_canvas(int width, int height, Colour background = white);

/// A tile from single-channel bytes (height, width). Error: `grey` is not width * height long.
Canvas from_grey(int width, int height, const std::vector<std::uint8_t>& grey);

/// The same from a u8 image of 1 or 3 channels.
Canvas canvas_of(const mae::Image& image);

/// Error: (x, y) is outside.
Colour pixel(const Canvas& canvas, int x, int y);

/// Mixes `colour` into one pixel; opacity in [0, 1]. Outside the canvas it does nothing.
void blend(Canvas& canvas, int x, int y, Colour colour, double opacity);

/// A filled rectangle with its upper left corner in (x, y).
void rectangle(Canvas& canvas, int x, int y, int width, int height, Colour colour);

/// Copies `tile` to (x, y), every pixel of it a square of enlarge x enlarge (nearest neighbour). Error: enlarge
/// below 1.
void blit(Canvas& canvas, const Canvas& tile, int x, int y, int enlarge = 1);

struct Point {
  double x, y;
};

struct Stroke {
  Colour colour = ink;
  double width = 2;    // pixels
  double opacity = 1;  // of the whole line: where it crosses itself it is no darker
};

/// An anti-aliased line through `points` with round joints and ends. A point that is not finite makes a gap; a point
/// between two gaps is a dot.
void polyline(Canvas& canvas, const std::vector<Point>& points, const Stroke& stroke);

/// Error: the file cannot be written.
void write_png(const std::string& path, const Canvas& canvas);

}  // namespace apps
