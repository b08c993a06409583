// What fine-tuning needs of each sample beside its pixels, drawn and looked up on the host (mae/finetuning.h).
#pragma once

#include <cstdint>
#include <vector>

#include "mae/finetuning.h"

namespace mae {

/// The columns of an input slot, a row a sample.
enum ColumnOf : std::size_t {
  answers,  // (B, 2) i32 label of the image and of its partner; of Task::multi (B, K) i32 1, 0 or -1
  lambda,   // (B, 1) f64 share of the image, the rest being its partner's
  boxes,    // (B, mix_box_fields) i32
  keep      // (B, 2 depth) i32 whether a branch is kept: attention and MLP of block 0, of block 1, ...
};

/// Type and width of each, in this order.
std::vector<ColumnShape> column_shapes(const FinetuningOptions& options);

/// Their values for a batch, or for a slice of one. `drop_rates`: of the blocks (stochastic depth, timm's linspace).
/// Throws kernels::Error where a slice cuts a mixing group.
std::vector<Column> column_values(const FinetuningOptions& options, const std::vector<double>& drop_rates,
                                  std::uint32_t seed, const Batch& batch);

}  // namespace mae
