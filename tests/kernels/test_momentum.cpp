#include "kernels/cases/momentum.h"
#include "tests/support/threads.h"

using namespace kernels;

namespace {

struct Row {
  const char *device, *name;
};
constexpr Row fast{"cpu", "fast"}, reference{"cpu", "reference"}, on_simt{"simt", "elements"};

// A model of four segments that start and end inside the fast row's blocks: a bias without decay and trust, a plain
// weight, and two by LARS.
template <class T>
struct Model {
  static constexpr std::int64_t N = 19001, S = 4, steps = 5;

  std::vector<T> gradient, master, moment;                 // (N)
  std::vector<bf16> compute;                               // (N)
  std::vector<double> schedule;                            // (steps, 3)
  std::vector<std::uint32_t> bounds{0, 5, 4100, 9000, N};  // (S + 1)
  std::vector<double> lr_scale{1, 0.5, 0.25, 1};           // (S)
  std::vector<double> weight_decay{0, 0.05, 0, 0.3};       // (S)
  std::vector<double> trust{0, 0, 0.001, 0.02};            // (S)
  std::uint32_t step = 0;
  std::int32_t finite = 1;
  T clip = 1;

  Model() : gradient(N), master(N), moment(N), compute(N) {
    std::uint32_t stream = 1;
    for (std::vector<T>* v : {&gradient, &master, &moment}) test::fill_random(flat(*v), stream++);
    for (std::int64_t s = 0; s < steps; ++s)
      schedule.insert(schedule.end(), {0.1 * static_cast<double>(s + 1), -7, -8});
  }
  View flat(std::vector<T>& v) { return view_of(v.data(), dtype_of<T>, {N}); }
  View each(std::vector<double>& v) { return view_of(v.data(), DType::f64, {S}); }
  Momentum args() {
    return {.gradient = flat(gradient),
            .schedule = view_of(schedule.data(), DType::f64, {steps, 3}),
            .step = view_of(&step, DType::u32, {1}),
            .finite = view_of(&finite, DType::i32, {1}),
            .clip = view_of(&clip, dtype_of<T>, {1}),
            .bounds = view_of(bounds.data(), DType::u32, {S + 1}),
            .lr_scale = each(lr_scale),
            .weight_decay = each(weight_decay),
            .trust = each(trust),
            .master = flat(master),
            .moment = flat(moment),
            .compute = dtype_of<T> == DType::f32 ? view_of(compute.data(), DType::bf16, {N}) : View{}};
  }
  void update(const Row& row) {
    Stream stream(find_device(row.device));
    const Momentum a = args();
    std::vector<std::byte> scratch(choose(stream.device(), a, row.name).scratch_bytes(stream.device(), a) + 1);
    stream.lend_scratch(scratch.data(), scratch.size());
    launch(stream, a, row.name);
  }
  bool same_state(const Model& other, std::int64_t begin = 0, std::int64_t end = N) const {
    const auto same = [&](const auto& a, const auto& b) {
      const auto at = static_cast<std::size_t>(begin), count = static_cast<std::size_t>(end - begin);
      return std::memcmp(a.data() + at, b.data() + at, count * sizeof(a[0])) == 0;
    };
    return same(master, other.master) && same(moment, other.moment) && same(compute, other.compute);
  }
};

struct Tensor {
  std::vector<double> p, mu;
};

// torch.optim.SGD's step for one tensor, in its order (_single_tensor_sgd of PyTorch 1.13), dampening 0
void torch_sgd(Tensor& x, std::vector<double> d_p, double lr, double weight_decay) {
  for (std::size_t i = 0; i < x.p.size(); ++i) {
    d_p[i] += weight_decay * x.p[i];
    x.mu[i] = x.mu[i] * 0.9 + d_p[i];
    x.p[i] += -lr * x.mu[i];
  }
}

// what the linear probe of He et al. does to a tensor of more than one dimension (util/lars.py), step by step
void official_lars(Tensor& x, std::vector<double> dp, double lr, double weight_decay, double trust_coefficient) {
  const auto norm = [](const std::vector<double>& v) {
    double sum = 0;
    for (double value : v) sum += value * value;
    return std::sqrt(sum);
  };
  for (std::size_t i = 0; i < dp.size(); ++i) dp[i] += weight_decay * x.p[i];
  const double param_norm = norm(x.p), update_norm = norm(dp);
  const double q = param_norm > 0 ? (update_norm > 0 ? trust_coefficient * param_norm / update_norm : 1) : 1;
  for (std::size_t i = 0; i < dp.size(); ++i) {
    x.mu[i] = x.mu[i] * 0.9 + dp[i] * q;
    x.p[i] += -lr * x.mu[i];
  }
}

template <class T>
void check_five_steps(const Row& row, double bound) {
  INFO(row.name << " on " << row.device);
  Model<T> model;
  model.clip = T(0.5);
  const auto part = [&](const std::vector<T>& v, std::size_t s, double factor) {
    std::vector<double> values;
    for (std::size_t i = model.bounds[s]; i < model.bounds[s + 1]; ++i) values.push_back(factor * double(v[i]));
    return values;
  };
  std::vector<Tensor> expected;
  for (std::size_t s = 0; s < 4; ++s) expected.push_back({part(model.master, s, 1), part(model.moment, s, 1)});
  for (int t = 1; t <= 5; ++t) {
    test::fill_random(model.flat(model.gradient), static_cast<std::uint32_t>(100 + t));
    model.update(row);
    model.step += 1;
    for (std::size_t s = 0; s < 4; ++s) {
      const double lr = 0.1 * t * model.lr_scale[s];
      const std::vector<double> gradient = part(model.gradient, s, 0.5);
      if (s < 2) torch_sgd(expected[s], gradient, lr, model.weight_decay[s]);
      else official_lars(expected[s], gradient, lr, model.weight_decay[s], model.trust[s]);
    }
  }
  const auto worst = [](const std::vector<double>& got, const std::vector<double>& want) {
    double most = 0;
    for (std::size_t i = 0; i < got.size(); ++i)
      most = std::max(most, std::isnan(got[i]) ? INFINITY : std::abs(got[i] - want[i]) / (std::abs(want[i]) + 0.1));
    return most;
  };
  for (std::size_t s = 0; s < 4; ++s) {
    INFO("segment " << s);
    CHECK(worst(part(model.master, s, 1), expected[s].p) < bound);
    CHECK(worst(part(model.moment, s, 1), expected[s].mu) < bound);
  }
}

// body(model, row) on a fresh model, for every row of every type of master
template <class F>
void for_each_row(F body) {
  for (const Row& row : {fast, reference, on_simt}) {
    if (!with_simt && row.device == on_simt.device) continue;
    INFO("f32 " << row.name << " on " << row.device);
    body(Model<float>(), row);
  }
  INFO("f64 reference");
  body(Model<double>(), reference);
}

}  // namespace

TEST_CASE("momentum passes the battery") { test::battery<Momentum>(); }

TEST_CASE("five steps of momentum are those of torch.optim.SGD, with trust those of the official LARS") {
  check_five_steps<double>(reference, 1e-13);
  check_five_steps<float>(reference, 1e-5);
  check_five_steps<float>(fast, 1e-5);
  if (with_simt) check_five_steps<float>(on_simt, 1e-5);
}

TEST_CASE("with trust, a first step from rest is as long as lr trust |p|, whatever the length of the gradient") {
  for_each_row([](auto model, const Row& row) {
    std::fill(model.moment.begin(), model.moment.end(), 0);
    for (auto& g : model.gradient) g *= 1000;
    const auto before = model;
    model.update(row);
    double moved = 0, norm = 0;
    for (std::size_t i = 4100; i < 9000; ++i) {
      moved += std::pow(double(model.master[i]) - double(before.master[i]), 2);
      norm += std::pow(double(before.master[i]), 2);
    }
    CHECK(std::sqrt(moved) == Approx(0.1 * 0.25 * 0.001 * std::sqrt(norm)).epsilon(1e-3));
  });
}

TEST_CASE("a segment of zeros, and one without a gradient, move as plain SGD does") {
  for_each_row([](auto model, const Row& row) {
    std::fill(model.master.begin() + 4100, model.master.begin() + 9000, 0);
    std::fill(model.gradient.begin() + 9000, model.gradient.end(), 0);
    model.weight_decay[3] = 0;
    auto plain = model;
    plain.trust = {0, 0, 0, 0};
    model.update(row), plain.update(row);
    CHECK(model.same_state(plain));
  });
}

TEST_CASE("momentum: a segment whose factor is 0 keeps every bit, its neighbours do not") {
  for_each_row([](auto model, const Row& row) {
    model.lr_scale[1] = model.lr_scale[2] = 0;
    model.gradient[77] = model.gradient[5000] = NAN;  // a frozen gradient may be anything
    const auto before = model;
    model.update(row);
    CHECK(model.same_state(before, 5, 9000));
    for (std::int64_t i : {0, 4, 9000, 19000}) CHECK_FALSE(model.same_state(before, i, i + 1));
  });
}

TEST_CASE("momentum does nothing when finite is 0") {
  for_each_row([](auto model, const Row& row) {
    model.finite = 0;
    const auto before = model;
    model.update(row);
    CHECK(model.same_state(before));
    model.finite = 1;
    model.update(row);
    CHECK_FALSE(model.same_state(before));
  });
}

TEST_CASE("momentum: step picks the row of the schedule, of which lr alone counts") {
  for_each_row([](auto model, const Row& row) {
    auto other = model, first = model;
    model.step = 3;
    other.schedule[0] = model.schedule[9], other.schedule[1] = 99;
    model.update(row), other.update(row), first.update(row);
    CHECK(model.same_state(other));
    CHECK_FALSE(model.same_state(first));
  });
}

TEST_CASE("momentum: in bf16 training compute is the rounded master") {
  for (const Row& row : {fast, reference}) {
    Model<float> model;
    model.update(row);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < model.master.size(); ++i) wrong += model.compute[i].bits != bf16(model.master[i]).bits;
    CHECK(wrong == 0);
  }
}

TEST_CASE("momentum has the same bits with any number of threads") {
  for (const Momentum& a : Case<Momentum>::make(Dims("N=50003 S=7"), DType::f32)) {
    for (const char* row : {"fast", "reference"}) test::check_threads(a, row);
  }
}

TEST_CASE("momentum refuses compute in f32, trust that is missing, and momentum 1") {
  const Momentum good = Case<Momentum>::make(Dims("N=8 S=1"), DType::f32)[0];
  CHECK_NOTHROW(validate(good));
  Momentum a = good;
  a.compute = shaped(DType::f32, {8});
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("compute"));
  a = good, a.trust = View{};
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("trust"));
  a = good, a.momentum = 1;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("momentum must"));
}
