#include "engine/profile.h"

namespace engine {

Profile::Profile(kernels::Stream& stream) : stream_(stream) {
  stream_.observer = [this](const kernels::LaunchRecord& record) {
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
