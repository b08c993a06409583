// A classifier run over a data set, in order: what fine-tuning logs, and `mae eval` repeats.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "mae/classifier.h"
#include "mae/image_pass.h"

namespace mae {

/// Scores of images, (count, K), and their labels, -1 for none.
struct Scores {
  std::int64_t count = 0, K = 0;
  std::vector<double> logits;
  std::vector<std::int32_t> labels;

  View view() const {  // (count, K)
    return kernels::view_of(const_cast<double*>(logits.data()), kernels::DType::f64, {count, K});
  }
};

class Evaluator {
 public:
  /// Includes its program in the workspace, whose reserve() comes after it. `pixels`: dtype of the data sets.
  Evaluator(engine::Workspace& workspace, const Classifier& classifier, kernels::DType pixels);

  /// Images are brought to the model's size by its eval_share. progress(done) is called now and then. Throws for an
  /// image that cannot be read.
  Scores run(const Dataset& data, const std::function<void(std::int64_t)>& progress = {});

 private:
  std::int64_t classes_;
  ImagePass pass_;
};

}  // namespace mae
