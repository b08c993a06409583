// What the outputs of a row are held against: the CPU's f64 reference on the same operands, as in
// tests/support/battery.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/operands.h"
#include "bench/work.h"

namespace bench {

struct Checked {
  bool done = false, passed = false;
  double worst = 0, bound = 0;  // relative L2 of the worst output
  std::string note;             // why it was not checked, or which output is worst
};

class Reference {
 public:
  /// Runs the reference on the first set of operands, unless that would take more than 2 seconds.
  Reference(const Work& work, const Operands& operands, Stream& stream);
  /// Runs the row once, on the first set with its outputs poisoned, and compares.
  Checked check(const Row& row, Operands& operands, Stream& stream) const;

 private:
  const Work& work_;
  std::string why_not_;
  std::optional<Exact> expected_;
  std::vector<std::vector<std::byte>> before_;  // what the first set held, for operands that are updated
};

}  // namespace bench
