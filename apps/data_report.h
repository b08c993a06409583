// What `mae data` says about a data set.
#pragma once

#include <string>
#include <vector>

#include "engine/json.h"
#include "mae/survey.h"

namespace apps {

struct DataReport {
  const mae::Dataset& data;
  mae::Survey survey;  // of all samples, or of some
};

/// On standard output. Every unreadable image by name; of many classes only the smallest, the median and the largest.
void print_report(const DataReport& report);

/// A table with a title, and nothing where there are none.
void print_damaged(const char* title, const std::vector<mae::Damaged>& damaged);

/// "3 channels of 8 bits"
std::string pixel_kind(const mae::Dataset& data);

/// All of it, and every class.
engine::Json to_json(const DataReport& report);

}  // namespace apps
