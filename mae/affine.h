// Geometry of a u8 image of 1 or 3 channels, where it lies: affine maps as Pillow 9.4 computes them, and exact turns.
//
// Map:      output (x, y) shows the source at (a x' + b y' + c, d x' + e y' + f), x' = x + 1/2, y' = y + 1/2, in f64.
// Source:   the cubic with slope a = -1 (not the -0.5 of resizing) through 4 x 4 pixels, along rows first; those beyond
//           the border are the border's. Cut off towards 0 and clipped. A point outside the image gives `fill`.
// Promise:  the bits of Image.transform and Image.rotate with BICUBIC (tests/golden/pillow.bin).
#pragma once

#include <array>
#include <vector>

#include "mae/image.h"

namespace mae {

using Affine = std::array<double, 6>;      // a to f
using Fill = std::array<std::uint8_t, 3>;  // a grey image takes the first

/// The nearest grey levels of a mean in parts of the value range (Config::mean), one value or one a channel.
Fill fill_of(const std::vector<double>& mean);

void transform(const Editable& image, const Affine& map, const Fill& fill);

/// Counterclockwise about the centre, the size kept.
void rotate(const Editable& image, double degrees, const Fill& fill);

/// Row y shows what lies factor * y to the right, column x what lies factor * x below.
void shear_x(const Editable& image, double factor, const Fill& fill);
void shear_y(const Editable& image, double factor, const Fill& fill);

void translate_x(const Editable& image, double share, const Fill& fill);  // to the left, in parts of the width
void translate_y(const Editable& image, double share, const Fill& fill);  // up, in parts of the height

/// Of any dtype, `pixel` bytes a pixel.
void mirror(std::byte* pixels, int height, int width, std::size_t pixel);       // left and right exchanged
void upside_down(std::byte* pixels, int height, int width, std::size_t pixel);  // top and bottom exchanged

/// Quarter turns counterclockwise of a square image, of any dtype.
void turn(std::byte* pixels, int side, std::size_t pixel, int quarters);

}  // namespace mae
