// Any number of labels a sample, from a table: FILE.csv with a column path (or file, filename, image) and one column a
// class, 1 it shows, 0 it does not, -1 or nothing: not known. A column split is passed over, so the table of an image
// data set may be the table of its labels.
//
// A row belongs to the sample whose file its path names: relative to the table's folder, to the data set's folder, or
// to that of the list the data set was opened from, in this order; or absolute. Rows of other files are passed over:
// one table may serve several splits. Where samples have no files of their own, row i belongs to sample i, and no
// column path is needed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mae/dataset.h"

namespace mae {

struct MultiLabels {
  std::vector<std::string> classes;  // (K) names of the columns, in their order
  std::vector<std::int8_t> targets;  // (N, K) 1, 0, or -1: not known
};

/// A class of which these samples show no positive or no negative: an error for training, which cannot learn it; a test
/// split may have one.
enum class EmptyClasses { refuse, allow };

/// Throws kernels::Error with file and line for any other value, for two rows of one sample and for samples without a
/// row; and for a table without class columns or with two of one name.
MultiLabels load_multi_labels(const std::string& path, const Dataset& data, EmptyClasses empty = EmptyClasses::refuse);

}  // namespace mae
