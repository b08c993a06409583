#include "mae/mixing.h"

#include <algorithm>
#include <string>

#include "kernels/core/check.h"

namespace mae {
namespace {

/// The words of a counter and of the blocks after it, one after the other.
class WordStream {
 public:
  WordStream(kernels::PhiloxCounter counter, kernels::PhiloxKey key) : counter_(counter), key_(key) {}

  std::uint32_t next() {
    if (used_ == 4) {
      block_ = philox(counter_, key_);
      ++counter_.block;
      used_ = 0;
    }
    return block_.w[used_++];
  }

  /// Uniform in (0, 1), of all 32 bits: its powers and logarithms are finite.
  double open() { return (next() + 0.5) * (1.0 / 4294967296.0); }

 private:
  kernels::PhiloxCounter counter_;
  kernels::PhiloxKey key_;
  kernels::PhiloxWords block_{};
  int used_ = 4;
};

/// log of Gamma(shape, 1): a gamma of a small shape is often less than the least double. Shapes below 1 are lifted by
/// one: Gamma(a) = Gamma(a + 1) U^(1 / a).
double log_gamma_draw(double shape, WordStream& words) {
  const double lifted = shape < 1 ? shape + 1 : shape, d = lifted - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double radius = std::sqrt(-2 * std::log(words.open()));
    const double x = radius * std::cos(2 * M_PI * words.open()), u = words.open();
    const double root = 1 + c * x, v = root * root * root;
    if (root <= 0 || std::log(u) >= 0.5 * x * x + d - d * v + d * std::log(v)) continue;
    return std::log(d * v) + (shape < 1 ? std::log(words.open()) / shape : 0);
  }
}

void check_mix(const MixOptions& o) {
  const auto share = [](double p) { return p >= 0 && p <= 1; };
  if (o.mixup >= 0 && o.cutmix >= 0 && share(o.probability) && share(o.switch_probability)) return;
  throw kernels::Error("mixup " + std::to_string(o.mixup) + ", cutmix " + std::to_string(o.cutmix) + ", probability " +
                           std::to_string(o.probability) + ", switch " + std::to_string(o.switch_probability) +
                           ": out of range",
                       "mix", "alphas are 0 or more, probabilities 0 to 1");
}

/// What is left in [0, side) of `length` around `centre`.
struct Span {
  int first, length;
};
Span clipped_span(int side, double ratio, int centre) {
  const int half = static_cast<int>(side * ratio) / 2;
  const int first = std::max(centre - half, 0);
  return {first, std::min(centre + half, side) - first};
}

}  // namespace

double draw_beta(double alpha, double beta, kernels::PhiloxCounter counter, kernels::PhiloxKey key) {
  WordStream words(counter, key);
  const double x = log_gamma_draw(alpha, words), y = log_gamma_draw(beta, words);
  return 1 / (1 + std::exp(y - x));
}

Mix draw_mix(const MixOptions& o, std::uint32_t seed, std::uint32_t step, std::uint32_t group, int height, int width) {
  check_mix(o);
  const kernels::PhiloxKey key{.seed = seed, .purpose = static_cast<std::uint32_t>(kernels::Purpose::mix)};
  kernels::PhiloxCounter counter{.block = 0, .subindex = group, .sample = kernels::whole_batch, .time = step};
  const auto [w] = philox(counter, key);
  if (!o.on() || kernels::uniform(w[0]) >= o.probability) return {};
  const bool cutmix = o.cutmix > 0 && (o.mixup == 0 || kernels::uniform(w[1]) < o.switch_probability);
  counter.block = 1;
  const double alpha = cutmix ? o.cutmix : o.mixup, lambda = draw_beta(alpha, alpha, counter, key);
  if (!cutmix) return {.lambda = lambda};
  const double ratio = std::sqrt(1 - lambda);
  const Span rows = clipped_span(height, ratio, below(height, w[2]));
  const Span columns = clipped_span(width, ratio, below(width, w[3]));
  const double area = static_cast<double>(rows.length) * columns.length;
  if (area == 0) return {};  // a box of less than two pixels a side
  return {.lambda = 1 - area / (static_cast<double>(height) * width),
          .top = rows.first,
          .left = columns.first,
          .height = rows.length,
          .width = columns.length};
}

EraseBox random_erase(int height, int width, const EraseOptions& o, const DrawOf& draw) {
  const auto block = [&](std::uint32_t n) { return words(draw, kernels::Purpose::erase, n, 1 + draw.view); };
  if (kernels::uniform(block(0).w[0]) >= o.probability) return {};
  const double image = static_cast<double>(height) * width;
  const double low = std::log(o.aspect_low), high = std::log(o.aspect_high);
  for (std::uint32_t attempt = 1; attempt <= 10; ++attempt) {
    const auto [w] = block(attempt);
    const double area = image * between(o.area_low, o.area_high, w[0]), aspect = std::exp(between(low, high, w[1]));
    const int box_height = rounded(std::sqrt(area * aspect)), box_width = rounded(std::sqrt(area / aspect));
    if (box_height < 1 || box_height >= height || box_width < 1 || box_width >= width) continue;
    return {.top = below(height - box_height + 1, w[2]),
            .left = below(width - box_width + 1, w[3]),
            .height = box_height,
            .width = box_width};
  }
  return {};
}

}  // namespace mae
