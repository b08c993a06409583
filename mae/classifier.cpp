#include "mae/classifier.h"

#include <cmath>
#include <optional>
#include <string_view>

#include "kernels/core/check.h"
#include "kernels/moving_average.h"
#include "mae/init.h"

namespace mae {

using engine::Parameter;
using engine::Trainable;
using kernels::DType;

namespace {

/// The index in "blocks.3.norm1.weight"; nothing for what stands before or behind the blocks.
std::optional<int> block_of(const engine::Segment& s) {
  constexpr std::string_view prefix = "blocks.";
  if (!s.name.starts_with(prefix)) return std::nullopt;
  return std::stoi(s.name.substr(prefix.size()));
}

bool before_blocks(const engine::Segment& s) {
  return s.name == "cls_token" || s.name == "pos_embed" || s.name.starts_with("patch_embed.");
}

Context without_tape(Context c) {
  c.tape = nullptr;
  return c;
}

Trainable when(bool trained) { return trained ? Trainable::yes : Trainable::no; }

ClassifierConfig checked(const ClassifierConfig& c, const Tuned& tuned) {
  validate(c.encoder);
  if (c.K() < 1 || (c.K() < 2 && c.task == Task::single))
    throw kernels::Error(std::to_string(c.K()) + " classes: there is nothing to tell apart", "classifier",
                         "images of at least two classes");
  if (tuned.blocks < 0 || tuned.blocks > c.encoder.depth)
    throw kernels::Error(
        std::to_string(tuned.blocks) + " blocks of an encoder that has " + std::to_string(c.encoder.depth), "--blocks",
        "0 to " + std::to_string(c.encoder.depth) + ", or half");
  return c;
}

}  // namespace

std::vector<double> drop_path_rates(double rate, int depth) {
  std::vector<double> rates;
  for (int i = 0; i < depth; ++i) rates.push_back(depth > 1 ? rate * i / (depth - 1) : 0);
  return rates;
}

Classifier::Classifier(const ClassifierConfig& config, kernels::DType dtype, const Tuned& tuned, double drop_path,
                       const Execution& execution)
    : config_(checked(config, tuned)),
      tuned_(tuned),
      drop_rates_(drop_path_rates(drop_path, config.encoder.depth)),
      parameters_(dtype),
      encoder_(parameters_, config.encoder, execution, Trainable::yes),
      norm_(add_layernorm(parameters_, config.pooling == Pooling::mean ? "fc_norm" : "norm", config.encoder.dim,
                          config.encoder.ln_eps)),
      head_(add_linear(parameters_, config.head == Head::probe ? "head.1" : "head", config.encoder.dim, config.K())),
      statistics_(kernels::statistics_of(dtype)) {
  if (config.head == Head::probe) {
    running_mean_ = statistics_.add("head.0.running_mean", {config.encoder.dim}, Trainable::no);
    running_var_ = statistics_.add("head.0.running_var", {config.encoder.dim}, Trainable::no);
  }
  for (engine::Block& block : encoder_.blocks) block.norm_follows = &block != &encoder_.blocks.back();
  set_decay();
  freeze(tuned);
}

/// The official fine-tuning: 1-D tensors, positions and class token are not decayed (in pretraining the last two are).
void Classifier::set_decay() {
  for (engine::Segment& s : parameters_.segments()) {
    const bool exempt = s.shape.rank == 1 || s.name == "pos_embed" || s.name == "cls_token";
    s.decay = config_.encoder.decay == DecayRule::official && exempt ? engine::Decay::no : engine::Decay::yes;
  }
}

void Classifier::freeze(const Tuned& tuned) {
  const int first = config_.encoder.depth - tuned.blocks;
  for (engine::Segment& s : parameters_.segments()) {
    if (const auto block = block_of(s)) {
      const bool mlp = s.name.find(".mlp.") != std::string::npos || s.name.find(".norm2.") != std::string::npos;
      s.trainable =
          when(tuned.everything || *block >= first || (tuned.half && *block == config_.encoder.depth - 1 && mlp));
    } else if (before_blocks(s)) {
      s.trainable = when(tuned.everything);
    } else if (!s.name.starts_with("head.")) {
      s.trainable = when(tuned.everything || tuned.blocks > 0 || tuned.half);
    }
  }
}

void Classifier::initialize(kernels::Stream& stream, std::uint32_t seed, HeadInit init, engine::Purpose purpose) {
  parameters_.reserve(stream, purpose);
  draw_initial_values(stream, config_.encoder, parameters_, seed);
  if (config_.encoder.init == Init::pytorch && config_.head == Head::linear) return parameters_.refresh_compute(stream);
  const double deviation = init == HeadInit::tuned ? 2e-5 : init == HeadInit::probe ? 0.01 : 0.02;
  const engine::InitStream draws(seed, head_.weight.index);
  const std::int64_t n = head_.weight.value().shape.count();
  assign(stream, head_.weight,
         draws.normal(n, deviation, 2));  // torch's trunc_normal_ cuts at +-2, not at 2 deviations
  assign(stream, head_.bias, std::vector<double>(static_cast<std::size_t>(config_.K()), 0));
  parameters_.refresh_compute(stream);
  if (config_.head != Head::probe) return;
  statistics_.reserve(stream, engine::Purpose::inference);
  const auto dim = static_cast<std::size_t>(config_.encoder.dim);
  assign(stream, running_mean_, std::vector<double>(dim, 0));
  assign(stream, running_var_, std::vector<double>(dim, 1));
  next_ = engine::Buffer(stream.device(), 2 * dim * kernels::size_of(statistics_.dtype()));
}

engine::States Classifier::states() { return running_mean_ ? engine::States{&statistics_} : engine::States{}; }

engine::BatchNormState Classifier::batch_norm_state() const {
  const std::int64_t dim = config_.encoder.dim;
  const DType type = statistics_.dtype();
  auto* next = static_cast<std::byte*>(next_.data());
  const std::int64_t row = dim * static_cast<std::int64_t>(kernels::size_of(type));
  return {.running_mean = running_mean_.value(),
          .running_var = running_var_.value(),
          .next_mean = kernels::view_of(next, type, {dim}),
          .next_var = kernels::view_of(next ? next + row : nullptr, type, {dim})};
}

void Classifier::commit_statistics(kernels::Stream& stream, const View& finite) const {
  if (!running_mean_) return;
  const engine::BatchNormState state = batch_norm_state();
  const auto take_over = [&](const View& next, const View& running) {
    launch(stream, kernels::MovingAverage{.x = next, .finite = finite, .average = running, .decay = 0});
  };
  take_over(state.next_mean, state.running_mean);
  take_over(state.next_var, state.running_var);
}

engine::DropPath Classifier::drop_of(std::size_t block, const View& keep) const {
  const double rate = drop_rates_[block];
  if (!keep || rate == 0) return {};
  auto* first = keep.data ? keep.as<std::int32_t>() + 2 * block : nullptr;
  return {.keep = {first, keep.dtype, {keep.shape[0], 2}, keep.row_stride}, .scale = 1 / (1 - rate)};
}

Tensor Classifier::blocks(Context& c, Tensor x, const View& keep) const {
  Context frozen = without_tape(c);
  const std::size_t depth = encoder_.blocks.size();
  const std::size_t first = tuned_.everything ? 0 : depth - static_cast<std::size_t>(tuned_.blocks);
  Parameter bias{};  // the last one that was added to x
  for (std::size_t i = 0; i < depth; ++i) {
    const engine::RangeScope scope(c.profile, "blocks." + std::to_string(i));
    const engine::Block& block = encoder_.blocks[i];
    const engine::DropPath drop = drop_of(i, keep);
    const bool half = tuned_.half && i + 1 == depth && i < first;
    const Tensor middle = block.attention_half(i < first ? frozen : c, x, bias, drop);
    x = block.mlp_half(i < first && !half ? frozen : c, middle, drop);
    bias = block.last_bias(drop);
  }
  return x;
}

Tensor Classifier::features(Context& c, const Images& images, const Masking& every, const View& keep) const {
  Context frozen = without_tape(c);
  Tensor pooled;
  {
    const engine::RangeScope range(c.profile, "encoder");
    const Tensor x = encoder_.embed(tuned_.everything ? c : frozen, images, every, config_.encoder.patches());
    pooled = token_pool(c, blocks(c, x, keep), config_.pooling);
  }
  const engine::RangeScope range(c.profile, "head");
  return norm_(norm_.weight.trainable() ? c : frozen, pooled);
}

Tensor Classifier::logits(Context& c, const Images& images, const Masking& every, const View& keep) const {
  const Tensor seen = features(c, images, every, keep);
  const engine::RangeScope range(c.profile, "head");
  if (config_.head == Head::linear) return head_(c, seen);
  const bool training = c.tape != nullptr;
  engine::BatchNormState state = batch_norm_state();
  if (!training) state.next_mean = state.next_var = {};
  Context before = norm_.weight.trainable() ? c : without_tape(c);
  return head_(c, batchnorm(before, seen, state, 1e-6, 0.1,
                            training ? kernels::BatchNormMode::training : kernels::BatchNormMode::evaluation));
}

void set_layer_decay(engine::Parameters& parameters, double decay, int depth) {
  for (engine::Segment& s : parameters.segments()) {
    const auto block = block_of(s);
    const int id = before_blocks(s) ? 0 : block ? *block + 1 : depth + 1;
    s.lr_scale = std::pow(decay, depth + 1 - id);
  }
}

}  // namespace mae
