// Writing a packed data set: mae/packed.h says what it is.
//
// Images are written as they are read, in the order of the samples, or shrunk so that the shorter side is `size`: by
// the resampling of mae/augment.h, which training uses, and never enlarged. An image that cannot be read is left out,
// and those after it move up.
//
// Promise: the same bytes for any number of workers. The index is written last, so that whatever ends the work, nothing
// that is not whole opens as a data set.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "mae/loader.h"

namespace mae {

struct Packed {
  std::int64_t images = 0;
  std::uint64_t bytes = 0;  // of all files
  std::size_t shards = 0;
  std::vector<Damaged> left_out;
};

struct PackOptions {
  int size = 0;                               // the shorter side is at most this; 0: as stored
  std::uint64_t shard_bytes = 1'000'000'000;  // a shard ends before it would be larger; it has at least one image
  int workers = 0;                            // threads; 0: one a core
  double max_damaged = 0.01;                  // share of the images that may be left out
  std::function<void(const Packed& so_far)> progress{};  // after each sample, from the caller's thread; may throw
};

/// Packs all samples into a folder, which is made and must be empty. Throws kernels::Error, passes on what `progress`
/// throws, and then leaves the folder empty, as it was.
Packed pack(const Dataset& data, const std::string& folder, const PackOptions& options);

}  // namespace mae
