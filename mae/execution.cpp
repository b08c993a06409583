#include "mae/execution.h"

namespace mae {

const std::vector<ExecutionField>& execution_fields() {
  static const std::vector<ExecutionField> fields{
      {"embed_kept", "embed only the patches that are kept", &Execution::embed_kept},
      {"distinct_tokens", "first decoder block: norm and qkv of mask tokens once per position",
       &Execution::distinct_tokens},
      {"masked_head", "predict masked patches only", &Execution::masked_head},
      {"masked_queries", "with masked_head: last decoder block for masked tokens only", &Execution::masked_queries},
      {"fuse_loss", "target, loss and gradient in one kernel", &Execution::fuse_loss},
      {"fuse_mlp", "GELU and its gradient in the products beside it", &Execution::fuse_mlp},
      {"fuse_bias", "gradients of biases in passes that are made anyway", &Execution::fuse_bias},
      {"store_gelu", "with fuse_mlp: keep the output of GELU for backward; without, it is made again, for less memory",
       &Execution::store_gelu}};
  return fields;
}

Execution plain_execution() {
  Execution plain;
  for (const ExecutionField& field : execution_fields()) plain.*field.member = false;
  plain.store_gelu = true;
  return plain;
}

}  // namespace mae
