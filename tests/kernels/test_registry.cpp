// Every kernel of the registry has cases, and rows for them on every kind of device that this build knows.
#include "kernels/registry.h"

#include <algorithm>

#include "kernels/cases/activation.h"
#include "kernels/cases/attention.h"
#include "kernels/cases/augment.h"
#include "kernels/cases/batchnorm.h"
#include "kernels/cases/cross_entropy.h"
#include "kernels/cases/drop_path.h"
#include "kernels/cases/elementwise.h"
#include "kernels/cases/layernorm.h"
#include "kernels/cases/loss.h"
#include "kernels/cases/masking.h"
#include "kernels/cases/matmul.h"
#include "kernels/cases/mix_images.h"
#include "kernels/cases/momentum.h"
#include "kernels/cases/moving_average.h"
#include "kernels/cases/optimizer.h"
#include "kernels/cases/pool.h"
#include "kernels/cases/reduce.h"
#include "kernels/cases/token_merge.h"
#include "kernels/cases/tokens.h"
#include "tests/support/catch.h"

using namespace kernels;

namespace {

/// Whether some variation of the case has a row on the device.
template <class Args>
bool taken(const Device& device, const char* shape, DType dtype) {
  const std::vector<Args> all = Case<Args>::make(Dims(shape), dtype);
  return std::any_of(all.begin(), all.end(), [&](const Args& args) {
    const auto rows = rows_of<Args>(device.kind);
    return std::any_of(rows.begin(), rows.end(),
                       [&](const auto& row) { return !row.refuses || !row.refuses(device, args); });
  });
}

struct CheckRows {
  const Device& device;
  template <class Args>
  void operator()() const {
    const bool gpu = device.kind != DeviceKind::cpu;
    CHECK(std::size(Case<Args>::tests) > 0);
    CHECK(std::size(Case<Args>::bench) > 0);
    for (const DType dtype : Case<Args>::dtypes()) {
      if (gpu && dtype == DType::f64) continue;
      for (const char* shape : Case<Args>::tests) {
        INFO(Args::kernel << " " << name_of(dtype) << " " << shape << " on " << device.name);
        CHECK(taken<Args>(device, shape, dtype));
      }
      for (const char* shape : Case<Args>::bench) {
        INFO(Args::kernel << " " << name_of(dtype) << " " << shape << " on " << device.name);
        CHECK(taken<Args>(device, shape, dtype));
      }
    }
  }
};

}  // namespace

TEST_CASE("every kernel has cases, and rows for all of them on cpu, simt and cuda") {
  for (const char* name : {"cpu", "simt", "h100-80"}) {
    if ((!with_simt && name == std::string("simt")) || (!with_cuda && name == std::string("h100-80"))) continue;
    for_each_kernel(AllKernels{}, CheckRows{find_device(name)});
  }
}

TEST_CASE("a GPU that is not there can be planned for in every build with CUDA or simt") {
  if (!with_cuda && !with_simt) return;
  Stream dry(find_device("h100-80"), StreamMode::dry);
  CHECK_NOTHROW(launch(dry, Case<MatMul>::make(Dims("M=100 N=40 K=64"), DType::bf16).front()));
  CHECK_NOTHROW(launch(dry, Case<AttentionForward>::make(Dims("B=2 T=50 H=2 D=32"), DType::f32).front()));
}
