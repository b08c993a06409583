#include "mae/color.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace mae {
namespace {

using ByteTable = std::array<std::uint8_t, 256>;
using Histogram = std::array<std::int64_t, 256>;

/// table(channel, histogram) of each channel.
template <class F>
void map_channels(const Editable& image, const F& table_of) {
  const auto channels = static_cast<std::size_t>(image.channels);
  for (std::size_t c = 0; c < channels; ++c) {
    Histogram histogram{};
    for (std::size_t i = c; i < image.bytes(); i += channels) ++histogram[image.pixels[i]];
    const ByteTable table = table_of(histogram);
    for (std::size_t i = c; i < image.bytes(); i += channels) image.pixels[i] = table[image.pixels[i]];
  }
}

/// f(0 .. 255), for all channels.
template <class F>
void map_values(const Editable& image, const F& f) {
  ByteTable table;
  for (int v = 0; v < 256; ++v) table[static_cast<std::size_t>(v)] = static_cast<std::uint8_t>(f(v));
  for (std::size_t i = 0; i < image.bytes(); ++i) image.pixels[i] = table[image.pixels[i]];
}

ByteTable unchanged() {
  ByteTable table;
  for (std::size_t v = 0; v < 256; ++v) table[v] = static_cast<std::uint8_t>(v);
  return table;
}

ByteTable stretched(const Histogram& histogram) {
  const auto used = [](std::int64_t n) { return n > 0; };
  const auto low = std::find_if(histogram.begin(), histogram.end(), used) - histogram.begin();
  const auto high = histogram.rend() - std::find_if(histogram.rbegin(), histogram.rend(), used) - 1;
  if (high <= low) return unchanged();
  const double scale = 255.0 / static_cast<double>(high - low), offset = -static_cast<double>(low) * scale;
  ByteTable table;
  for (std::size_t v = 0; v < 256; ++v) {
    table[v] = static_cast<std::uint8_t>(std::clamp(static_cast<int>(static_cast<double>(v) * scale + offset), 0, 255));
  }
  return table;
}

ByteTable equalized(const Histogram& histogram) {
  std::int64_t total = 0, last = 0, values = 0;
  for (const std::int64_t n : histogram) {
    total += n;
    values += n > 0;
    if (n > 0) last = n;
  }
  const std::int64_t step = (total - last) / 255;
  if (values <= 1 || step == 0) return unchanged();
  ByteTable table;
  std::int64_t rank = step / 2;
  for (std::size_t v = 0; v < 256; ++v) {
    table[v] = static_cast<std::uint8_t>(std::min<std::int64_t>(rank / step, 255));
    rank += histogram[v];
  }
  return table;
}

int grey_level(const std::uint8_t* p, int channels) {
  return channels == 1 ? p[0] : static_cast<int>((19595u * p[0] + 38470u * p[1] + 7471u * p[2] + 32768u) >> 16);
}

/// other + factor * (in - other). Between 0 and 255 a cast cuts off what lies behind the point, as Pillow does.
std::uint8_t blended(int in, int other, float factor) {
  const float value = static_cast<float>(other) + factor * static_cast<float>(in - other);
  return static_cast<std::uint8_t>(std::clamp(value, 0.0f, 255.0f));
}

/// The nine around a value of the middle, the middle five times, over 13, rounded; in a row of `row` bytes.
int smoothed(const std::uint8_t* p, std::ptrdiff_t row, std::ptrdiff_t channels) {
  int sum = 4 * p[0];
  for (const std::ptrdiff_t y : {-row, std::ptrdiff_t{0}, row}) sum += p[y - channels] + p[y] + p[y + channels];
  return (2 * sum + 13) / 26;
}

}  // namespace

void autocontrast(const Editable& image) { map_channels(image, stretched); }
void equalize(const Editable& image) { map_channels(image, equalized); }

void invert(const Editable& image) {
  map_values(image, [](int v) { return 255 - v; });
}
void posterize(const Editable& image, int bits) {
  map_values(image, [kept = ~((1 << (8 - bits)) - 1)](int v) { return v & kept; });
}
void solarize(const Editable& image, int from) {
  map_values(image, [from](int v) { return v < from ? v : 255 - v; });
}
void solarize_add(const Editable& image, int add) {
  map_values(image, [add](int v) { return v < 128 ? std::min(255, v + add) : v; });
}

void adjust_color(const Editable& image, double factor) {
  if (image.channels == 1) return;
  const std::uint8_t* end = image.pixels + image.bytes();
  for (std::uint8_t* p = image.pixels; p < end; p += 3) {
    const int grey = grey_level(p, 3);
    for (int c = 0; c < 3; ++c) p[c] = blended(p[c], grey, static_cast<float>(factor));
  }
}

void adjust_contrast(const Editable& image, double factor) {
  std::int64_t sum = 0;
  const auto pixels = static_cast<std::int64_t>(image.height) * image.width;
  for (std::size_t i = 0; i < image.bytes(); i += static_cast<std::size_t>(image.channels)) {
    sum += grey_level(image.pixels + i, image.channels);
  }
  const int mean = static_cast<int>(static_cast<double>(sum) / static_cast<double>(pixels) + 0.5);
  map_values(image, [=](int v) { return blended(v, mean, static_cast<float>(factor)); });
}

void adjust_brightness(const Editable& image, double factor) {
  map_values(image, [=](int v) { return blended(v, 0, static_cast<float>(factor)); });
}

void adjust_sharpness(const Editable& image, double factor) {
  if (image.height < 3 || image.width < 3) return;  // the border keeps its values, and there is nothing else
  const std::ptrdiff_t channels = image.channels, row = channels * image.width;
  thread_local std::vector<std::uint8_t> before;
  before.assign(image.pixels, image.pixels + image.bytes());
  for (std::ptrdiff_t y = 1; y < image.height - 1; ++y) {
    for (std::ptrdiff_t i = y * row + channels; i < (y + 1) * row - channels; ++i) {
      const std::uint8_t* p = before.data() + i;
      image.pixels[i] = blended(*p, smoothed(p, row, channels), static_cast<float>(factor));
    }
  }
}

}  // namespace mae
