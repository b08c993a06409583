#include "kernels/mix_images.h"

#include "kernels/cpu/parallel.h"
#include "kernels/mix_noise.h"

namespace kernels::cpu {
namespace {

/// value(b, y, x, c) of mix_images.h, for one line of pixels of one sample.
template <class Pixel, class T>
struct Line {
  const Pixel* pixels;  // W of them, `stride` apart
  std::int64_t stride, C;
  const T *scale, *shift;  // (C)
  MixBox erased;
  std::int64_t y;
  std::uint32_t element, sample, epoch, seed;  // element: of the line's first value in its image

  Line(const MixImages& a, std::int64_t b, std::int64_t line)
      : pixels(a.images.row<Pixel>((b * a.images.shape[1] + line) * a.images.shape[2])),
        stride(a.images.row_stride),
        C(a.images.cols()),
        scale(a.scale.as<T>()),
        shift(a.shift.as<T>()),
        erased(a.boxes.as<MixBoxes>()[b].erase),
        y(line),
        element(static_cast<std::uint32_t>(line * a.images.shape[2] * C)),
        sample(a.draws.row<std::uint32_t>(b)[0]),
        epoch(a.draws.row<std::uint32_t>(b)[1]),
        seed(a.seed) {}

  T value(std::int64_t x, std::int64_t c) const {
    if (erased.has(y, x)) return erase_noise<T>(element + static_cast<std::uint32_t>(x * C + c), sample, epoch, seed);
    return T(pixels[x * stride + c]) * scale[c] + shift[c];
  }
};

template <class Pixel, class T>
void mix_line(const MixImages& a, std::int64_t b, std::int64_t y) {
  const std::int64_t H = a.images.shape[1], W = a.images.shape[2], C = a.images.cols();
  const Line<Pixel, T> own(a, b, y), partner(a, mix_partner(b, a.group), y);
  const MixBox cut = a.boxes.as<MixBoxes>()[b].cut;
  const double lambda = a.lambda.as<double>()[b];
  const T keep = T(lambda), other = T(1 - lambda);
  for (std::int64_t x = 0; x < W; ++x) {
    T* out = a.out.row<T>((b * H + y) * W + x);
    for (std::int64_t c = 0; c < C; ++c) {
      if (!cut.empty()) out[c] = cut.has(y, x) ? partner.value(x, c) : own.value(x, c);
      else if (lambda == 1) out[c] = own.value(x, c);
      else out[c] = keep * own.value(x, c) + other * partner.value(x, c);
    }
  }
}

void mix_reference(Stream&, const MixImages& a, void*) {
  const std::int64_t H = a.images.shape[1];
  visit_floating(a.out.dtype, [&]<class T>(T) {
    visit_pixel(a.images.dtype, [&]<class Pixel>(Pixel) {
      if constexpr (!std::is_same_v<T, bf16>) {  // which validate has refused
        parallel_for(a.images.shape[0] * H, [&](std::int64_t l) { mix_line<Pixel, T>(a, l / H, l % H); });
      }
    });
  });
}

constexpr Variant<MixImages> mix_rows[] = {{.name = "reference", .refuses = nullptr, .run = mix_reference}};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<MixImages> MixImages::cpu{cpu::mix_rows};
}  // namespace kernels
