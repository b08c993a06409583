// A training step in numbers, from a dry run: nothing is allocated and nothing runs, so that ViT-H can be planned for
// on any machine and for any device.
//
//     executed FLOPs / image = (micro-batches x (forward + backward) + update) / batch
#pragma once

#include <cstdint>
#include <vector>

#include "engine/profile.h"
#include "engine/workspace.h"
#include "kernels/core/dtype.h"
#include "mae/config.h"
#include "mae/execution.h"

namespace apps {

struct StepPlanOptions {
  mae::Config config;
  mae::Execution execution{};
  std::int64_t batch = 4096, micro_batch = 4096;  // the second divides the first
  kernels::DType compute = kernels::DType::f32;
  kernels::DType pixels = kernels::DType::u8;
};

struct StepPlan {
  std::int64_t parameters = 0, trainable = 0;  // elements
  double official = 0;                         // FLOPs per image: mae::official_training_flops
  double products = 0, all = 0;                // FLOPs per image: matmul and attention kernels; every kernel
  double launches = 0;                         // of a step: calls of launch(), whose rows may start several kernels
  double bytes = 0;                            // the fewest that they can move
  engine::MemoryPlan memory;
  std::vector<engine::OpEntry> ops;  // of one micro-batch, then of the update (range "update")
};

/// `stream`: device and forced rows; it is not used otherwise. Throws kernels::Error as mae::validate does, and where
/// no row takes a launch.
StepPlan plan_step(kernels::Stream& stream, const StepPlanOptions& options);

/// The largest divisor of the batch whose step needs at most so many bytes; 0: not even one image fits.
std::int64_t largest_micro_batch(kernels::Stream& stream, StepPlanOptions options, double bytes);

/// The most images that a step can take at once in so many bytes, whether or not they divide a batch; 0: not even one.
std::int64_t largest_batch(kernels::Stream& stream, StepPlanOptions options, double bytes);

/// What a run may take of a device, in bytes: on a GPU, code, graphs and the rounding of allocations need some room
/// beside it.
double memory_for_training(const kernels::Device& device);

/// Throws kernels::Error where `plan`, made with these options, needs more memory than `bytes`, with the micro-batch
/// that would do.
void require_memory(kernels::Stream& stream, const StepPlanOptions& options, const StepPlan& plan, double bytes);

}  // namespace apps
