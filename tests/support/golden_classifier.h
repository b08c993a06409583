// The classifier of a golden file: parameters from `param.*` of the file that it starts from, images, labels and drop
// path as programs for TrainStep.
#pragma once

#include "engine/init.h"
#include "mae/classifier.h"
#include "tests/support/golden_model.h"

namespace test {

inline mae::ClassifierConfig classifier_config_of(const Golden& g) {
  mae::ClassifierConfig c{.encoder = encoder_config_of(g), .classes = {}};
  for (int k = 0; k < g.integer("classes"); ++k) c.classes.push_back(std::to_string(k));
  c.pooling = g.meta("pooling") == "mean" ? mae::Pooling::mean : mae::Pooling::cls;
  return c;
}

class GoldenClassifier {
 public:
  GoldenClassifier(const Golden& golden, Session& session, const mae::Tuned& tuned = {},
                   const mae::Execution& execution = {})
      : GoldenClassifier(golden, golden, session, tuned, execution) {}

  /// `start`: has images, parameters and, where `golden` has none, labels.
  GoldenClassifier(const Golden& golden, const Golden& start, Session& session, const mae::Tuned& tuned = {},
                   const mae::Execution& execution = {})
      : classifier(classifier_config_of(golden), session.type, tuned, golden.number("drop_path"), execution),
        batch(start.shape("images")[0]),
        smoothing(golden.number("smoothing")),
        every_(session.stream, batch, classifier.config().encoder.patches()) {
    classifier.initialize(session.stream, 0, mae::HeadInit::scratch, Purpose::training);
    for (const Segment& segment : classifier.parameters().segments())
      assign(session.stream, classifier.parameters().at(segment.name), start.values("param." + segment.name));
    classifier.parameters().refresh_compute(session.stream);
    const DType table = kernels::statistics_of(session.type);
    const Shape shape = start.shape("images");
    images_ = session.variable(shape, start.values("images"), table);
    scale_ = session.variable({shape[3]}, std::vector<double>(static_cast<std::size_t>(shape[3]), 1), table);
    shift_ = session.variable({shape[3]}, std::vector<double>(static_cast<std::size_t>(shape[3]), 0), table);
    take_labels(golden.has("labels") ? golden : start, session);
    if (golden.has("keep")) keep_ = session.variable(golden.shape("keep"), golden.values("keep"), DType::i32);
    if (golden.has("class_weight"))
      class_weight_ = session.variable(golden.shape("class_weight"), golden.values("class_weight"), DType::f64);
  }

  /// `set`: of the masks of drop path, where there are several.
  Tensor logits(Context& c, int set = 0) const {
    View keep;
    if (keep_) {
      const std::int64_t width = 2 * classifier.config().encoder.depth;
      keep = kernels::view_of(keep_.view.as<std::int32_t>() + set * batch * width, DType::i32, {batch, width});
    }
    return classifier.logits(c, {images_.view, scale_.view, shift_.view}, every_.masking(batch), keep);
  }
  Tensor loss(Context& c, const LossSlot& slot, int set = 0, bool weighted = false) const {
    return cross_entropy(c, logits(c, set),
                         {.labels = labels_.view,
                          .lambda = lambda_.view,
                          .class_weight = weighted ? class_weight_.view : View{},
                          .smoothing = smoothing},
                         slot.loss, 1 / static_cast<double>(batch), slot.mode);
  }
  /// The input slot says which set of masks.
  Program program() const {
    return [this](Context& c, const LossSlot& slot, int set) { loss(c, slot, set); };
  }
  std::vector<double> part(const View& flat, const std::string& name) {
    const Parameter p = classifier.parameters().at(name);
    return Session::values(classifier.parameters().part(flat, p.index, {p.value().shape.count()}));
  }

  mae::Classifier classifier;
  std::int64_t batch;
  double smoothing;

 private:
  /// (B) or (B, 2), as (B, 2).
  void take_labels(const Golden& golden, Session& session) {
    std::vector<double> labels = golden.values("labels"), lambda(static_cast<std::size_t>(batch), 1);
    if (golden.shape("labels").rank == 1) {
      std::vector<double> pairs;
      for (const double label : labels) pairs.insert(pairs.end(), {label, -1});
      labels = pairs;
    }
    if (golden.has("lambda")) lambda = golden.values("lambda");
    labels_ = session.variable({batch, 2}, labels, DType::i32);
    lambda_ = session.variable({batch}, lambda, DType::f64);
  }

  mae::EveryPatch every_;
  Tensor images_, scale_, shift_, labels_, lambda_, keep_, class_weight_;
};

}  // namespace test
