// How the rows of patchify, unpatchify, mix_images and the loss on pixels read images on the CPU.
#pragma once

#include "kernels/tokens.h"

namespace kernels::cpu {

// ---- pixel by pixel: the references ---------------------------------------------------------------------------------

/// Distances inside a patch's row of values: pixel (y, x), channel c stands at y * steps.y + x * steps.x + c * steps.c.
struct Steps {
  std::int64_t y, x, c;
};
inline Steps steps_of(PatchOrder order, std::int64_t P, std::int64_t C) {
  return order == PatchOrder::row_column_channel ? Steps{P * C, C, 1} : Steps{P, 1, P * P};
}

/// visit(row of the pixel in images, its place in the patch but for the channel) for the P x P pixels of patch l of
/// sample b.
template <class Visit>
void visit_pixels(const View& images, std::int64_t P, const Steps& steps, std::int64_t b, std::int64_t l, Visit visit) {
  const std::int64_t height = images.shape[1], width = images.shape[2];
  const std::int64_t top = l / (width / P) * P, left = l % (width / P) * P;
  for (std::int64_t y = 0; y < P; ++y) {
    for (std::int64_t x = 0; x < P; ++x) {
      visit((b * height + top + y) * width + left + x, y * steps.y + x * steps.x);
    }
  }
}

/// The values of patch l of sample b, scaled and shifted; a: Patchify or PixelLoss.
template <class Pixel, class T, class Args>
void cut_patch(const Args& a, std::int64_t b, std::int64_t l, T* patch) {
  using Sum = Statistics<T>;
  const std::int64_t C = a.images.cols();
  const Steps steps = steps_of(a.order, a.patch, C);
  const Sum *scale = a.scale.template as<Sum>(), *shift = a.shift.template as<Sum>();
  visit_pixels(a.images, a.patch, steps, b, l, [&](std::int64_t row, std::int64_t place) {
    const Pixel* pixel = a.images.template row<Pixel>(row);
    for (std::int64_t c = 0; c < C; ++c) patch[place + c * steps.c] = T(Sum(pixel[c]) * scale[c] + shift[c]);
  });
}

// ---- run by run: the fast rows --------------------------------------------------------------------------------------

inline constexpr std::int64_t most_values = 4096;  // of a line of an image or of a patch, which is kept on the stack

/// How the values of a line of pixels go to patches: each of its planes (1, or one a channel) in runs, one a patch.
struct Cut {
  std::int64_t planes, run, across;  // across: patches in a line
};
Cut cut_of(const View& images, std::int64_t P, PatchOrder order);

/// The constants of the `count` values of a plane, for one plane after the other.
struct Constants {
  float scale[most_values], shift[most_values];

  Constants(const View& scale_of, const View& shift_of, const Cut& cut, std::int64_t count);
};

/// out[i] = x[i * step] * scale[i] + shift[i]
void scale_run(const std::uint8_t* x, std::int64_t step, const float* scale, const float* shift, float* out,
               std::int64_t count);
void scale_run(const std::uint16_t* x, std::int64_t step, const float* scale, const float* shift, float* out,
               std::int64_t count);
void scale_run(const float* x, std::int64_t step, const float* scale, const float* shift, float* out,
               std::int64_t count);

/// cut_patch with constants for runs, into P P C floats.
template <class Pixel>
void cut_patch_fast(const View& images, std::int64_t P, const Cut& cut, const Constants& constants, std::int64_t b,
                    std::int64_t l, float* patch) {
  const std::int64_t height = images.shape[1], width = images.shape[2];
  const std::int64_t first = (b * height + l / cut.across * P) * width + l % cut.across * P;
  for (std::int64_t y = 0; y < P; ++y) {
    const Pixel* pixels = images.row<Pixel>(first + y * width);
    for (std::int64_t i = 0; i < cut.planes; ++i) {
      scale_run(pixels + i, cut.planes, constants.scale + i * cut.run, constants.shift + i * cut.run,
                patch + (i * P + y) * cut.run, cut.run);
    }
  }
}

/// f(Pixel{}) for the pixels that fast rows take.
template <class F>
void visit_fast_pixel(DType t, F&& f) {
  if (t == DType::u8) f(std::uint8_t{});
  else if (t == DType::u16) f(std::uint16_t{});
  else f(float{});
}

/// Why fast rows do not take these images; null: they do.
const char* fast_refuses_images(const View& images);

/// patchify_fast.cpp
const char* patchify_fast_refuses(const Device& device, const Patchify& a);
const char* unpatchify_fast_refuses(const Device& device, const Unpatchify& a);
void patchify_fast(Stream& stream, const Patchify& a, void* scratch);
void unpatchify_fast(Stream& stream, const Unpatchify& a, void* scratch);

}  // namespace kernels::cpu
