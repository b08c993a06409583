// How a training step is executed: which work is left out because nothing depends on it, and which passes are made in
// one. No switch changes what is computed, but for rounding (docs/execution.md has the key's bias): in f64 loss and
// gradients agree to 1e-9 with all off, which is the official code's order of work.
#pragma once

#include <vector>

#include "engine/layers.h"

namespace mae {

struct Execution {
  bool embed_kept = true;       // patches are embedded where they are kept, not everywhere and then dropped
  bool distinct_tokens = true;  // first decoder block: norm and qkv of mask tokens once per position, not per image
  bool masked_head = true;      // norm and prediction for masked tokens alone, which are all that the loss sees
  bool masked_queries = true;   // with masked_head: the last decoder block likewise
  bool fuse_loss = true;        // target, loss and gradient in one kernel, from the pixels
  bool fuse_mlp = true;         // engine::Fusion
  bool fuse_bias = true;        // engine::Fusion
  bool store_gelu = true;       // with fuse_mlp; no: made again in backward, which saves memory

  engine::Fusion fusion() const {
    return {.mlp = fuse_mlp,
            .bias = fuse_bias,
            .gelu = store_gelu ? engine::GeluOutput::stored : engine::GeluOutput::recomputed};
  }
};

/// Every switch: for options and tests.
struct ExecutionField {
  const char* key;
  const char* help;
  bool Execution::*member;
};
const std::vector<ExecutionField>& execution_fields();

/// With all of them off, but store_gelu, which says nothing without fuse_mlp.
Execution plain_execution();

}  // namespace mae
