#include "apps/step_queue.h"

#include <utility>

namespace apps {

void StepQueue::prepare(std::int64_t step) {
  if (no_images_) std::rethrow_exception(std::exchange(no_images_, nullptr));
  if (batches_.empty()) batches_.push_back(loader_.get(step));
}

FinishedStep StepQueue::run(std::int64_t step, const std::function<bool()>& may_queue_next) {
  // behind a step that was not finite, what had been queued is dropped, and queued here again
  if (training_.under_way() == 0) training_.start(batches_.front());
  if (look_ahead_ == LookAhead::yes && may_queue_next()) queue_next(step + 1);
  FinishedStep finished{.batch = {}, .result = training_.finish()};
  finished.batch = std::move(batches_.front());
  batches_.pop_front();
  if (look_ahead_ == LookAhead::no) may_queue_next();
  return finished;
}

FinishedStep StepQueue::run(const std::function<bool()>& may_queue_next, StepProfile& profile) {
  FinishedStep finished{.batch = std::move(batches_.front()), .result = {}};
  batches_.pop_front();
  finished.result = profile.take([&](engine::Profile& p) { return training_.step(finished.batch, p); });
  may_queue_next();
  return finished;
}

void StepQueue::queue_next(std::int64_t step) {
  try {
    batches_.push_back(loader_.get(step));
  } catch (...) {
    no_images_ = std::current_exception();
    return;
  }
  training_.start(batches_.back());
}

}  // namespace apps
