#include "kernels/augment.h"

#include <limits>

namespace kernels {

void validate(const CropResize& a) {
  const Shape& s = a.out.shape;
  const DType pixel = a.pixels.dtype;
  require(s.rank == 4 && s.count() > 0 && a.out.contiguous(), a, "out must be (B, height, width, C) and not empty");
  require(is_pixel(pixel), a, "pixels must be u8, u16, f32 or f64");
  require(a.pixels.shape.rank == 2 && a.pixels.cols() == s[3] && a.pixels.contiguous(), a,
          "pixels must be (N, C) with the C of out");
  require(a.pixels.rows() <= std::numeric_limits<std::int32_t>::max(), a, "offsets reach 2^31 - 1 pixels");
  require(a.boxes.dtype == DType::i32 && a.boxes.shape == Shape{s[0], box_fields} && a.boxes.contiguous(), a,
          "boxes must be i32 (B, 8)");
  require(bool(a.scale) == bool(a.shift), a, "scale and shift go together: both, or neither");
  require(a.scale ? is_floating(a.out.dtype) : a.out.dtype == pixel, a,
          "out must be f64, f32 or bf16 with scale and shift, else of the dtype of pixels");
  for (const View& v : {a.scale, a.shift}) {
    require(!v || (v.dtype == statistics_of(a.out.dtype) && v.shape == Shape{s[3]}), a,
            "scale and shift must be (C): f64 for f64 out, else f32");
  }
  constexpr std::int64_t most =
      std::numeric_limits<std::int32_t>::max() / 4;  // sides are i32, and windows twice a side
  require(a.longest > 0 && a.longest <= most && s[1] <= most && s[2] <= most, a,
          "longest must say how long the sides of boxes can be, and sides stay below 2^29");
}

// Boxes are data, so this assumes four taps a pass and whole images: shrinking takes more taps, cropping reads less.
Cost cost(const CropResize& a) {
  const double outputs = static_cast<double>(a.out.shape.count());
  return {.flops = outputs * (2 * 2 * 4 + (a.scale ? 2 : 0)), .bytes = field_bytes(a)};
}

}  // namespace kernels
