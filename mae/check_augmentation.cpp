#include <string>

#include "kernels/core/check.h"
#include "mae/augment.h"

namespace mae {
namespace {

[[noreturn]] void refuse_augmentation(const std::string& fact, const std::string& advice) {
  throw kernels::Error(fact, "augmentation", advice);
}

void check_colours(const Augmentation& a, int channels, kernels::DType dtype) {
  const std::string what = a.rand.on() ? "RandAugment" : "colour jitter";
  if (a.rand.on() && a.jitter.on()) {
    refuse_augmentation("RandAugment and colour jitter exclude each other, as in timm", "turn one of them off");
  }
  if ((channels != 1 && channels != 3) || dtype != kernels::DType::u8) {
    refuse_augmentation(what + " is defined for 8-bit images of 1 or 3 channels, these are " +
                            std::string(name_of(dtype)) + " with " + std::to_string(channels),
                        "turn it off; crops, flips and turns are there for all images");
  }
  const ColorJitter& j = a.jitter;
  if (!(j.brightness >= 0 && j.contrast >= 0 && j.saturation >= 0)) {
    refuse_augmentation("a range of the colour jitter is negative", "choose 0 (off) or more, such as 0.4");
  }
  const RandAugment& r = a.rand;
  const bool sound = r.operations <= 16 && r.magnitude >= 0 && r.magnitude <= 10 && r.deviation >= 0 &&
                     r.probability >= 0 && r.probability <= 1;
  if (!sound) {
    refuse_augmentation("a value of RandAugment is out of range",
                        "at most 16 operators, a magnitude of 0 to 10, a deviation of 0 or more, a probability of 0 to "
                        "1");
  }
}

}  // namespace

void check_augmentation(const Augmentation& a, int channels, kernels::DType dtype, int height, int width) {
  if (a.turns && height != width) {
    refuse_augmentation("quarter turns exchange height and width, and these are " + std::to_string(height) + " and " +
                            std::to_string(width),
                        "choose a square image size, or no turns");
  }
  if (!(a.share > 0.01 && a.share <= 1)) {
    refuse_augmentation("the share of a fitted image that is kept is " + std::to_string(a.share),
                        "choose more than 0.01 and at most 1, such as 0.875");
  }
  if (a.rand.on() || a.jitter.on()) check_colours(a, channels, dtype);
}

}  // namespace mae
