// learning.png: how reconstructions of the same few images get better during a run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mae/reconstruct.h"

namespace apps {

/// Keeps what fixed images looked like at the first step, early, in the middle and now, in files of its own, so that a
/// resumed run goes on with the same picture.
class LearningPicture {
 public:
  /// `folder` exists. `epochs`: of the whole run; early is after an eighth of it, the middle after half.
  LearningPicture(std::string folder, double epochs) : folder_(std::move(folder)), epochs_(epochs) {}

  /// Takes the reconstruction after `step` steps, `epoch` epochs, and draws learning.png again.
  void add(const mae::Reconstruction& reconstruction, std::int64_t step, double epoch, const std::vector<int>& bands);

 private:
  struct Stage {
    std::string name, caption;
  };
  std::vector<std::string> stages_at(std::int64_t step, double epoch) const;
  void draw_picture(const mae::Reconstruction& now, const std::vector<int>& bands) const;

  std::string folder_;
  double epochs_;
};

/// A strip for each image: original, masked, prediction, prediction with the visible patches pasted in.
void write_strips(const std::string& path, const mae::Reconstruction& reconstruction,
                  const std::vector<std::string>& names, const std::vector<int>& bands);

/// loss.png from the lines of log.jsonl (training) and events.jsonl (validation).
struct LossTitles {
  std::string title = "Reconstruction loss", y_title = "mean squared error on masked patches";
};
void write_loss_picture(const std::string& path, const std::string& log, const std::string& events,
                        const LossTitles& titles = {});

/// accuracy.png from the lines of evaluations.jsonl: the first two numbers of each.
void write_accuracy_picture(const std::string& path, const std::string& evaluations);

}  // namespace apps
