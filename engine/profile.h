// Profile: what a pass launched, op by op, in order. It listens to a stream; on a dry stream it is the plan of a step.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/core/stream.h"

namespace engine {

/// One op of the recorded step: forward, or backward.
struct OpEntry {
  std::string range;  // "blocks.3": where in the model
  std::string op;     // "linear"
  bool backward = false;
  std::vector<kernels::LaunchRecord> launches;
  double parameters = 0;  // elements of parameters that the op reads
  double kept_bytes = 0;  // first kept for backward by this op
};

struct ProfileTotals {
  double flops = 0, bytes = 0, launches = 0;
};

enum class Timing { no, yes };

/// When a launch began, counted from the first one, and how long it was until the next one.
struct Span {
  double begin_ms = 0, ms = 0;
};

class Profile {
 public:
  /// Listens to the stream until the profile goes. With Timing::yes every launch is marked by an event, which a graph
  /// cannot have: for a stream that runs eagerly.
  explicit Profile(kernels::Stream& stream, Timing timing = Timing::no);
  ~Profile();
  Profile(const Profile&) = delete;
  Profile& operator=(const Profile&) = delete;

  const std::vector<OpEntry>& ops() const { return ops_; }
  ProfileTotals totals() const;

  /// One for each launch so far, in the order of ops(). Waits for all of them; none without Timing::yes.
  std::vector<Span> spans();

  void enter(std::string range, std::string op, bool backward);
  void leave();
  void keep(double bytes);
  void read_parameters(double elements);

  /// Named ranges of the model, nested: "encoder", "blocks.3".
  void push_range(const std::string& name) { ranges_.push_back(name); }
  void pop_range() { ranges_.pop_back(); }
  std::string range() const { return ranges_.empty() ? std::string() : ranges_.back(); }

 private:
  void mark();

  kernels::Stream& stream_;
  Timing timing_;
  std::vector<std::unique_ptr<kernels::Event>> marks_;  // before each launch
  std::vector<OpEntry> ops_;
  std::vector<std::string> ranges_;
  bool inside_ = false;  // between enter and leave; launches outside of any op make an entry of their own
};

/// Marks the launches of one op while it stands. A null profile costs nothing.
class OpScope {
 public:
  OpScope(Profile* profile, const char* op) : profile_(profile) {
    if (profile_) profile_->enter(profile_->range(), op, false);
  }
  OpScope(Profile* profile, const char* op, const std::string& range) : profile_(profile) {
    if (profile_) profile_->enter(range, op, true);
  }
  ~OpScope() {
    if (profile_) profile_->leave();
  }
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;

 private:
  Profile* profile_;
};

/// Names a part of the model while it stands.
class RangeScope {
 public:
  RangeScope(Profile* profile, const std::string& name) : profile_(profile) {
    if (profile_) profile_->push_range(name);
  }
  ~RangeScope() {
    if (profile_) profile_->pop_range();
  }
  RangeScope(const RangeScope&) = delete;
  RangeScope& operator=(const RangeScope&) = delete;

 private:
  Profile* profile_;
};

}  // namespace engine
