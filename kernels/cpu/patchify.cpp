#include "kernels/cpu/patchify.h"

#include "kernels/cpu/parallel.h"

namespace kernels::cpu {
namespace {

/// Distances inside a patch's row of values: pixel (y, x), channel c stands at y * steps.y + x * steps.x + c * steps.c.
struct Steps {
  std::int64_t y, x, c;
};
Steps steps_of(PatchOrder order, std::int64_t P, std::int64_t C) {
  return order == PatchOrder::row_column_channel ? Steps{P * C, C, 1} : Steps{P, 1, P * P};
}

// visit(row of the pixel in images, its place in the patch but for the channel) for the P x P pixels of patch l of
// sample b
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

template <class Pixel, class T>
void patchify_sample(const Patchify& a, std::int64_t b) {
  using Sum = Statistics<T>;
  const std::int64_t L = a.patches.shape[1], C = a.images.cols();
  const Steps steps = steps_of(a.order, a.patch, C);
  const Sum *scale = a.scale.as<Sum>(), *shift = a.shift.as<Sum>();
  for (std::int64_t l = 0; l < L; ++l) {
    T* patch = a.patches.row<T>(b * L + l);
    visit_pixels(a.images, a.patch, steps, b, l, [&](std::int64_t row, std::int64_t place) {
      const Pixel* pixel = a.images.row<Pixel>(row);
      for (std::int64_t c = 0; c < C; ++c) patch[place + c * steps.c] = T(Sum(pixel[c]) * scale[c] + shift[c]);
    });
  }
}

template <class T>
void unpatchify_sample(const Unpatchify& a, std::int64_t b) {
  const std::int64_t L = a.patches.shape[1], C = a.images.cols();
  const Steps steps = steps_of(a.order, a.patch, C);
  for (std::int64_t l = 0; l < L; ++l) {
    const T* patch = a.patches.row<T>(b * L + l);
    visit_pixels(a.images, a.patch, steps, b, l, [&](std::int64_t row, std::int64_t place) {
      T* pixel = a.images.row<T>(row);
      for (std::int64_t c = 0; c < C; ++c) pixel[c] = patch[place + c * steps.c];
    });
  }
}

void patchify_reference(Stream&, const Patchify& a, void*) {
  visit_floating(a.patches.dtype, [&]<class T>(T) {
    visit_pixel(a.images.dtype, [&]<class Pixel>(Pixel) {
      parallel_for(a.images.shape[0], [&](std::int64_t b) { patchify_sample<Pixel, T>(a, b); });
    });
  });
}

void unpatchify_reference(Stream&, const Unpatchify& a, void*) {
  visit_floating(a.patches.dtype, [&]<class T>(T) {
    parallel_for(a.images.shape[0], [&](std::int64_t b) { unpatchify_sample<T>(a, b); });
  });
}

constexpr Variant<Patchify> patchify_rows[] = {
    {.name = "fast", .refuses = patchify_fast_refuses, .run = patchify_fast},
    {.name = "reference", .refuses = nullptr, .run = patchify_reference},
};
constexpr Variant<Unpatchify> unpatchify_rows[] = {
    {.name = "fast", .refuses = unpatchify_fast_refuses, .run = unpatchify_fast},
    {.name = "reference", .refuses = nullptr, .run = unpatchify_reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<Patchify> Patchify::cpu{cpu::patchify_rows};
const Rows<Unpatchify> Unpatchify::cpu{cpu::unpatchify_rows};
}  // namespace kernels
