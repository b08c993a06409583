#include "mae/evaluator.h"

namespace mae {

Evaluator::Evaluator(engine::Workspace& workspace, const Classifier& classifier, kernels::DType pixels)
    : classes_(classifier.config().K()),
      pass_(workspace, classifier.config().encoder, pixels, classifier.config().eval_share,
            [&classifier](Context& c, const Images& images, const Masking& every) {
              return classifier.logits(c, images, every);
            }) {}

Scores Evaluator::run(const Dataset& data, const std::function<void(std::int64_t)>& progress) {
  Scores scores{.count = data.size, .K = classes_, .logits = {}, .labels = {}};
  const auto take = [&](std::span<const double> logits) {
    scores.logits.insert(scores.logits.end(), logits.begin(), logits.end());
  };
  scores.labels = pass_.run(data, take, progress);
  return scores;
}

}  // namespace mae
