#include "mae/finetuning.h"

#include "kernels/core/check.h"
#include "kernels/mix_images.h"
#include "kernels/moving_average.h"
#include "mae/finetuning_columns.h"
#include "mae/model_file.h"

namespace mae {
namespace {

using kernels::DType;

/// What became of the tensors of the file that it begins with, if it does.
LoadReport initialize(Classifier& classifier, kernels::Stream& stream, const FinetuningOptions& options,
                       std::uint32_t seed) {
  classifier.initialize(stream, seed, options.init, engine::Purpose::training);
  set_layer_decay(classifier.parameters(), options.layer_decay, options.classifier.encoder.depth);
  return options.from.empty() ? LoadReport{} : load_encoder(options.from, stream, classifier);
}

/// One value for each channel, in the type of statistics.
engine::Buffer per_channel(kernels::Stream& stream, const TrainingOptions& training, int channels, double value) {
  const std::vector<double> values(static_cast<std::size_t>(channels), value);
  return engine::upload_as(kernels::statistics_of(training.compute), stream, values);
}

/// The values of `a` and `b` change places for as long as it lives, also where what goes on between throws.
class Exchanged {
 public:
  Exchanged(kernels::Stream& stream, engine::Parameters& a, engine::Parameters& b) : stream_(stream), a_(a), b_(b) {
    a_.swap_values(stream_, b_);
  }
  ~Exchanged() { a_.swap_values(stream_, b_); }
  Exchanged(const Exchanged&) = delete;
  Exchanged& operator=(const Exchanged&) = delete;

 private:
  kernels::Stream& stream_;
  engine::Parameters &a_, &b_;
};

/// The most neighbours, at most 32, that a mixing group can have; 2 where none divides.
std::int64_t largest_group(std::int64_t micro_batch) {
  std::int64_t group = 32;
  while (group > 2 && micro_batch % group != 0) group -= 2;
  return group;
}

/// A view (B, 1) as (B).
View as_vector(const View& column) { return kernels::view_of(column.data, column.dtype, {column.shape[0]}); }

}  // namespace

void validate(const FinetuningOptions& o, const Recipe& recipe) {
  const auto require = [](bool ok, const char* flag, const std::string& what, const std::string& advice = "") {
    if (!ok) throw kernels::Error(what, flag, advice);
  };
  require(o.layer_decay > 0 && o.layer_decay <= 1, "--layer-decay", "must lie in (0, 1]", "1 for none");
  require(o.drop_path >= 0 && o.drop_path < 1, "--drop-path", "must lie in [0, 1)");
  require(o.smoothing >= 0 && o.smoothing < 1, "--smoothing", "must lie in [0, 1)");
  require(o.ema >= 0 && o.ema < 1, "--ema", "is a decay in [0, 1)", "0 for no average");
  require(o.erase.probability >= 0 && o.erase.probability <= 1, "--erase", "is a probability");
  require(o.mix.probability >= 0 && o.mix.probability <= 1, "--mix-probability", "is a probability");
  require(o.mix.switch_probability >= 0 && o.mix.switch_probability <= 1, "--mix-switch", "is a probability");
  require(o.mix.mixup >= 0 && o.mix.cutmix >= 0, "--mixup, --cutmix", "are alphas of Beta: 0 for none");
  if (o.mix.on()) {
    require(o.mix_group >= 2 && o.mix_group % 2 == 0 && recipe.micro() % o.mix_group == 0, "--mix-group",
            std::to_string(o.mix_group) + " is not even, or does not divide the micro-batch of " +
                std::to_string(recipe.micro()),
            "--mix-group " + std::to_string(largest_group(recipe.micro())) + ", or --mixup 0 --cutmix 0");
    require(recipe.drop_last, "--no-drop-last", "the last micro-batch of an epoch would cut a group of mixed images",
            "--drop-last, or --mixup 0 --cutmix 0");
    require(o.classifier.task == Task::single, "--task multi", "answers of yes or no are not mixed",
            "--mixup 0 --cutmix 0");
  }
  require(o.classifier.head != Head::probe || recipe.micro() >= 2, "--micro-batch",
          "a batch norm needs two images at once", "--micro-batch 2 or more");
  const auto K = static_cast<std::size_t>(o.classifier.K());
  require(o.class_weight.empty() || o.class_weight.size() == K, "--class-weights",
          std::to_string(o.class_weight.size()) + " weights for " + std::to_string(K) + " classes", "one a class");
  require(o.classifier.task == Task::single || (!o.targets.empty() && o.targets.size() % K == 0), "--targets",
          std::to_string(o.targets.size()) + " answers are not " + std::to_string(K) + " for each image",
          "a row for every training image, a column for every class");
  double sum = 0;
  for (double w : o.class_weight) require(w >= 0, "--class-weights", "must not be negative"), sum += w;
  require(o.class_weight.empty() || sum > 0, "--class-weights", "are all 0: nothing would be learnt");
}

Finetuning::Finetuning(kernels::Stream& stream, const FinetuningOptions& options, const TrainingOptions& training,
                       const Execution& execution)
    : stream_(stream),
      options_(options),
      classifier_(options.classifier, training.compute, options.tuned, options.drop_path, execution),
      micro_(training.recipe.micro()),
      every_(stream, micro_, options.classifier.encoder.patches()),
      ones_(per_channel(stream, training, options.classifier.encoder.channels, 1)),
      zeros_(per_channel(stream, training, options.classifier.encoder.channels, 0)),
      loaded_(initialize(classifier_, stream, options, training.recipe.seed)),
      training_(stream, classifier_.parameters(), options.classifier.encoder, training,
                {.forward = [this](Context& c, const MicroBatch& m, const engine::LossSlot& l) { forward(c, m, l); },
                 .columns = column_shapes(options),
                 .values =
                     [this](const Batch& batch) {
                       return column_values(options_, classifier_.drop_rates(), training_.recipe().seed, batch);
                     },
                 .after_update = [this](kernels::Stream& s, const engine::UpdateState& u) { after_update(s, u); }}),
      evaluator_(training_.workspace(), classifier_, training.pixels) {
  if (!options_.class_weight.empty()) class_weight_ = engine::upload(stream, options_.class_weight);
  if (options_.ema > 0) {
    const engine::Parameters& p = classifier_.parameters();
    average_ = average_like(stream, p);
    stream.copy(average_->master().data, p.master().data,
                static_cast<std::size_t>(p.flat_size()) * kernels::size_of(p.master_dtype()));
  }
  training_.reserve();
}

/// What the encoder sees: the images normalised, erased and mixed; or as they are, where nothing is done to them.
Images Finetuning::seen(Context& c, const MicroBatch& m, Tensor& mixed) const {
  if (!mixes()) return m.images;
  const DType type = kernels::statistics_of(c.dtype);
  mixed = c.tensor(m.images.pixels.shape, type);
  launch(c.stream, kernels::MixImages{.images = m.images.pixels,
                                      .scale = m.images.scale,
                                      .shift = m.images.shift,
                                      .boxes = m.columns[boxes],
                                      .lambda = as_vector(m.columns[lambda]),
                                      .draws = m.draws,
                                      .out = mixed.view,
                                      .group = options_.mix.on() ? static_cast<int>(options_.mix_group) : 1,
                                      .seed = training_.recipe().seed});
  const kernels::Shape channels{options_.classifier.encoder.channels};
  return {.pixels = mixed.view, .scale = ones_.view(type, channels), .shift = zeros_.view(type, channels)};
}

void Finetuning::forward(Context& c, const MicroBatch& m, const engine::LossSlot& loss) const {
  Tensor mixed;
  const Images images = seen(c, m, mixed);
  const Tensor logits = classifier_.logits(c, images, every_.masking(m.samples()), drops() ? m.columns[keep] : View{});
  const engine::RangeScope range(c.profile, "loss");
  const std::int64_t K = options_.classifier.K();
  const View weight = options_.class_weight.empty() ? View{} : class_weight_.view(DType::f64, {K});
  const auto batch = static_cast<double>(m.global_batch);
  if (options_.classifier.task == Task::single) {
    cross_entropy(c, logits,
                  {.labels = m.columns[answers],
                   .lambda = as_vector(m.columns[lambda]),
                   .class_weight = weight,
                   .smoothing = options_.smoothing},
                  loss.loss, 1 / batch, loss.mode);
  } else {
    binary_cross_entropy(c, logits, {.targets = m.columns[answers], .weight = weight}, loss.loss,
                         1 / (batch * static_cast<double>(K)), loss.mode);
  }
}

void Finetuning::after_update(kernels::Stream& stream, const engine::UpdateState& state) {
  classifier_.commit_statistics(stream, state.finite);
  if (options_.ema == 0) return;
  const engine::Parameters& p = classifier_.parameters();
  const View average = average_ ? average_->master() : p.master();  // the plan is made before there is one
  launch(stream,
         kernels::MovingAverage{.x = p.master(), .finite = state.finite, .average = average, .decay = options_.ema});
}

engine::States Finetuning::states() {
  engine::States states = classifier_.states();
  if (average_) states.push_back(average_.get());
  return states;
}

Scores Finetuning::evaluate(const Dataset& data, const std::function<void(std::int64_t)>& progress) {
  if (!average_) return evaluator_.run(data, progress);
  const Exchanged exchanged(stream_, classifier_.parameters(), *average_);
  return evaluator_.run(data, progress);
}

void Finetuning::save(const std::string& path, const engine::Text& run, engine::Content content) {
  engine::Text metadata = classifier_metadata(classifier_.config());
  for (const auto& [key, value] : run) metadata["run." + key] = value;
  metadata.merge(choices_metadata());
  save_checkpoint(path, stream_, classifier_.parameters(), {.step = training_.done(), .metadata = metadata}, content,
                  states());
}

void Finetuning::load(const std::string& path) {
  const engine::Checkpoint checkpoint = engine::read_checkpoint(path);
  if (classifier_metadata(classifier_config_of(checkpoint, path)) != classifier_metadata(classifier_.config()))
    throw kernels::Error("the checkpoint's classifier is not the one configured", path,
                         "the same model, classes and head as RUN/config.toml says");
  load_checkpoint(path, stream_, classifier_.parameters(), engine::Content::training_state);
  for (engine::Parameters* state : states()) load_checkpoint(path, stream_, *state, engine::Content::weights);
  adopt_choices(checkpoint);
  training_.set_done(checkpoint.step);
}

}  // namespace mae
