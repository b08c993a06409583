// Text on a canvas, on any machine: DejaVu Sans where it is installed (Debian: fonts-dejavu-core), else a small
// built-in font of ASCII letters made of rectangles. Strings are UTF-8; what a font cannot show is drawn as a
// replacement.
//
// All ink of draw_text lies in the box of text_width x text_height pixels whose upper left corner is (x, y).
#pragma once

#include <string>
#include <vector>

#include "apps/canvas.h"

namespace apps {

enum class Face { best, built_in };

struct TextStyle {
  int size = 18;  // pixels an em; the built-in font takes the nearest whole multiple of its 9
  Colour colour = ink;
  Face face = Face::best;
};

int text_width(const std::string& text, const TextStyle& style);
int text_height(const TextStyle& style);  // from the top of the tallest letter to the bottom of the deepest
void draw_text(Canvas& canvas, int x, int y, const std::string& text, const TextStyle& style);

/// Breaks at spaces into lines of at most `width` pixels; a word wider than that keeps a line of its own.
std::vector<std::string> wrapped(const std::string& text, const TextStyle& style, int width);

}  // namespace apps
