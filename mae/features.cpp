#include "mae/features.h"

#include "mae/image_pass.h"

namespace mae {
namespace {

Features encode(kernels::Stream& stream, const Config& config, kernels::DType compute, const Dataset& data,
                double share, const ImagePass::Network& network, const std::function<void(std::int64_t)>& progress) {
  engine::Workspace workspace(stream, compute);
  ImagePass pass(workspace, config, data.dtype, share, network);
  workspace.reserve();
  Features features{.count = data.size, .width = config.dim, .values = {}, .labels = {}};
  const auto take = [&](std::span<const double> rows) {
    features.values.insert(features.values.end(), rows.begin(), rows.end());
  };
  features.labels = pass.run(data, take, progress);
  return features;
}

}  // namespace

Features encoder_features(kernels::Stream& stream, const Model& model, const Dataset& data, Pooling pooling,
                          const std::function<void(std::int64_t)>& progress) {
  const auto network = [&](Context& c, const Images& images, const Masking& every) {
    return token_pool(c, model.forward_encoder(c, images, every, model.config().patches()), pooling);
  };
  return encode(stream, model.config(), model.parameters().dtype(), data, 1, network, progress);
}

Features encoder_features(kernels::Stream& stream, const Classifier& classifier, const Dataset& data,
                          const std::function<void(std::int64_t)>& progress) {
  const ClassifierConfig& config = classifier.config();
  const auto network = [&](Context& c, const Images& images, const Masking& every) {
    return classifier.features(c, images, every);
  };
  return encode(stream, config.encoder, classifier.parameters().dtype(), data, config.eval_share, network, progress);
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
