#include "kernels/core/view.h"

namespace kernels {

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int i = 0; i < shape.rank; ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

std::string to_string(const View& view) {
  if (!view) return "null";
  std::string text = std::string(name_of(view.dtype)) + " " + to_string(view.shape);
  if (!view.contiguous()) text += " rows " + std::to_string(view.row_stride) + " apart";
  return text;
}

}  // namespace kernels
