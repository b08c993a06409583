// A file of its own, because a file is a test: these are the longest cases.
#include "kernels/cases/attention.h"
#include "tests/support/battery.h"

using namespace kernels;

TEST_CASE("attention_backward passes the battery") { test::battery<AttentionBackward>(); }

TEST_CASE("attention_backward=short in the chunks of GPUs with other shared memory") {
  for (const Device& device : devices()) {
    if (device.kind == DeviceKind::cpu) continue;
    const bool simt = device.kind == DeviceKind::simt;  // which has 99 KiB, as an L4
    for (const std::size_t kib : simt ? std::vector<std::size_t>{163, 227} : std::vector<std::size_t>{99}) {
      Device other = device;
      other.shared_memory = kib << 10;
      for (const char* shape : {"B=1 T=197 H=1 D=64", "B=1 T=257 H=1 D=32", "B=1 T=197 Tq=147 H=1 D=32"}) {
        const AttentionBackward args = Case<AttentionBackward>::make(Dims(shape), DType::bf16)[1];
        test::Expected<AttentionBackward> expected(args);
        test::RowReport report;
        report.reordered.insert(DType::bf16);  // once is enough: the battery has other orders
        INFO(shape << " on " << device.name << " with " << kib << " KiB");
        test::check_row(other, args, choose(other, args, "short"), 0, expected, report);
        CHECK(report.runs > 0);
      }
    }
  }
}
