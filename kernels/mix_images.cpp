#include "kernels/mix_images.h"

#include <limits>

namespace kernels {

void validate(const MixImages& a) {
  const std::int64_t B = a.images.shape[0], C = a.images.cols();
  require(is_pixel(a.images.dtype) && a.images.shape.rank == 4 && a.images.shape.count() > 0, a,
          "images must be (B, H, W, C), u8, u16, f32 or f64, and not empty");
  require(a.images.shape.count() / B <= std::numeric_limits<std::int32_t>::max(), a,
          "an image must have at most 2^31 - 1 values: the noise counts them in 32 bits");
  require((a.out.dtype == DType::f32 || a.out.dtype == DType::f64) && a.out.shape == a.images.shape, a,
          "out must be f32 or f64 and have the shape of images");
  for (const View& v : {a.scale, a.shift}) {
    require(v.dtype == a.out.dtype && v.shape == Shape{C}, a, "scale and shift must be (C) in the dtype of out");
  }
  require(a.boxes.dtype == DType::i32 && a.boxes.shape == Shape{B, mix_box_fields}, a, "boxes must be (B, 8) in i32");
  require(a.boxes.contiguous(), a, "rows of boxes must have no gaps between them");
  require(a.lambda.dtype == DType::f64 && a.lambda.shape == Shape{B}, a, "lambda must be (B) in f64");
  require(a.draws.dtype == DType::u32 && a.draws.shape == Shape{B, 2}, a, "draws must be (B, 2) in u32");
  require(a.group == 1 || (a.group > 0 && a.group % 2 == 0), a, "group must be even, or 1 for nobody mixed");
  require(B % a.group == 0, a, "group must divide B: who would be mixed with whom in the last one?");
}

Cost cost(const MixImages& a) {
  return {.flops = 5 * static_cast<double>(a.out.shape.count()), .bytes = field_bytes(a)};
}

}  // namespace kernels
