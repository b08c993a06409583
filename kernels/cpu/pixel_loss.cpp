// The loss on pixels: patch by patch, the target is cut from the image into a buffer that stays in the cache, and then
// goes through the formulas of the masked loss.
#include "kernels/cpu/loss.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/patchify.h"
#include "kernels/cpu/widened.h"

namespace kernels::cpu {
namespace {

constexpr std::int64_t group = 16;  // patches whose errors make one partial sum

std::int64_t groups_of(const PixelLoss& a) { return (a.pred.rows() + group - 1) / group; }

/// The error of prediction r of all B M, against its target; writes its row of dpred.
template <class T, class Row>
Statistics<T> error_of(const PixelLoss& a, std::int64_t r, const Statistics<T>* target) {
  const std::int64_t P = a.pred.cols();
  const T* pred = a.pred.row<T>(r);
  Spread<Statistics<T>> s;
  if (a.pixels == PixelTarget::normalized) s = Row::spread(target, P, a.eps);
  if (a.dpred) Row::slope(pred, target, P, s, a.factor, a.dpred.row<T>(r));
  return Row::error(pred, target, P, s);
}

/// Adds up error(group, b, l, r) of all predictions r, which are for patch l of sample b; partial: one a group.
template <class Sum, class Error>
void sum_errors(const PixelLoss& a, Sum* partial, Error error) {
  const std::int64_t M = a.pred.shape[1], rows = a.pred.rows(), groups = groups_of(a);
  parallel_for(groups, [&](std::int64_t g) {
    Sum sum = 0;
    for (std::int64_t r = g * group; r < std::min(rows, (g + 1) * group); ++r)
      sum += error(g, r / M, a.ids.row<std::int32_t>(r / M)[r % M], r);
    partial[g] = sum;
  });
  Sum total = 0;
  for (std::int64_t g = 0; g < groups; ++g) total += partial[g];
  Sum* loss = a.loss.as<Sum>();
  loss[0] = (a.mode == Write::accumulate ? loss[0] : Sum(0)) + Sum(a.factor) * total;
}

// a partial sum and a target patch a group
std::size_t reference_workspace(const Device&, const PixelLoss& a) {
  return static_cast<std::size_t>(groups_of(a) * (1 + a.pred.cols())) * size_of(statistics_of(a.pred.dtype));
}

void reference(Stream&, const PixelLoss& a, void* scratch) {
  visit_floating(a.pred.dtype, [&]<class T>(T) {
    using Sum = Statistics<T>;
    Sum *partial = static_cast<Sum*>(scratch), *targets = partial + groups_of(a);
    visit_pixel(a.images.dtype, [&]<class Pixel>(Pixel) {
      sum_errors(a, partial, [&](std::int64_t g, std::int64_t b, std::int64_t l, std::int64_t r) {
        Sum* target = targets + g * a.pred.cols();
        cut_patch<Pixel>(a, b, l, target);
        return error_of<T, Plain<T, Sum>>(a, r, target);
      });
    });
  });
}

std::size_t fast_workspace(const Device&, const PixelLoss& a) {
  return static_cast<std::size_t>(groups_of(a)) * sizeof(float);
}

void fast(Stream&, const PixelLoss& a, void* scratch) {
  const Cut cut = cut_of(a.images, a.patch, a.order);
  const Constants constants(a.scale, a.shift, cut, cut.run);
  visit_fast_pixel(a.images.dtype, [&]<class Pixel>(Pixel) {
    sum_errors(a, static_cast<float*>(scratch), [&](std::int64_t, std::int64_t b, std::int64_t l, std::int64_t r) {
      float target[most_values];
      cut_patch_fast<Pixel>(a.images, a.patch, cut, constants, b, l, target);
      return error_of<float, Fast>(a, r, target);
    });
  });
}

const char* fast_refuses(const Device&, const PixelLoss& a) {
  if (a.pred.dtype != DType::f32 || a.images.dtype == DType::f64) return "this row has f32 only, and no pixels in f64";
  if (a.pred.cols() > most_values) return "this row has patches of at most 4096 values";
  return fast_refuses_images(a.images);
}

constexpr Variant<PixelLoss> rows[] = {
    {.name = "fast", .refuses = fast_refuses, .workspace = fast_workspace, .run = fast},
    widened<PixelLoss>,
    {.name = "reference", .refuses = nullptr, .workspace = reference_workspace, .run = reference},
};

}  // namespace

}  // namespace kernels::cpu

namespace kernels {
const Rows<PixelLoss> PixelLoss::cpu{cpu::rows};
}  // namespace kernels
