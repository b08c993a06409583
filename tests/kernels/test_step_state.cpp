#include "kernels/cases/optimizer.h"
#include "tests/support/battery.h"

using namespace kernels;

TEST_CASE("step_guard passes the battery") { test::battery<StepGuard>(); }
TEST_CASE("step_advance passes the battery") { test::battery<StepAdvance>(); }

TEST_CASE("step_guard clips long gradients and flags what is not finite") {
  struct Row {
    double loss, squared_norm, max_norm;
    std::int32_t before, finite;
    double clip;
  };
  const Row rows[] = {{2, 16, 1, 1, 1, 0.25},     {2, 16, 4, 1, 1, 1},  {2, 16, 5, 1, 1, 1},
                      {2, 16, 0, 1, 1, 1},        {2, 0, 1, 1, 1, 1},   {NAN, 16, 1, 1, 0, 1},
                      {INFINITY, 16, 1, 1, 0, 1}, {2, NAN, 1, 1, 0, 1}, {2, INFINITY, 0, 1, 0, 1},
                      {2, 16, 1, 0, 0, 1}};
  Stream stream(devices().front());
  for (const Row& r : rows) {
    INFO("loss " << r.loss << " squared norm " << r.squared_norm << " max norm " << r.max_norm);
    float loss = static_cast<float>(r.loss), squared_norm = static_cast<float>(r.squared_norm), clip = -1;
    std::int32_t finite = r.before;
    launch(stream, StepGuard{.loss = view_of(&loss, DType::f32, {1}),
                             .squared_norm = view_of(&squared_norm, DType::f32, {1}),
                             .finite = view_of(&finite, DType::i32, {1}),
                             .clip = view_of(&clip, DType::f32, {1}),
                             .max_norm = r.max_norm});
    CHECK(finite == r.finite);
    CHECK(clip == static_cast<float>(r.clip));
  }
}

TEST_CASE("step_advance writes the losses around a ring and counts only finite steps") {
  float loss = 0;
  std::int32_t finite = 1;
  std::uint32_t step = 3;
  std::vector<float> losses{-1, -1, -1, -1};
  const StepAdvance a{.loss = view_of(&loss, DType::f32, {1}),
                      .finite = view_of(&finite, DType::i32, {1}),
                      .step = view_of(&step, DType::u32, {1}),
                      .losses = view_of(losses.data(), DType::f32, {4})};
  Stream stream(devices().front());
  for (float value : {0.3f, 0.4f, 0.5f}) loss = value, launch(stream, a);
  CHECK(step == 6);
  CHECK(losses == std::vector<float>{0.4f, 0.5f, -1, 0.3f});
  finite = 0, loss = 9;
  launch(stream, a);
  CHECK(step == 6);
  CHECK(losses == std::vector<float>{0.4f, 0.5f, -1, 0.3f});
}
