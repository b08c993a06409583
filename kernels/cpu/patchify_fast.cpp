// The fast rows of patchify and unpatchify, which work by lines of pixels. Of one line all values are scaled at once,
// with vectors as long as the machine has; then they are dealt out to the patches of its band, in runs that are
// contiguous on both sides: P C values where the channel is fastest, else a channel's P, after the line has been taken
// apart into its channels. With ids, patch by patch: a run is scaled where it is found.
#include <cstring>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/patchify.h"
#include "kernels/cpu/simd.h"

namespace kernels::cpu {
namespace {

/// move(values of the line, of a run in the first patch, ...) for each plane of line y of sample b.
template <class T, class Move>
void for_each_plane(const Cut& cut, const View& patches, std::int64_t P, std::int64_t b, std::int64_t y, T* line,
                    Move move) {
  T* first = patches.row<T>(b * patches.shape[1] + y / P * cut.across);
  for (std::int64_t plane = 0; plane < cut.planes; ++plane)
    move(line + plane * cut.across * cut.run, first + (plane * P + y % P) * cut.run);
}

// A run's length as a constant makes its copy one or two instructions.
template <std::int64_t run, class T>
void copy_runs(const T* from, std::int64_t from_step, T* to, std::int64_t to_step, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, run * sizeof(T));
}

template <class T>
void copy_runs(const T* from, std::int64_t from_step, T* to, std::int64_t to_step, std::int64_t count,
               std::int64_t run) {
  switch (run) {
    case 2:
      return copy_runs<2>(from, from_step, to, to_step, count);
    case 4:
      return copy_runs<4>(from, from_step, to, to_step, count);
    case 6:
      return copy_runs<6>(from, from_step, to, to_step, count);
    case 12:
      return copy_runs<12>(from, from_step, to, to_step, count);
    case 14:
      return copy_runs<14>(from, from_step, to, to_step, count);
    case 16:
      return copy_runs<16>(from, from_step, to, to_step, count);
    default:
      for (std::int64_t i = 0; i < count; ++i)
        std::memcpy(to + i * to_step, from + i * from_step, static_cast<std::size_t>(run) * sizeof(T));
  }
}

// ---- scaling ------------------------------------------------------------------------------------------------------

/// Every step-th value of x. A step that the compiler knows lets it take vectors apart.
template <class Pixel>
[[gnu::always_inline]] inline void scale_every(const Pixel* x, std::int64_t step, const float* scale,
                                               const float* shift, float* out, std::int64_t count) {
  const auto scaled = [&](std::int64_t known) {
#pragma omp simd
    for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(x[i * known]) * scale[i] + shift[i];
  };
  if (step == 1) scaled(1);
  else if (step == 3) scaled(3);
  else scaled(step);
}
}  // namespace

Cut cut_of(const View& images, std::int64_t P, PatchOrder order) {
  const std::int64_t C = images.cols(), planes = order == PatchOrder::row_column_channel ? 1 : C;
  return {.planes = planes, .run = P * C / planes, .across = images.shape[2] / P};
}

Constants::Constants(const View& scale_of, const View& shift_of, const Cut& cut, std::int64_t count) {
  const std::int64_t C = scale_of.cols();
  for (std::int64_t i = 0; i < cut.planes * count; ++i) {
    const std::int64_t c = cut.planes == 1 ? i % C : i / count;
    scale[i] = scale_of.as<float>()[c];
    shift[i] = shift_of.as<float>()[c];
  }
}

MAE_VECTOR void scale_run(const std::uint8_t* x, std::int64_t step, const float* scale, const float* shift, float* out,
                          std::int64_t count) {
  scale_every(x, step, scale, shift, out, count);
}
MAE_VECTOR void scale_run(const std::uint16_t* x, std::int64_t step, const float* scale, const float* shift, float* out,
                          std::int64_t count) {
  scale_every(x, step, scale, shift, out, count);
}
MAE_VECTOR void scale_run(const float* x, std::int64_t step, const float* scale, const float* shift, float* out,
                          std::int64_t count) {
  scale_every(x, step, scale, shift, out, count);
}

namespace {

template <class Pixel, class T>
void patchify_sample(const Patchify& a, const Cut& cut, const Constants& constants, std::int64_t b) {
  const std::int64_t height = a.images.shape[1], width = a.images.shape[2], C = a.images.cols();
  const std::int64_t plane = width * C / cut.planes;  // values of one
  float scaled[most_values];
  T narrow[most_values];
  for (std::int64_t y = 0; y < height; ++y) {
    const Pixel* pixels = a.images.row<Pixel>((b * height + y) * width);
    for (std::int64_t i = 0; i < cut.planes; ++i)
      scale_run(pixels + i, cut.planes, constants.scale + i * plane, constants.shift + i * plane, scaled + i * plane,
                plane);
    T* line = narrow;
    if constexpr (std::is_same_v<T, float>) line = scaled;
    else convert_run(scaled, narrow, width * C);
    for_each_plane(cut, a.patches, a.patch, b, y, line, [&](const T* values, T* patch) {
      copy_runs(values, cut.run, patch, a.patches.row_stride, cut.across, cut.run);
    });
  }
}

template <class Pixel, class T>
void patchify_ids(const Patchify& a, const Cut& cut, const Constants& constants, std::int64_t b) {
  const std::int64_t K = a.patches.shape[1];
  const std::int32_t* ids = a.ids.row<std::int32_t>(b);
  float scaled[most_values];
  for (std::int64_t k = 0; k < K; ++k) {
    T* patch = a.patches.row<T>(b * K + k);
    float* values = scaled;
    if constexpr (std::is_same_v<T, float>) values = patch;
    cut_patch_fast<Pixel>(a.images, a.patch, cut, constants, b, ids[k], values);
    if constexpr (!std::is_same_v<T, float>) convert_run(scaled, patch, a.patches.cols());
  }
}

template <class Pixel, class T>
void patchify_typed(const Patchify& a) {
  const Cut cut = cut_of(a.images, a.patch, a.order);
  const Constants constants(a.scale, a.shift, cut, a.ids ? cut.run : cut.run * cut.across);
  parallel_for(a.images.shape[0], [&](std::int64_t b) {
    a.ids ? patchify_ids<Pixel, T>(a, cut, constants, b) : patchify_sample<Pixel, T>(a, cut, constants, b);
  });
}

template <class T>
void unpatchify_sample(const Unpatchify& a, const Cut& cut, std::int64_t b) {
  const std::int64_t height = a.images.shape[1], width = a.images.shape[2];
  for (std::int64_t y = 0; y < height; ++y) {
    for_each_plane(cut, a.patches, a.patch, b, y, a.images.row<T>((b * height + y) * width), [&](T* values, T* patch) {
      copy_runs(patch, a.patches.row_stride, values, cut.run, cut.across, cut.run);
    });
  }
}

}  // namespace

const char* fast_refuses_images(const View& images) {
  if (!images.contiguous()) return "this row has pixels without gaps only";
  return images.shape[2] * images.cols() > most_values ? "this row has lines of at most 4096 values" : nullptr;
}

const char* patchify_fast_refuses(const Device&, const Patchify& a) {
  if (a.patches.dtype == DType::f64 || a.images.dtype == DType::f64) return "this row has no f64";
  if (a.ids && a.patches.cols() > most_values) return "this row has ids of patches of at most 4096 values";
  return fast_refuses_images(a.images);
}

const char* unpatchify_fast_refuses(const Device&, const Unpatchify& a) {
  if (a.order != PatchOrder::row_column_channel && a.images.cols() > 1)
    return "this row has patches with the channel fastest only";
  return fast_refuses_images(a.images);
}

void patchify_fast(Stream&, const Patchify& a, void*) {
  visit_fast_pixel(a.images.dtype, [&]<class Pixel>(Pixel) {
    a.patches.dtype == DType::f32 ? patchify_typed<Pixel, float>(a) : patchify_typed<Pixel, bf16>(a);
  });
}

void unpatchify_fast(Stream&, const Unpatchify& a, void*) {
  const Cut cut = cut_of(a.images, a.patch, a.order);
  visit_floating(a.patches.dtype, [&]<class T>(T) {
    parallel_for(a.images.shape[0], [&](std::int64_t b) { unpatchify_sample<T>(a, cut, b); });
  });
}

}  // namespace kernels::cpu
