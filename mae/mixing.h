// Draws of mixup (Zhang et al., 2018), CutMix (Yun et al., 2019) and random erasing (Zhong et al., 2020), as timm 0.3.2
// has them. Pixels and targets are mixed, and boxes filled, on the device.
//
// Mix:    one for a group of a batch, whose images are mixed with those of its reverse. With `probability`, else lambda
//         1; where both alphas are above 0, CutMix with `switch_probability`. lambda ~ Beta(alpha, alpha).
// CutMix: a box of int(side * sqrt(1 - lambda)), half of it (cut) to each side of a uniform centre, cut to the image;
//         lambda = 1 - area of what is left / area of the image.
// Draws:  Philox, key (seed, mix), counter (element, group, 2^32 - 1, step); element 0 whether, 1 which, 2 and 3 the
//         centre (y, x), from 4 on those of Beta, as many as it rejects.
// Erase:  with `probability`, up to ten times: area = U(area) * height * width, aspect = exp(U(log aspect)), the box
//         sqrt(area * aspect) high and sqrt(area / aspect) wide, sides rounded half to even, placed uniformly if both
//         are shorter than the image's.
// Draws:  key (seed, erase), counter (element, 1 + view, sample, epoch), subindex 0 being the noise's; element 0
//         whether, try t uses 4 (t + 1) and the three after it: area, aspect, top, left.
#pragma once

#include "mae/draws.h"

namespace mae {

struct MixOptions {
  double mixup = 0.8, cutmix = 1.0;  // alpha of Beta; 0: without
  double probability = 1.0;          // that a group is mixed at all
  double switch_probability = 0.5;   // of CutMix, where there are both

  bool on() const { return probability > 0 && (mixup > 0 || cutmix > 0); }
};

struct Mix {
  double lambda = 1;                             // the image's own share; the rest is its partner's
  int top = 0, left = 0, height = 0, width = 0;  // that the partner's pixels fill; height 0: mixup, or nothing

  bool operator==(const Mix&) const = default;
};

/// Beta(alpha, beta) from the words of `counter` and its following blocks, in f64: two gammas by Marsaglia and Tsang
/// (2000). 0 < alpha, beta.
double draw_beta(double alpha, double beta, kernels::PhiloxCounter counter, kernels::PhiloxKey key);

/// Of images of height x width. Throws kernels::Error for negative alphas and for probabilities outside 0 to 1.
Mix draw_mix(const MixOptions& options, std::uint32_t seed, std::uint32_t step, std::uint32_t group, int height,
             int width);

struct EraseOptions {
  double probability = 0.25;
  double area_low = 0.02, area_high = 1.0 / 3;       // of the box / of the image
  double aspect_low = 0.3, aspect_high = 1.0 / 0.3;  // height / width
};

struct EraseBox {
  int top = 0, left = 0, height = 0, width = 0;  // height 0: nothing is erased

  bool operator==(const EraseBox&) const = default;
};

EraseBox random_erase(int height, int width, const EraseOptions& options, const DrawOf& draw);

}  // namespace mae
