// A folder of checkpoints, "checkpoint-0000001234.safetensors": found, told whole from damaged, and thinned out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "kernels/core/check.h"

namespace engine {

/// "checkpoint-0000001234.safetensors"
std::string checkpoint_name(std::int64_t step);

/// The one that a run goes on from.
struct FoundCheckpoint {
  std::string path;
  Checkpoint checkpoint;
  std::vector<kernels::Error>
      damaged;  // the newer ones, which cannot be read: what is wrong with each; where: its path
};

/// The newest that is whole: its header and every byte of its data are read. Nothing where the folder has none. Throws
/// where all are damaged, and for one of a newer format, which is never passed over: another program wrote it.
std::optional<FoundCheckpoint> newest_whole_checkpoint(const std::string& folder);

/// Renames a damaged checkpoint to PATH.damaged, so that it no longer counts as one.
void set_aside(const std::string& path);

/// Removes all but the newest `keep`, and never the only one.
void remove_old_checkpoints(const std::string& folder, int keep);

/// How many there are.
int count_checkpoints(const std::string& folder);

}  // namespace engine
