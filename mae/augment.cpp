#include "mae/augment.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "kernels/core/check.h"
#include "kernels/core/philox.h"
#include "kernels/cpu/resample.h"

namespace mae {
namespace {

using kernels::PhiloxCounter;
using kernels::Purpose;

kernels::PhiloxWords words(const DrawOf& draw, Purpose purpose, std::uint32_t block) {
  const PhiloxCounter counter{.block = block, .subindex = draw.view, .sample = draw.sample, .time = draw.epoch};
  return philox(counter, {.seed = draw.seed, .purpose = static_cast<std::uint32_t>(purpose)});
}

/// Uniform in [low, high).
double between(double low, double high, std::uint32_t word) { return low + (high - low) * kernels::uniform(word); }

/// Uniform in 0 .. count - 1.
int below(int count, std::uint32_t word) { return static_cast<int>(static_cast<std::uint64_t>(count) * word >> 32); }

/// Half to even, as Python rounds.
int rounded(double x) { return static_cast<int>(std::nearbyint(x)); }

Crop centred(int height, int width, int box_height, int box_width) {
  return {.top = (height - box_height) / 2, .left = (width - box_width) / 2, .height = box_height, .width = box_width};
}

template <class T>
void resample(const T* pixels, const kernels::CropBox& box, const kernels::cpu::Resized& size, T* out) {
  thread_local std::vector<std::byte> scratch;  // the same sizes come again and again: no allocation an image
  const std::size_t bytes = kernels::cpu::resample_scratch<T>(size, std::max(box.box_height, box.box_width));
  if (scratch.size() < bytes) scratch.resize(bytes);
  kernels::cpu::resample(pixels, box, size, out, scratch.data());
}

}  // namespace

Crop random_crop(int height, int width, const CropRange& range, const DrawOf& draw) {
  const double area = static_cast<double>(height) * width;
  const double low = std::log(range.ratio_low), high = std::log(range.ratio_high);
  for (std::uint32_t attempt = 0; attempt < 10; ++attempt) {
    const auto [w] = words(draw, Purpose::crop, attempt);
    const double target = area * between(range.scale_low, range.scale_high, w[0]);
    const double aspect = std::exp(between(low, high, w[1]));
    const int box_width = rounded(std::sqrt(target * aspect)), box_height = rounded(std::sqrt(target / aspect));
    if (box_width < 1 || box_width > width || box_height < 1 || box_height > height) continue;
    return {.top = below(height - box_height + 1, w[2]),
            .left = below(width - box_width + 1, w[3]),
            .height = box_height,
            .width = box_width};
  }
  const double aspect = static_cast<double>(width) / height;
  if (aspect < range.ratio_low) {
    return centred(height, width, std::clamp(rounded(width / range.ratio_low), 1, height), width);
  }
  if (aspect > range.ratio_high) {
    return centred(height, width, height, std::clamp(rounded(height * range.ratio_high), 1, width));
  }
  return centred(height, width, height, width);
}

bool random_flip(const DrawOf& draw) { return kernels::uniform(words(draw, Purpose::flip, 0).w[0]) < 0.5; }

Crop random_view(int height, int width, const CropRange& range, const DrawOf& draw) {
  Crop crop = random_crop(height, width, range, draw);
  crop.flip = random_flip(draw);
  return crop;
}

void apply(const ImageView& image, const Crop& crop, int height, int width, std::byte* out) {
  const bool inside = crop.top >= 0 && crop.left >= 0 && crop.height >= 1 && crop.width >= 1 &&
                      crop.height <= image.height - crop.top && crop.width <= image.width - crop.left;
  if (!inside || height < 1 || width < 1) {
    throw kernels::Error("crop of " + std::to_string(crop.height) + " x " + std::to_string(crop.width) + " at (" +
                             std::to_string(crop.top) + ", " + std::to_string(crop.left) +
                             ") is not inside an image of " + std::to_string(image.height) + " x " +
                             std::to_string(image.width),
                         "apply");
  }
  const kernels::CropBox box{.height = image.height,
                             .width = image.width,
                             .top = crop.top,
                             .left = crop.left,
                             .box_height = crop.height,
                             .box_width = crop.width,
                             .flip = crop.flip};
  const kernels::cpu::Resized size{.height = height, .width = width, .channels = image.channels};
  with_pixels(image, [&]<class T>(std::span<const T> pixels) {
    resample(pixels.data(), box, size, reinterpret_cast<T*>(out));
  });
}

Image apply(const Image& image, const Crop& crop, int height, int width) {
  Image out = make_image(height, width, image.channels, image.dtype);
  apply(view_of(image), crop, height, width, out.pixels.data());
  return out;
}

void fit(const ImageView& image, int height, int width, std::byte* out) {
  if (image.height == height && image.width == width) {
    std::memcpy(out, image.pixels, image.bytes());
    return;
  }
  const Crop whole{.height = image.height, .width = image.width};
  const std::int64_t by_width = std::int64_t{width} * image.height, by_height = std::int64_t{height} * image.width;
  // The larger of the two scales covers both sides; the other side's length is cut to a whole number, as torchvision
  // does.
  const int full_height = by_width >= by_height ? static_cast<int>(by_width / image.width) : height;
  const int full_width = by_width >= by_height ? width : static_cast<int>(by_height / image.height);
  Image covering = make_image(full_height, full_width, image.channels, image.dtype);
  apply(image, whole, full_height, full_width, covering.pixels.data());
  const Crop centre{.top = rounded((full_height - height) / 2.0),
                    .left = rounded((full_width - width) / 2.0),
                    .height = height,
                    .width = width};
  apply(view_of(covering), centre, height, width, out);
}

Image fit(Image image, int height, int width) {
  if (image.height == height && image.width == width) return image;
  Image out = make_image(height, width, image.channels, image.dtype);
  fit(view_of(image), height, width, out.pixels.data());
  return out;
}

}  // namespace mae
