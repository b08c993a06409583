#include "mae/model_outputs.h"

#include <optional>

#include "engine/workspace.h"
#include "mae/host_values.h"
#include "mae/input_slots.h"
#include "mae/noise.h"

namespace mae {
namespace {

std::vector<std::int32_t> download(kernels::Stream& stream, const View& view) {
  std::vector<std::int32_t> host(static_cast<std::size_t>(view.shape.count()));
  stream.copy(host.data(), view.data, host.size() * sizeof(std::int32_t));
  stream.synchronize();
  return host;
}

/// (N, 1 + L, V) without the rows of the class token.
std::vector<double> without_class_rows(const std::vector<double>& all, const ModelOutputs& o) {
  std::vector<double> rows;
  for (std::int64_t n = 0; n < o.images; ++n) {
    const auto begin = all.begin() + (n * (1 + o.patches) + 1) * o.values;
    rows.insert(rows.end(), begin, begin + o.patches * o.values);
  }
  return rows;
}

}  // namespace

ModelOutputs model_outputs(kernels::Stream& stream, const Model& model, const Batch& batch, kernels::DType pixels,
                           const MaskSource& masks) {
  const Config& config = model.config();
  const kernels::DType compute = model.parameters().dtype();
  ModelOutputs out;
  out.images = batch.size();
  out.patches = config.patches();
  out.values = config.patch_values();
  out.keep = config.keep();
  out.dim = config.dim;
  InputSlots inputs(stream, config, {.pixels = pixels, .compute = compute, .capacity = out.images});
  const int slot = inputs.fill(batch, 0, out.images);
  std::optional<NoiseMasking> given;
  if (!masks.noise.empty()) given.emplace(stream, masks.noise, out.patches);
  const engine::Buffer loss = engine::upload_as(kernels::statistics_of(compute), stream, {0});
  const View loss_view = loss.view(kernels::statistics_of(compute), {1});

  engine::Workspace workspace(stream, compute);
  const auto work = [&](Context& c) {
    const bool dry = c.stream.dry();
    const Images images = inputs.images(slot, out.images);
    const Masking masking =
        given ? given->masking() : model.random_masking(c, inputs.draws(slot, out.images), masks.seed);
    const Tensor latent = model.forward_encoder(c, images, masking, out.keep, [&](const Tensor& x) {
      if (!dry) out.hidden_states.push_back(host_values(stream, x.view));
    });
    const Tensor pred = model.forward_decoder(c, latent, masking);
    const Tensor target = model.patches_to_predict(c, images);
    if (out.keep < out.patches)
      model.forward_loss(c, images, pred, masking, {loss_view, kernels::Write::overwrite}, out.images);
    if (dry) return;
    out.rank = download(stream, masking.rank.view);
    out.latent = host_values(stream, latent.view);
    out.target = host_values(stream, target.view);
    out.predicted = without_class_rows(host_values(stream, pred.view), out);
    out.loss = host_values(stream, loss_view).front();
  };
  workspace.include(work);
  workspace.reserve();
  Context context = workspace.context();
  work(context);
  return out;
}

}  // namespace mae
