// The model of a golden file: config from its metadata, parameters from `param.*`.
#pragma once

#include "mae/model.h"
#include "tests/support/golden.h"

namespace test {

/// What every model file says: image and encoder. A classifier's file says no more.
inline mae::Config encoder_config_of(const Golden& g) {
  mae::Config c;
  c.image_height = g.integer("image_height");
  c.image_width = g.integer("image_width");
  c.channels = g.integer("channels");
  c.patch = g.integer("patch");
  c.mean = {0};
  c.std = {1};
  c.value_range = {1};  // golden images are normalised already
  c.dim = g.integer("dim");
  c.depth = g.integer("depth");
  c.heads = g.integer("heads");
  c.qkv_bias = g.meta("qkv_bias") == "true";
  c.ln_eps = g.number("ln_eps");
  c.positions = g.meta("positions") == "learned" ? mae::Positions::learned : mae::Positions::sincos;
  return c;
}

inline mae::Config config_of(const Golden& g) {
  mae::Config c = encoder_config_of(g);
  c.decoder_dim = g.integer("decoder_dim");
  c.decoder_depth = g.integer("decoder_depth");
  c.decoder_heads = g.integer("decoder_heads");
  c.mask_ratio = g.number("mask_ratio");
  c.norm_pix = g.meta("norm_pix") == "true";
  c.decoder_embed = g.meta("decoder_embed") == "true";
  c.decoder_norm = g.meta("decoder_norm") == "true";
  c.patch_order = g.meta("patch_order") == "channel,row,column" ? kernels::PatchOrder::channel_row_column
                                                                : kernels::PatchOrder::row_column_channel;
  c.decay = g.meta("decay") == "all" ? mae::DecayRule::all : mae::DecayRule::official;
  return c;
}

/// A golden's model, loaded, with its images and its mask as a program for TrainStep.
class GoldenModel {
 public:
  GoldenModel(const Golden& golden, Session& session) : model(config_of(golden), session.type) {
    model.initialize(session.stream, 0, Purpose::training);
    for (const Segment& segment : model.parameters().segments()) {
      assign(session.stream, model.parameters().at(segment.name), golden.values("param." + segment.name));
    }
    model.parameters().refresh_compute(session.stream);
    const Shape shape = golden.shape("images");
    batch = shape[0];
    images = session.variable(shape, golden.values("images"), session.type == DType::f64 ? DType::f64 : DType::f32);
    const DType table = kernels::statistics_of(session.type);
    const auto channels = shape[3];
    scale = session.variable({channels}, std::vector<double>(static_cast<std::size_t>(channels), 1), table);
    shift = session.variable({channels}, std::vector<double>(static_cast<std::size_t>(channels), 0), table);
    const std::vector<double> rank = golden.values("rank");
    const std::int64_t L = model.config().patches();
    std::vector<double> ids(rank.size());
    for (std::size_t i = 0; i < rank.size(); ++i) {
      const std::size_t sample = i / static_cast<std::size_t>(L) * static_cast<std::size_t>(L);
      ids[sample + static_cast<std::size_t>(rank[i])] = static_cast<double>(i - sample);
    }
    masking = {session.variable({batch, L}, rank, DType::i32), session.variable({batch, L}, ids, DType::i32)};
  }

  mae::Images inputs() const { return {images.view, scale.view, shift.view}; }
  Tensor latent(Context& c) const { return model.forward_encoder(c, inputs(), masking, model.config().keep()); }
  /// As training takes it: of masked patches alone. With `prediction`: of all, which are left there.
  Tensor loss(Context& c, const LossSlot& slot, Tensor* prediction = nullptr) const {
    const Tensor pred =
        prediction ? model.forward_decoder(c, latent(c), masking) : model.forward_masked(c, latent(c), masking);
    if (prediction) *prediction = pred;
    return model.forward_loss(c, inputs(), pred, masking, slot, batch);
  }
  Program program() const {
    return [this](Context& c, const LossSlot& slot, int) { loss(c, slot); };
  }

  mae::Model model;
  std::int64_t batch = 0;
  Tensor images, scale, shift;
  Masking masking;
};

}  // namespace test
