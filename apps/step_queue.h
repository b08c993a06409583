// StepQueue: the steps of a run in order, with the next one queued while the device works on this one: its images are
// copied, and its launches wait behind the others, so that the device never waits for the host. Only a device that
// works on its own gains by it; elsewhere there is one step at a time. What the loader says of the next step's images,
// it says then while this one is the current step.
#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>

#include "apps/step_profile.h"
#include "mae/training.h"

namespace apps {

enum class LookAhead { no, yes };

struct FinishedStep {
  mae::Batch batch;
  engine::StepResult result;
};

class StepQueue {
 public:
  StepQueue(mae::Loader& loader, mae::Training& training, LookAhead look_ahead)
      : loader_(loader), training_(training), look_ahead_(look_ahead) {}

  /// Sees to the images of the next step to run. Throws what the loader throws: no step is under way then.
  void prepare(std::int64_t step);
  /// Runs the step that was prepared. `may_queue_next`: nothing is going to look at, or save, the model between this
  /// step and the next. It is asked once, while the device works on this step; where the queue does not look ahead,
  /// behind it.
  FinishedStep run(std::int64_t step, const std::function<bool()>& may_queue_next);

  /// The same, launch by launch and timed, for the step that was prepared; no other may be under way.
  FinishedStep run(const std::function<bool()>& may_queue_next, StepProfile& profile);

  /// Whether the step after the last finished one has been queued already.
  bool ahead() const { return training_.under_way() > 0; }

 private:
  void queue_next(std::int64_t step);

  mae::Loader& loader_;
  mae::Training& training_;
  LookAhead look_ahead_;
  std::deque<mae::Batch> batches_;  // of this step and, where it has been read, the next
  std::exception_ptr no_images_;    // why the next step has none: thrown when its turn comes
};

}  // namespace apps
