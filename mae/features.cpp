#include "mae/features.h"

#include <algorithm>

#include "mae/input_slots.h"

namespace mae {
namespace {

constexpr std::int64_t images_at_once = 100;

/// tokens (N, 1 + L, C) on the host -> N rows of C appended to `out`.
template <class T>
void pool(const std::vector<T>& tokens, std::int64_t N, std::int64_t T_count, std::int64_t C, Pooling pooling,
          std::vector<float>& out) {
  for (std::int64_t n = 0; n < N; ++n) {
    const T* sample = tokens.data() + n * T_count * C;
    for (std::int64_t c = 0; c < C; ++c) {
      double sum = static_cast<double>(sample[c]);
      if (pooling == Pooling::mean) {
        sum = 0;
        for (std::int64_t t = 1; t < T_count; ++t) sum += static_cast<double>(sample[t * C + c]);
        sum /= static_cast<double>(T_count - 1);
      }
      out.push_back(static_cast<float>(sum));
    }
  }
}

}  // namespace

Features encoder_features(kernels::Stream& stream, const Model& model, const Dataset& data, Pooling pooling,
                          const std::function<void(std::int64_t)>& progress) {
  const Config& config = model.config();
  const std::int64_t L = config.patches(), most = std::min(images_at_once, data.size);
  const kernels::DType compute = model.parameters().dtype();
  Features features{.count = data.size, .width = config.dim, .values = {}, .labels = {}};
  InputSlots inputs(stream, config, {.pixels = data.dtype, .compute = compute, .capacity = most});
  const EveryPatch everything(stream, most, L);
  engine::Workspace workspace(stream, compute);
  workspace.include([&](Context& c) { model.forward_encoder(c, inputs.images(0, most), everything.masking(most), L); });
  workspace.reserve();
  for (std::int64_t first = 0; first < data.size; first += most) {
    const std::int64_t N = std::min(most, data.size - first);
    Batch batch;
    for (std::int64_t i = first; i < first + N; ++i)
      append(batch, data.image(i), config.image_height, config.image_width, static_cast<std::uint32_t>(i),
             data.label(i));
    const int slot = inputs.fill(batch, 0, N);
    Context context = workspace.context();
    const Tensor tokens = model.forward_encoder(context, inputs.images(slot, N), everything.masking(N), L);
    inputs.release(slot);
    kernels::visit_floating(tokens.dtype(), [&]<class T>(T) {
      std::vector<T> host(static_cast<std::size_t>(tokens.shape().count()));
      stream.copy(host.data(), tokens.view.data, host.size() * sizeof(T));
      stream.synchronize();
      pool(host, N, 1 + L, config.dim, pooling, features.values);
    });
    features.labels.insert(features.labels.end(), batch.labels.begin(), batch.labels.end());
    if (progress) progress(first + N);
  }
  return features;
}

Features pixel_features(const Dataset& data, int height, int width) {
  Features features{
      .count = data.size, .width = std::int64_t{height} * width * data.channels, .values = {}, .labels = {}};
  for (std::int64_t i = 0; i < data.size; ++i) {
    with_pixels(fit(data.image(i), height, width), [&](auto pixels) {
      for (const auto pixel : pixels) features.values.push_back(static_cast<float>(pixel));
    });
    features.labels.push_back(data.label(i));
  }
  return features;
}

}  // namespace mae
