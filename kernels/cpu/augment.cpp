#include "kernels/augment.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/resample.h"

namespace kernels::cpu {
namespace {

Resized size_of_out(const CropResize& a) {
  return {.height = a.out.shape[1], .width = a.out.shape[2], .channels = a.out.shape[3]};
}
std::int64_t image_values(const CropResize& a) { return a.out.shape.count() / a.out.shape[0]; }

// Images are shared out in runs, one a thread, each run with scratch of its own: for resampling, and for an image that
// is yet to be normalised.
struct Runs {
  std::int64_t count;
  std::size_t resampling, bytes;  // of one
};

Runs runs_of(const CropResize& a) {
  Runs runs{.count = std::min<std::int64_t>(threads(), a.out.shape[0]), .resampling = 0, .bytes = 0};
  const auto whole_lines = [](std::size_t bytes) { return (bytes + 63) / 64 * 64; };
  visit_pixel(a.pixels.dtype, [&]<class Pixel>(Pixel) {
    runs.resampling = whole_lines(resample_scratch<Pixel>(size_of_out(a), a.longest));
    runs.bytes =
        runs.resampling + (a.scale ? whole_lines(static_cast<std::size_t>(image_values(a)) * sizeof(Pixel)) : 0);
  });
  return runs;
}

template <class Pixel, class T>
void normalise(const CropResize& a, const Pixel* image, T* out) {
  using Sum = Statistics<T>;
  const std::int64_t values = image_values(a), C = a.out.cols();
  const Sum *scale = a.scale.as<Sum>(), *shift = a.shift.as<Sum>();
  for (std::int64_t i = 0; i < values; i += C) {
    for (std::int64_t c = 0; c < C; ++c) out[i + c] = T(static_cast<Sum>(image[i + c]) * scale[c] + shift[c]);
  }
}

template <class Pixel>
void one_image(const CropResize& a, std::int64_t b, std::byte* scratch, std::size_t resampling) {
  const auto* pixels = a.pixels.as<const Pixel>();
  const CropBox& box = a.boxes.as<const CropBox>()[b];
  const std::int64_t at = b * image_values(a);
  if (!a.scale) return resample(pixels, box, size_of_out(a), a.out.as<Pixel>() + at, scratch);
  auto* image = reinterpret_cast<Pixel*>(scratch + resampling);
  resample(pixels, box, size_of_out(a), image, scratch);
  visit_floating(a.out.dtype, [&]<class T>(T) { normalise(a, image, a.out.as<T>() + at); });
}

void reference(Stream&, const CropResize& a, void* scratch) {
  const Runs runs = runs_of(a);
  const std::int64_t B = a.out.shape[0];
  visit_pixel(a.pixels.dtype, [&]<class Pixel>(Pixel) {
    parallel_for(runs.count, [&](std::int64_t r) {
      std::byte* own = static_cast<std::byte*>(scratch) + static_cast<std::size_t>(r) * runs.bytes;
      for (std::int64_t b = B * r / runs.count; b < B * (r + 1) / runs.count; ++b) {
        one_image<Pixel>(a, b, own, runs.resampling);
      }
    });
  });
}

std::size_t workspace(const Device&, const CropResize& a) {
  const Runs runs = runs_of(a);
  return static_cast<std::size_t>(runs.count) * runs.bytes;
}

constexpr Variant<CropResize> rows[] = {
    {.name = "reference", .refuses = nullptr, .workspace = workspace, .run = reference}};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<CropResize> CropResize::cpu{cpu::rows};
}  // namespace kernels
