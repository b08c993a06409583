// The charts of a report: of one run its steps and evaluations, of several one line a run.
#pragma once

#include <vector>

#include "apps/chart.h"
#include "apps/reported_run.h"

namespace apps {

/// Series are of full length. A chart that no run has anything for is left out, but for that of the loss.
std::vector<Chart> charts_of(const std::vector<ReportedRun>& runs);

}  // namespace apps
