#include "mae/reconstruct.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "kernels/core/check.h"
#include "mae/input_slots.h"

namespace mae {
namespace {

constexpr float grey = 0.5f;
constexpr double norm_pix_eps = 1e-6;

/// What the model says about a batch, on the host in f32: values of patches in the order of target and prediction.
struct Patches {
  std::int64_t L = 0, values = 0;
  std::vector<float> target, predicted;  // (N, L, P P C), normalised pixels
  std::vector<std::int32_t> rank;        // (N, L)
};

template <class T>
std::vector<T> download(kernels::Stream& stream, const View& view) {
  std::vector<T> host(static_cast<std::size_t>(view.shape.count()));
  stream.copy(host.data(), view.data, host.size() * sizeof(T));
  stream.synchronize();
  return host;
}

std::vector<float> as_floats(kernels::Stream& stream, const View& view) {
  std::vector<float> out;
  kernels::visit_floating(view.dtype, [&]<class T>(T) {
    for (T value : download<T>(stream, view)) out.push_back(static_cast<float>(value));
  });
  return out;
}

Patches run(kernels::Stream& stream, const Model& model, const Batch& batch, kernels::DType pixels, std::uint32_t seed,
            std::int64_t keep) {
  const Config& config = model.config();
  const std::int64_t N = batch.size();
  const kernels::DType compute = model.parameters().dtype();
  InputSlots inputs(stream, config, {.pixels = pixels, .compute = compute, .capacity = N});
  const int slot = inputs.fill(batch, 0, N);
  Patches out{.L = config.patches(), .values = config.patch_values(), .target = {}, .predicted = {}, .rank = {}};
  engine::Workspace workspace(stream, compute);
  const auto work = [&](Context& c) {
    const Masking masking = model.random_masking(c, inputs.draws(slot, N), seed);
    const Tensor pred =
        model.forward_decoder(c, model.forward_encoder(c, inputs.images(slot, N), masking, keep), masking);
    const Tensor target = model.patches_to_predict(c, inputs.images(slot, N));
    if (c.stream.dry()) return;
    out.rank = download<std::int32_t>(stream, masking.rank.view);
    out.target = as_floats(stream, target.view);
    const std::vector<float> all = as_floats(stream, pred.view);  // (N, 1 + L, P P C): drop the class token's row
    for (std::int64_t n = 0; n < N; ++n) {
      const auto begin = all.begin() + (n * (1 + out.L) + 1) * out.values;
      out.predicted.insert(out.predicted.end(), begin, begin + out.L * out.values);
    }
  };
  workspace.include(work);
  workspace.reserve();
  Context context = workspace.context();
  work(context);
  return out;
}

void undo_norm_pix(Patches& p) {
  const auto n = static_cast<std::size_t>(p.values);
  for (std::size_t at = 0; at < p.target.size(); at += n) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < n; ++i) mean += p.target[at + i];
    mean /= static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) variance += (p.target[at + i] - mean) * (p.target[at + i] - mean);
    const double deviation =
        std::sqrt(variance / static_cast<double>(n - 1) + norm_pix_eps);  // unbiased, as in training
    for (std::size_t i = 0; i < n; ++i)
      p.predicted[at + i] = static_cast<float>(p.predicted[at + i] * deviation + mean);
  }
}

/// Calls body(patch element, pixel element, patch, channel) for every value of one image.
template <class F>
void for_each_value(const Config& c, F&& body) {
  const int P = c.patch;
  for (int y = 0; y < c.image_height; ++y) {
    for (int x = 0; x < c.image_width; ++x) {
      const std::int64_t patch = (y / P) * c.columns() + x / P, row = y % P, column = x % P;
      for (int channel = 0; channel < c.channels; ++channel) {
        const std::int64_t inside = c.patch_order == kernels::PatchOrder::row_column_channel
                                        ? (row * P + column) * c.channels + channel
                                        : (channel * P + row) * P + column;
        body(patch * c.patch_values() + inside, (std::int64_t{y} * c.image_width + x) * c.channels + channel, patch,
             channel);
      }
    }
  }
}

struct Sides {
  int height, width, channels;
};

/// Pixels (height, width, channels), of which value_range counts as white.
template <class T>
Image picture(std::span<const T> pixels, const Sides& sides, const std::vector<int>& bands, double value_range) {
  Image image = make_image(sides.height, sides.width, static_cast<int>(bands.size()), kernels::DType::u8);
  auto* out = image.as<std::uint8_t>();
  for (std::size_t at = 0; at < pixels.size(); at += static_cast<std::size_t>(sides.channels)) {
    for (int band : bands) {
      const double value = static_cast<double>(pixels[at + static_cast<std::size_t>(band)]) / value_range;
      *out++ = static_cast<std::uint8_t>(std::lround(255 * (std::isfinite(value) ? std::clamp(value, 0.0, 1.0) : 0)));
    }
  }
  return image;
}

}  // namespace

Reconstruction reconstruct(kernels::Stream& stream, const Model& model, const Batch& batch, kernels::DType pixels,
                           std::uint32_t seed, std::int64_t keep) {
  const Config& c = model.config();
  if (keep == 0) keep = c.keep();
  Patches p = run(stream, model, batch, pixels, seed, keep);
  if (c.norm_pix) undo_norm_pix(p);
  Reconstruction r{.count = batch.size(),
                   .height = c.image_height,
                   .width = c.image_width,
                   .channels = c.channels,
                   .original = {},
                   .masked = {},
                   .predicted = {},
                   .pasted = {}};
  const std::int64_t image = std::int64_t{c.image_height} * c.image_width * c.channels;
  for (auto* values : {&r.original, &r.masked, &r.predicted, &r.pasted})
    values->resize(static_cast<std::size_t>(r.count * image));
  for (std::int64_t n = 0; n < r.count; ++n) {
    for_each_value(c, [&](std::int64_t from, std::int64_t to, std::int64_t patch, int channel) {
      const auto mean = static_cast<float>(c.mean.size() == 1 ? c.mean[0] : c.mean[static_cast<std::size_t>(channel)]);
      const auto deviation =
          static_cast<float>(c.std.size() == 1 ? c.std[0] : c.std[static_cast<std::size_t>(channel)]);
      const auto source = static_cast<std::size_t>(n * p.L * p.values + from),
                 pixel = static_cast<std::size_t>(n * image + to);
      const float original = p.target[source] * deviation + mean, predicted = p.predicted[source] * deviation + mean;
      const bool visible = p.rank[static_cast<std::size_t>(n * p.L + patch)] < keep;
      r.original[pixel] = original;
      r.masked[pixel] = visible ? original : grey;
      r.predicted[pixel] = predicted;
      r.pasted[pixel] = visible ? original : predicted;
    });
  }
  return r;
}

Image picture(const Reconstruction& r, const std::vector<float>& values, std::int64_t index,
              const std::vector<int>& bands) {
  const std::size_t size =
      static_cast<std::size_t>(r.height) * static_cast<std::size_t>(r.width) * static_cast<std::size_t>(r.channels);
  const std::span pixels(values.data() + static_cast<std::size_t>(index) * size, size);
  return picture(pixels, {r.height, r.width, r.channels}, bands, 1);
}

Image picture(const Image& image, const std::vector<int>& bands, double value_range) {
  return with_pixels(image, [&](auto pixels) {
    return picture(pixels, {image.height, image.width, image.channels}, bands, value_range);
  });
}

std::vector<int> default_bands(int channels) { return channels >= 3 ? std::vector<int>{0, 1, 2} : std::vector<int>{0}; }

}  // namespace mae
