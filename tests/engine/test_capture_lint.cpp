#include "kernels/core/capture_lint.h"

#include <memory>

#include "engine/memory.h"
#include "kernels/elementwise.h"
#include "tests/support/catch.h"

using namespace engine;

namespace {

const kernels::Device& cpu() { return kernels::devices().front(); }

}  // namespace

TEST_CASE("the capture lint refuses what a graph cannot replay, and says what") {
  kernels::Stream stream(cpu()), other(cpu());
  const Buffer memory(cpu(), 64);
  auto freed = std::make_unique<Buffer>(cpu(), 64);
  kernels::Event event(cpu());
  const kernels::Fill fill{.out = memory.view(DType::f32, {16}), .value = 1};
  float host = 0;
  {
    const kernels::CaptureLint lint(stream);
    CHECK_NOTHROW(launch(stream, fill));
    CHECK_NOTHROW(lint.check());
    CHECK_THROWS_WITH(launch(other, fill), ContainsSubstring("another stream"));
    CHECK_THROWS_WITH(Buffer(cpu(), 64), ContainsSubstring("allocate device memory"));
    CHECK_THROWS_WITH(host_buffer(cpu(), 64), ContainsSubstring("allocate"));
    CHECK_THROWS_WITH(stream.synchronize(), ContainsSubstring("synchronise"));
    CHECK_THROWS_WITH(event.synchronize(), ContainsSubstring("synchronise"));
    CHECK_THROWS_WITH(stream.copy(&host, memory.data(), 4), ContainsSubstring("copy"));
    CHECK_THROWS_WITH(stream.wait(event), ContainsSubstring("another stream"));
    CHECK_THROWS_WITH(kernels::Stream(cpu()), ContainsSubstring("make a stream"));
    CHECK_THROWS_WITH(stream.synchronize(), ContainsSubstring("after fill"));  // where it happened
    freed.reset();
    CHECK_THROWS_WITH(lint.check(), ContainsSubstring("free device memory"));
  }
  CHECK_NOTHROW(stream.synchronize());
  CHECK_NOTHROW(Buffer(cpu(), 64));
}
