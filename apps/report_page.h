// The page of `mae report`: one file that needs no other, for one run or to compare several.
#pragma once

#include <string>
#include <vector>

#include "apps/reported_run.h"

namespace apps {

/// runs: one at least.
std::string report_page(const std::vector<ReportedRun>& runs);

}  // namespace apps
