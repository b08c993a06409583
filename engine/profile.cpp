#include "engine/profile.h"

namespace engine {

Profile::Profile(kernels::Stream& stream, Timing timing) : stream_(stream), timing_(timing) {
  stream_.observer = [this](const kernels::LaunchRecord& record) {
    if (timing_ == Timing::yes) mark();
    if (!inside_) ops_.push_back({.range = range(), .op = record.kernel});
    ops_.back().launches.push_back(record);
  };
}

Profile::~Profile() { stream_.observer = nullptr; }

ProfileTotals Profile::totals() const {
  ProfileTotals sum;
  for (const OpEntry& op : ops_) {
    for (const kernels::LaunchRecord& record : op.launches) {
      sum.flops += record.cost.flops;
      sum.bytes += record.cost.bytes;
      sum.launches += 1;
    }
  }
  return sum;
}

void Profile::mark() {
  marks_.push_back(std::make_unique<kernels::Event>(stream_.device()));
  marks_.back()->record(stream_);
}

std::vector<Span> Profile::spans() {
  std::vector<Span> spans;
  if (marks_.empty()) return spans;
  mark();  // where the launch after the last would begin
  for (std::size_t i = 0; i + 1 < marks_.size(); ++i)
    spans.push_back({marks_[i]->milliseconds_since(*marks_[0]), marks_[i + 1]->milliseconds_since(*marks_[i])});
  marks_.pop_back();
  return spans;
}

void Profile::enter(std::string range, std::string op, bool backward) {
  ops_.push_back({.range = std::move(range), .op = std::move(op), .backward = backward});
  inside_ = true;
}

void Profile::leave() { inside_ = false; }

void Profile::keep(double bytes) {
  if (inside_) ops_.back().kept_bytes += bytes;
}

void Profile::read_parameters(double elements) {
  if (inside_) ops_.back().parameters += elements;
}

}  // namespace engine
