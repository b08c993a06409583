#include "kernels/cases/optimizer.h"
#include "tests/support/threads.h"

using namespace kernels;

namespace {

// A model of three segments that start and end inside the fast row's blocks, with everything AdamW reads.
template <class T>
struct Model {
  static constexpr std::int64_t N = 9001, S = 3, steps = 5;

  std::vector<T> gradient, master, moment1, moment2;  // (N)
  std::vector<bf16> compute;                          // (N)
  std::vector<double> schedule;                       // (steps, 3)
  std::vector<std::uint32_t> bounds{0, 5, 4100, N};   // (S + 1)
  std::vector<double> lr_scale{1, 0.5, 0.25};         // (S)
  std::vector<double> weight_decay{0, 0.05, 0.3};     // (S)
  std::uint32_t step = 0;
  std::int32_t finite = 1;
  T clip = 1;

  Model() : gradient(N), master(N), moment1(N), moment2(N), compute(N) {
    std::uint32_t stream = 1;
    for (std::vector<T>* v : {&gradient, &master, &moment1, &moment2}) {
      test::fill_random(view_of(v->data(), dtype_of<T>, {N}), stream++);
    }
    for (T& v : moment2) v *= v;
    for (std::int64_t s = 0; s < steps; ++s) {
      const double t = static_cast<double>(s + 1);
      schedule.insert(schedule.end(), {1e-3 * t, 1 - std::pow(0.9, t), 1 - std::pow(0.95, t)});
    }
  }
  View flat(std::vector<T>& v) { return view_of(v.data(), dtype_of<T>, {N}); }
  AdamW args() {
    return {.gradient = flat(gradient),
            .schedule = view_of(schedule.data(), DType::f64, {steps, 3}),
            .step = view_of(&step, DType::u32, {1}),
            .finite = view_of(&finite, DType::i32, {1}),
            .clip = view_of(&clip, dtype_of<T>, {1}),
            .bounds = view_of(bounds.data(), DType::u32, {S + 1}),
            .lr_scale = view_of(lr_scale.data(), DType::f64, {S}),
            .weight_decay = view_of(weight_decay.data(), DType::f64, {S}),
            .master = flat(master),
            .moment1 = flat(moment1),
            .moment2 = flat(moment2),
            .compute = dtype_of<T> == DType::f32 ? view_of(compute.data(), DType::bf16, {N}) : View{}};
  }
  void update(const char* row) {
    Stream stream(devices().front());
    launch(stream, args(), row);
  }
  bool same_state(const Model& other, std::int64_t begin = 0, std::int64_t end = N) const {
    const auto same = [&](const auto& a, const auto& b) {
      const auto at = static_cast<std::size_t>(begin), count = static_cast<std::size_t>(end - begin);
      return std::memcmp(a.data() + at, b.data() + at, count * sizeof(a[0])) == 0;
    };
    return same(master, other.master) && same(moment1, other.moment1) && same(moment2, other.moment2) &&
           same(compute, other.compute);
  }
};

struct Parameter {
  double p, m, v;
};

// torch.optim.AdamW's steps for one parameter, in its order (_single_tensor_adamw of PyTorch 1.13)
Parameter torch_adamw(Parameter x, double gradient, double lr, double weight_decay, int t) {
  x.p *= 1 - lr * weight_decay;
  x.m = x.m * 0.9 + gradient * (1 - 0.9);
  x.v = x.v * 0.95 + (1 - 0.95) * gradient * gradient;
  const double correction1 = 1 - std::pow(0.9, t), correction2 = 1 - std::pow(0.95, t);
  const double denominator = std::sqrt(x.v) / std::sqrt(correction2) + 1e-8;
  x.p -= lr / correction1 * (x.m / denominator);
  return x;
}

template <class T>
void check_five_steps(const char* row, double bound) {
  INFO(row);
  Model<T> model;
  model.clip = T(0.5);
  std::vector<Parameter> expected;
  for (std::size_t i = 0; i < model.master.size(); ++i)
    expected.push_back({model.master[i], model.moment1[i], model.moment2[i]});
  for (int t = 1; t <= 5; ++t) {
    test::fill_random(model.flat(model.gradient), static_cast<std::uint32_t>(100 + t));
    model.update(row);
    model.step += 1;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::size_t segment = i < 5 ? 0 : i < 4100 ? 1 : 2;
      expected[i] = torch_adamw(expected[i], 0.5 * static_cast<double>(model.gradient[i]),
                                1e-3 * t * model.lr_scale[segment], model.weight_decay[segment], t);
    }
  }
  double worst = 0;
  const auto compare = [&](double got, double want) {
    worst = std::max(worst, std::isnan(got) ? INFINITY : std::abs(got - want) / (std::abs(want) + 0.1));
  };
  for (std::size_t i = 0; i < expected.size(); ++i) {
    compare(model.master[i], expected[i].p);
    compare(model.moment1[i], expected[i].m);
    compare(model.moment2[i], expected[i].v);
  }
  CHECK(worst < bound);
}

// body(model, row) on a fresh model, for every row of every type of master
template <class F>
void for_each_row(F body) {
  for (const char* row : {"fast", "reference"}) {
    INFO("f32 " << row);
    body(Model<float>(), row);
  }
  INFO("f64 reference");
  body(Model<double>(), "reference");
}

}  // namespace

TEST_CASE("adamw passes the battery") { test::battery<AdamW>(); }

TEST_CASE("five steps of adamw are those of torch.optim.AdamW") {
  check_five_steps<double>("reference", 1e-14);
  check_five_steps<float>("reference", 1e-6);
  check_five_steps<float>("fast", 1e-6);
}

TEST_CASE("adamw's first step from rest is lr in the direction of the gradient") {
  for_each_row([](auto model, const char* row) {
    model.weight_decay = {0, 0, 0};
    std::fill(model.moment1.begin(), model.moment1.end(), 0);
    std::fill(model.moment2.begin(), model.moment2.end(), 0);
    const auto before = model;
    model.update(row);
    double worst = 0;
    for (std::size_t i = 4100; i < model.master.size(); ++i) {
      const double moved = double(model.master[i]) - double(before.master[i]);
      worst = std::max(worst, std::abs(moved + std::copysign(0.25e-3, double(before.gradient[i]))));
    }
    CHECK(worst < 1e-6);
  });
}

TEST_CASE("adamw with lr 0 moves the moments and not the parameters") {
  for_each_row([](auto model, const char* row) {
    model.schedule[0] = 0;
    const auto before = model;
    model.update(row);
    CHECK(model.master == before.master);
    CHECK(model.moment1 != before.moment1);
    CHECK(model.moment2 != before.moment2);
  });
}

TEST_CASE("a segment whose factor is 0 keeps every bit, its neighbours do not") {
  for_each_row([](auto model, const char* row) {
    model.lr_scale[1] = 0;
    model.gradient[77] = NAN;  // a frozen gradient may be anything
    const auto before = model;
    model.update(row);
    CHECK(model.same_state(before, 5, 4100));
    for (std::int64_t i : {0, 4, 4100, 9000}) CHECK_FALSE(model.same_state(before, i, i + 1));
  });
}

TEST_CASE("adamw does nothing when finite is 0") {
  for_each_row([](auto model, const char* row) {
    model.finite = 0;
    const auto before = model;
    model.update(row);
    CHECK(model.same_state(before));
    model.finite = 1;
    model.update(row);
    CHECK_FALSE(model.same_state(before));
  });
}

TEST_CASE("clip is a factor on the gradient") {
  for_each_row([](auto model, const char* row) {
    auto halved = model, whole = model;
    model.clip = 0.5;
    for (auto& g : halved.gradient) g /= 2;
    model.update(row), halved.update(row), whole.update(row);
    CHECK(model.same_state(halved));
    CHECK_FALSE(model.same_state(whole));
  });
}

TEST_CASE("weight decay is a segment's own, and its learning rate scales it") {
  for_each_row([](auto model, const char* row) {
    for (auto* v : {&model.gradient, &model.moment1, &model.moment2}) std::fill(v->begin(), v->end(), 0);
    model.schedule[0] = 0.5;
    const auto before = model;
    model.update(row);
    const double kept[] = {1, 1 - 0.5 * 0.5 * 0.05, 1 - 0.5 * 0.25 * 0.3};
    for (std::size_t i : {0, 4, 5, 4099, 4100, 9000}) {
      const double expected = double(before.master[i]) * kept[i < 5 ? 0 : i < 4100 ? 1 : 2];
      CHECK(double(model.master[i]) == Approx(expected).epsilon(1e-6));
    }
  });
}

TEST_CASE("step picks the row of the schedule") {
  for_each_row([](auto model, const char* row) {
    auto other = model;
    model.step = 3;
    std::copy_n(model.schedule.begin() + 9, 3, other.schedule.begin());
    auto first = Model<std::decay_t<decltype(model.clip)>>();
    model.update(row), other.update(row), first.update(row);
    CHECK(model.same_state(other));
    CHECK_FALSE(model.same_state(first));
  });
}

TEST_CASE("in bf16 training compute is the rounded master") {
  for (const char* row : {"fast", "reference"}) {
    Model<float> model;
    model.update(row);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < model.master.size(); ++i) wrong += model.compute[i].bits != bf16(model.master[i]).bits;
    CHECK(wrong == 0);
  }
}

TEST_CASE("adamw has the same bits with any number of threads") {
  for (const AdamW& a : Case<AdamW>::make(Dims("N=50003 S=7"), DType::f32)) {
    for (const char* row : {"fast", "reference"}) test::check_threads(a, row);
  }
}

TEST_CASE("adamw refuses masters in bf16 and compute in f32") {
  AdamW a = Case<AdamW>::make(Dims("N=8 S=1"), DType::f32)[0];
  CHECK_NOTHROW(validate(a));
  a.compute = shaped(DType::f32, {8});
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("compute"));
  a = Case<AdamW>::make(Dims("N=8 S=1"), DType::f32)[0];
  a.master = shaped(DType::bf16, {8});
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("master"));
}
