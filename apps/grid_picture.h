// A grid of small images with captions: what a model sees and what it makes of it, side by side.
//
//   title
//            column  column  column
//   row      tile    tile    tile
#pragma once

#include <string>
#include <vector>

#include "apps/canvas.h"

namespace apps {

struct Grid {
  std::string title;                       // captions may all be empty or left out
  std::vector<std::string> columns, rows;  // a column's caption is broken to fit over its tiles
  std::vector<std::vector<Canvas>> tiles;  // [row][column]; an empty Canvas leaves its cell blank
  int enlarge = 0;  // whole factor for every tile; 0: so that the largest is about 128 pixels wide
};

/// Error: no tile at all, rows of different lengths, more or fewer captions than rows or columns.
Canvas draw(const Grid& grid);

}  // namespace apps
