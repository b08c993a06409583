#include "mae/augment.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "kernels/core/check.h"
#include "kernels/cpu/resample.h"

namespace mae {
namespace {

using kernels::Purpose;

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

Crop random_crop(int height, int width, const CropRange& range, const DrawOf& draw, CropTries tries) {
  const double area = static_cast<double>(height) * width;
  const double low = std::log(range.ratio_low), high = std::log(range.ratio_high);
  for (std::uint32_t attempt = 0; attempt < 10; ++attempt) {
    const auto [w] = words(draw, Purpose::crop, attempt);
    const double target = area * between(range.scale_low, range.scale_high, w[0]);
    const double aspect = std::exp(between(low, high, w[1]));
    int box_width = rounded(std::sqrt(target * aspect)), box_height = rounded(std::sqrt(target / aspect));
    if (tries == CropTries::one) {
      box_width = std::clamp(box_width, 1, width);
      box_height = std::clamp(box_height, 1, height);
    }
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
bool random_vertical_flip(const DrawOf& draw) { return kernels::uniform(words(draw, Purpose::flip, 0).w[1]) < 0.5; }
int random_turn(const DrawOf& draw) { return below(4, words(draw, Purpose::turn, 0).w[0]); }

void augment(const ImageView& image, const Augmentation& a, const DrawOf& draw, int height, int width, std::byte* out) {
  const std::size_t pixel = static_cast<std::size_t>(image.channels) * size_of(image.dtype);
  const bool flip = a.flip && random_flip(draw);
  if (a.crop) {
    Crop crop = random_crop(image.height, image.width, a.range, draw, a.tries);
    crop.flip = flip;
    apply(image, crop, height, width, out);
  } else {
    fit(image, height, width, out, a.share);
    if (flip) mirror(out, height, width, pixel);
  }
  if (a.vertical_flip && random_vertical_flip(draw)) upside_down(out, height, width, pixel);
  if (a.turns) turn(out, height, pixel, random_turn(draw));
  const Editable pixels{height, width, image.channels, reinterpret_cast<std::uint8_t*>(out)};
  if (a.rand.on()) rand_augment(pixels, a.rand, draw);
  if (a.jitter.on()) color_jitter(pixels, a.jitter, draw);
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

void fit(const ImageView& image, int height, int width, std::byte* out, double share) {
  if (share == 1 && image.height == height && image.width == width) {
    std::memcpy(out, image.pixels, image.bytes());
    return;
  }
  const Crop whole{.height = image.height, .width = image.width};
  const int least_height = static_cast<int>(height / share), least_width = static_cast<int>(width / share);
  const std::int64_t by_width = std::int64_t{least_width} * image.height,
                     by_height = std::int64_t{least_height} * image.width;
  // The larger of the two scales covers both sides; the other side's length is cut to a whole number, as torchvision
  // does.
  const bool wide = by_width >= by_height;
  const int full_height = wide ? static_cast<int>(by_width / image.width) : least_height;
  const int full_width = wide ? least_width : static_cast<int>(by_height / image.height);
  Image covering = make_image(full_height, full_width, image.channels, image.dtype);
  apply(image, whole, full_height, full_width, covering.pixels.data());
  const Crop centre{.top = rounded((full_height - height) / 2.0),
                    .left = rounded((full_width - width) / 2.0),
                    .height = height,
                    .width = width};
  apply(view_of(covering), centre, height, width, out);
}

Image fit(Image image, int height, int width, double share) {
  if (share == 1 && image.height == height && image.width == width) return image;
  Image out = make_image(height, width, image.channels, image.dtype);
  fit(view_of(image), height, width, out.pixels.data(), share);
  return out;
}

}  // namespace mae
