#include "kernels/mix_images.h"

#include <algorithm>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/patchify.h"
#include "kernels/cpu/simd.h"
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

// ---- fast: f32, whole lines of values, four of the noise from one block ---------------------------------------------

/// Pixels [begin, end) of line y that a box has.
struct Span {
  std::int64_t begin = 0, end = 0;
};

Span span_of(const MixBox& box, std::int64_t y, std::int64_t W) {
  if (!(y >= box.top && y < std::int64_t{box.top} + box.height)) return {};
  const std::int64_t begin = std::max<std::int64_t>(box.left, 0),
                     end = std::min<std::int64_t>(std::int64_t{box.left} + box.width, W);
  return begin < end ? Span{begin, end} : Span{};
}

/// a = x a + y b
MAE_VECTOR void blend(float* a, const float* b, float x, float y, std::int64_t count) {
#pragma omp simd
  for (std::int64_t i = 0; i < count; ++i) a[i] = x * a[i] + y * b[i];
}

/// Elements [first, first + count) of a sample's noise.
void noise(const MixImages& a, std::int64_t b, std::uint32_t first, std::uint32_t count, float* out) {
  const std::uint32_t* draw = a.draws.row<std::uint32_t>(b);
  for (std::uint32_t block = first / 4; 4 * block < first + count; ++block) {
    const PhiloxWords words = noise_words(block, draw[0], draw[1], a.seed);
    const auto low = normal_pair<float>(words.w[0], words.w[1]), high = normal_pair<float>(words.w[2], words.w[3]);
    const float four[] = {low.even, low.odd, high.even, high.odd};
    const std::uint32_t begin = std::max(first, 4 * block), end = std::min(first + count, 4 * block + 4);
    for (std::uint32_t e = begin; e < end; ++e) out[e - first] = four[e - 4 * block];
  }
}

/// Lines of values.
struct Lines {
  const MixImages& a;
  std::int64_t H, W, C;
  Constants constants;  // of the values of one

  explicit Lines(const MixImages& args)
      : a(args),
        H(args.images.shape[1]),
        W(args.images.shape[2]),
        C(args.images.cols()),
        constants(a.scale, a.shift, cut_of(a.images, 1, PatchOrder::row_column_channel), W * C) {}

  void values(std::int64_t b, std::int64_t y, float* out) const {
    visit_fast_pixel(a.images.dtype, [&]<class Pixel>(Pixel) {
      scale_run(a.images.row<Pixel>((b * H + y) * W), 1, constants.scale, constants.shift, out, W * C);
    });
    const Span erased = span_of(a.boxes.as<MixBoxes>()[b].erase, y, W);
    if (erased.begin == erased.end) return;
    noise(a, b, static_cast<std::uint32_t>((y * W + erased.begin) * C),
          static_cast<std::uint32_t>((erased.end - erased.begin) * C), out + erased.begin * C);
  }
};

void mix_sample(const Lines& lines, std::int64_t b) {
  const MixImages& a = lines.a;
  const std::int64_t W = lines.W, C = lines.C, partner = mix_partner(b, a.group);
  const MixBox cut = a.boxes.as<MixBoxes>()[b].cut;
  const double lambda = a.lambda.as<double>()[b];
  float other[most_values];
  for (std::int64_t y = 0; y < lines.H; ++y) {
    float* out = a.out.row<float>((b * lines.H + y) * W);
    lines.values(b, y, out);
    const Span span = span_of(cut, y, W);
    const bool mixed = cut.empty() && lambda != 1;
    if (!mixed && span.begin == span.end) continue;
    lines.values(partner, y, other);
    if (mixed) blend(out, other, static_cast<float>(lambda), static_cast<float>(1 - lambda), W * C);
    else std::copy(other + span.begin * C, other + span.end * C, out + span.begin * C);
  }
}

void mix_fast(Stream&, const MixImages& a, void*) {
  const Lines lines(a);
  parallel_for(a.images.shape[0], [&](std::int64_t b) { mix_sample(lines, b); });
}

const char* fast_refuses(const Device&, const MixImages& a) {
  if (a.out.dtype != DType::f32) return "this row has f32 only";
  if (a.images.dtype == DType::f64) return "this row has no pixels of f64";
  return a.out.contiguous() ? fast_refuses_images(a.images) : "this row has no gaps between pixels";
}

constexpr Variant<MixImages> mix_rows[] = {{.name = "fast", .refuses = fast_refuses, .run = mix_fast},
                                           {.name = "reference", .refuses = nullptr, .run = mix_reference}};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<MixImages> MixImages::cpu{cpu::mix_rows};
}  // namespace kernels
