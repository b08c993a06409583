#include "engine/parameters.h"

#include "engine/step.h"
#include "tests/support/session.h"

using namespace test;

TEST_CASE("what is frozen before and behind the trained segments has no gradient and no moments") {
  Session session;
  Parameters parameters(session.type);
  parameters.add("first", {300}, Trainable::no);
  const Parameter weight = parameters.add("weight", {3, 100});
  parameters.add("between", {7}, Trainable::no);
  const Parameter bias = parameters.add("bias", {5});
  parameters.add("last", {1000}, Trainable::no);
  parameters.reserve(session.stream, Purpose::training);

  const TrainedRange range = parameters.trained_range();
  CHECK(range.first == 1);
  CHECK(range.segments == 3);
  CHECK(range.offset == 512);  // segments start on 256 elements
  CHECK(range.elements == 512 + 256 + 256);
  CHECK(parameters.master().shape.count() == 512 + 1024 + 1024);
  for (const View& flat : {parameters.gradient(), parameters.moment1(), parameters.moment2()}) {
    CHECK(flat.shape.count() == range.elements);
    CHECK(parameters.part(flat, weight.index, {300}).data == flat.data);
    CHECK(parameters.part(flat, bias.index, {5}).as<double>() == flat.as<double>() + 512 + 256);
    CHECK_NOTHROW(parameters.part(flat, 2, {7}));
    for (const int outside : {0, 4})
      CHECK_THROWS_WITH(parameters.part(flat, outside, {1}), ContainsSubstring("this parameter is not trained"));
  }
  CHECK(weight.gradient({300}).data == parameters.gradient().data);
  CHECK(weight.value().as<double>() == parameters.master().as<double>() + range.offset);

  Workspace workspace(session.stream, session.type);
  const MemoryPlan plan = plan_memory(parameters, workspace);
  CHECK(plan.parameters == 8 * 2560);
  CHECK(plan.gradients == 8 * 1024);
  CHECK(plan.moments == 2 * 8 * 1024);
}

TEST_CASE("parameters of which none is trained have masters alone, and no training step") {
  Session session;
  Parameters parameters(session.type);
  parameters.add("table", {300}, Trainable::no);
  parameters.reserve(session.stream, Purpose::training);
  CHECK(parameters.master().data != nullptr);
  CHECK(parameters.gradient().data == nullptr);
  Workspace workspace(session.stream, session.type);
  CHECK_THROWS_WITH(TrainStep(workspace, parameters, {}, {0.1}, [](Context&, const LossSlot&, int) {}),
                    ContainsSubstring("nothing of the model is trained"));
}
