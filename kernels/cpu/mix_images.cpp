#include "kernels/mix_images.h"

#include "kernels/cpu/parallel.h"
#include "kernels/mix_noise.h"

namespace kernels::cpu {
namespace {

/// The columns [begin, end) of a line of pixels that a box covers; none where the line lies beside it.
struct Covered {
  std::int64_t begin, end;

  Covered(std::int64_t y, std::int32_t top, std::int32_t left, std::int32_t height, std::int32_t width)
      : begin(left), end(y >= top && y < top + height ? left + width : left) {}
  bool has(std::int64_t x) const { return x >= begin && x < end; }
};

/// value(b, y, x, c) of mix_images.h, for one line of pixels of one sample.
template <class Pixel, class T>
struct Line {
  const MixImages& a;
  std::int64_t b, y;
  Covered erased;
  const T *scale = a.scale.as<T>(), *shift = a.shift.as<T>();
  const std::uint32_t* draw = a.draws.row<std::uint32_t>(b);

  Line(const MixImages& args, const MixBoxes& box, std::int64_t sample, std::int64_t line)
      : a(args), b(sample), y(line), erased(line, box.erase_top, box.erase_left, box.erase_height, box.erase_width) {}

  T value(std::int64_t x, std::int64_t c) const {
    const std::int64_t H = a.images.shape[1], W = a.images.shape[2], C = a.images.cols();
    if (erased.has(x)) return erase_noise<T>(static_cast<std::uint32_t>((y * W + x) * C + c), draw[0], draw[1], a.seed);
    return T(a.images.row<Pixel>((b * H + y) * W + x)[c]) * scale[c] + shift[c];
  }
};

template <class Pixel, class T>
void mix_line(const MixImages& a, std::int64_t b, std::int64_t y) {
  const std::int64_t H = a.images.shape[1], W = a.images.shape[2], C = a.images.cols(), p = mix_partner(b, a.group);
  const MixBoxes &box = a.boxes.as<MixBoxes>()[b], &partner_box = a.boxes.as<MixBoxes>()[p];
  const Line<Pixel, T> own(a, box, b, y), partner(a, partner_box, p, y);
  const bool cut = box.cut_height > 0 && box.cut_width > 0;
  const Covered covered(y, box.cut_top, box.cut_left, box.cut_height, box.cut_width);
  const double lambda = a.lambda.as<double>()[b];
  const T keep = T(lambda), other = T(1 - lambda);
  for (std::int64_t x = 0; x < W; ++x) {
    T* out = a.out.row<T>((b * H + y) * W + x);
    for (std::int64_t c = 0; c < C; ++c) {
      if (cut) out[c] = covered.has(x) ? partner.value(x, c) : own.value(x, c);
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
