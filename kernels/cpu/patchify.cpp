#include "kernels/cpu/patchify.h"

#include "kernels/cpu/parallel.h"

namespace kernels::cpu {
namespace {

template <class Pixel, class T>
void patchify_sample(const Patchify& a, std::int64_t b) {
  const std::int64_t K = a.patches.shape[1];
  const std::int32_t* ids = a.ids ? a.ids.row<std::int32_t>(b) : nullptr;
  for (std::int64_t k = 0; k < K; ++k) cut_patch<Pixel>(a, b, ids ? ids[k] : k, a.patches.row<T>(b * K + k));
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
