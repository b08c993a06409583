#include "mae/affine.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

namespace mae {
namespace {

/// To 15 places behind the point, as Python's round does: Pillow's matrix of a rotation.
double round15(double x) {
  std::array<char, 32> text{};
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), x, std::chars_format::fixed, 15);
  std::from_chars(text.data(), end, x);
  return x;
}

/// Through v[0] to v[3] at distance d behind v[1].
template <class T>
double cubic(T v0, T v1, T v2, T v3, double d) {
  const double p2 = -v0 + v2, p3 = 2 * (v0 - v1) + v2 - v3, p4 = -v0 + v1 - v2 + v3;
  return v1 + d * (p2 + d * (p3 + d * p4));
}

/// Where four neighbours along one side lie, and how far the point is behind the second.
struct Neighbours {
  std::array<std::ptrdiff_t, 4> at;
  double distance;
};

Neighbours neighbours(double point, int size, std::ptrdiff_t stride) {
  const double first = std::floor(point - 0.5);
  const int from = static_cast<int>(first) - 1;
  Neighbours n{.at = {}, .distance = point - 0.5 - first};
  for (int i = 0; i < 4; ++i) n.at[static_cast<std::size_t>(i)] = std::clamp(from + i, 0, size - 1) * stride;
  return n;
}

std::uint8_t interpolated(const std::uint8_t* in, const Neighbours& x, const Neighbours& y) {
  std::array<double, 4> rows;
  for (std::size_t r = 0; r < 4; ++r) {
    const std::uint8_t* row = in + y.at[r];
    rows[r] = cubic<int>(row[x.at[0]], row[x.at[1]], row[x.at[2]], row[x.at[3]], x.distance);
  }
  const double value = cubic(rows[0], rows[1], rows[2], rows[3], y.distance);
  return static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
}

}  // namespace

Fill fill_of(const std::vector<double>& mean) {
  Fill fill{};
  for (std::size_t c = 0; c < fill.size() && !mean.empty(); ++c) {
    const double value = mean[std::min(c, mean.size() - 1)];
    fill[c] = static_cast<std::uint8_t>(std::clamp(std::nearbyint(255 * value), 0.0, 255.0));
  }
  return fill;
}

void transform(const Editable& image, const Affine& map, const Fill& fill) {
  thread_local std::vector<std::uint8_t> before;
  before.assign(image.pixels, image.pixels + image.bytes());
  const int channels = image.channels;
  std::uint8_t* out = image.pixels;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x, out += channels) {
      const double to_x = x + 0.5, to_y = y + 0.5;
      const double from_x = map[0] * to_x + map[1] * to_y + map[2], from_y = map[3] * to_x + map[4] * to_y + map[5];
      if (!(from_x >= 0 && from_x < image.width && from_y >= 0 && from_y < image.height)) {
        std::copy_n(fill.begin(), channels, out);
        continue;
      }
      const Neighbours across = neighbours(from_x, image.width, channels);
      const Neighbours down = neighbours(from_y, image.height, std::ptrdiff_t{channels} * image.width);
      for (int c = 0; c < channels; ++c) out[c] = interpolated(before.data() + c, across, down);
    }
  }
}

void rotate(const Editable& image, double degrees, const Fill& fill) {
  double positive = std::fmod(degrees, 360.0);
  if (positive < 0) positive += 360.0;
  if (positive == 0) return;
  const double angle = -(positive * (M_PI / 180)), x = image.width / 2.0, y = image.height / 2.0;
  const double c = round15(std::cos(angle)), s = round15(std::sin(angle)), minus_s = round15(-std::sin(angle));
  const double left = c * -x + s * -y + 0.0, up = minus_s * -x + c * -y + 0.0;
  transform(image, {c, s, left + x, minus_s, c, up + y}, fill);
}

void shear_x(const Editable& image, double factor, const Fill& fill) {
  transform(image, {1, factor, 0, 0, 1, 0}, fill);
}
void shear_y(const Editable& image, double factor, const Fill& fill) {
  transform(image, {1, 0, 0, factor, 1, 0}, fill);
}
void translate_x(const Editable& image, double share, const Fill& fill) {
  transform(image, {1, 0, share * image.width, 0, 1, 0}, fill);
}
void translate_y(const Editable& image, double share, const Fill& fill) {
  transform(image, {1, 0, 0, 0, 1, share * image.height}, fill);
}

void mirror(std::byte* pixels, int height, int width, std::size_t pixel) {
  for (int y = 0; y < height; ++y, pixels += static_cast<std::size_t>(width) * pixel) {
    for (std::size_t a = 0, b = static_cast<std::size_t>(width) - 1; a < b; ++a, --b) {
      std::swap_ranges(pixels + a * pixel, pixels + (a + 1) * pixel, pixels + b * pixel);
    }
  }
}

void upside_down(std::byte* pixels, int height, int width, std::size_t pixel) {
  const std::size_t row = static_cast<std::size_t>(width) * pixel;
  for (std::size_t a = 0, b = static_cast<std::size_t>(height) - 1; a < b; ++a, --b) {
    std::swap_ranges(pixels + a * row, pixels + (a + 1) * row, pixels + b * row);
  }
}

void turn(std::byte* pixels, int side, std::size_t pixel, int quarters) {
  const auto n = static_cast<std::size_t>(side);
  quarters &= 3;
  if (quarters >= 2) {
    upside_down(pixels, side, side, pixel);
    mirror(pixels, side, side, pixel);
  }
  if (quarters % 2 == 0) return;
  for (std::size_t y = 0; y < n; ++y) {  // a quarter turn: transposed, then upside down
    for (std::size_t x = 0; x < y; ++x) {
      std::byte* a = pixels + (y * n + x) * pixel;
      std::swap_ranges(a, a + pixel, pixels + (x * n + y) * pixel);
    }
  }
  upside_down(pixels, side, side, pixel);
}

}  // namespace mae
