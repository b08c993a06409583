// A roofline: what each row does in a second, over the operations that its work has for each byte, below what the
// machine allows. Both axes are logarithmic.
#pragma once

#include <string>
#include <vector>

#include "apps/canvas.h"

namespace bench {

struct Dot {
  std::string work, row;           // "matmul M=800 N=768 K=768 f32", "tiled"
  double intensity = 0, rate = 0;  // operations a byte, operations a second
  bool vendor = false;
};

struct Roof {
  std::string name;  // "f32 product"
  double rate = 0;   // operations a second
};

struct Roofline {
  std::string title;
  double bandwidth = 0;  // bytes a second, of a large copy
  std::vector<Roof> roofs;
  std::vector<Dot> dots;  // those without operations or time are left out; of one work one behind the other
};

/// Names stand beside their points where there is room: the fastest row of each work comes first. Below stands how many
/// have none.
apps::Canvas draw(const Roofline& roofline, int width = 1400, int height = 900);

}  // namespace bench
