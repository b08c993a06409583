// Checkpoints: everything that training needs to go on with the same bits, in one safetensors file.
//
//     <key>                       weights (the masters: f32, or f64 in f64 training) under their official state-dict
//     keys optimizer.moment1.<key>     AdamW's moments, of the same type, for trainable parameters
//     optimizer.moment2.<key>
//     <key of a state>            what has no gradient: batch-norm statistics, averages of weights (ema.<key>)
//     metadata                    format "mae.cu", format_version, step, a checksum over the whole file (crc32, see
//                                 engine/checksum.h), and what the caller adds (config.*, run.*)
//
// Random state is not stored: draws are keyed by seed, sample and epoch, and a resumed run needs only the step. Files
// are written atomically: a reader sees the old checkpoint or the whole new one.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/parameters.h"

namespace engine {

inline constexpr int checkpoint_version = 1;
using Text = std::map<std::string, std::string>;

struct Checkpoint {
  std::int64_t step = 0;  // optimizer steps done
  Text metadata;          // all of it, format and step included
};

enum class Content { weights, training_state };

/// State without gradient beside the parameters: batch-norm statistics, an average of the weights.
using States = std::vector<Parameters*>;

/// Throws kernels::Error naming the file; the file that stood there before is then untouched.
void save_checkpoint(const std::string& path, kernels::Stream& stream, const Parameters& parameters,
                     const Checkpoint& checkpoint, Content content = Content::training_state,
                     const States& states = {});

/// Bytes of the file that save_checkpoint would write, a little rounded up.
std::uint64_t checkpoint_bytes(const Parameters& parameters, const States& states = {});

/// Reads the whole file; throws, naming it, where the header breaks a rule, the file ends early or cannot be read, or
/// its checksum does not hold. Files of before there was one have none.
void verify_checkpoint(const std::string& path);

/// The metadata alone. Refuses files of a newer format by name.
Checkpoint read_checkpoint(const std::string& path);

/// Throws, naming the key, where one is missing or has another shape or dtype: a weight, or with training_state a
/// moment. The parameters need no memory yet, so that a file cannot ask for that of a model which it does not hold.
void check_checkpoint(const std::string& path, const Parameters& parameters, Content content);

/// Verifies and checks the file, and reads values into reserved parameters. `wanted`: of which names alone; null: all.
void load_checkpoint(const std::string& path, kernels::Stream& stream, Parameters& parameters, Content content,
                     const std::function<bool(const std::string&)>& wanted = {});

}  // namespace engine
