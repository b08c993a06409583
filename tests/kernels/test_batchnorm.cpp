#include "kernels/cases/batchnorm.h"
#include "tests/support/threads.h"

using namespace kernels;

namespace {

// A batch of 37 samples of 70 features, one more than a strip of the fast row and two blocks of the CUDA row.
template <class T>
struct Batch {
  static constexpr std::int64_t B = 37, C = 70;
  std::vector<T> x, y, dy, dx;                                                // (B, C)
  std::vector<T> running_mean, running_var, mean, rstd, next_mean, next_var;  // (C)

  double eps = 1e-6;

  Batch() : x(B * C), y(B * C), dy(B * C), dx(B * C), running_mean(C), running_var(C), mean(C), rstd(C) {
    next_mean.resize(C), next_var.resize(C);
    test::fill_random(rows(x), 1, 3.0, 2.0);
    test::fill_random(rows(dy), 2);
    test::fill_random(columns(running_mean), 3);
    test::fill_random(columns(running_var), 4);
    for (T& v : running_var) v = T(0.5) + v * v;
  }
  View rows(std::vector<T>& v) { return view_of(v.data(), dtype_of<T>, {B, C}); }
  View columns(std::vector<T>& v) { return view_of(v.data(), dtype_of<T>, {C}); }
  void forward(const char* row, BatchNormMode mode) {
    Stream stream(devices().front());
    BatchNormForward a{.x = rows(x),
                       .running_mean = columns(running_mean),
                       .running_var = columns(running_var),
                       .y = rows(y),
                       .mean = columns(mean),
                       .rstd = columns(rstd),
                       .eps = eps,
                       .momentum = 0.1,
                       .mode = mode};
    if (mode == BatchNormMode::training) a.next_mean = columns(next_mean), a.next_var = columns(next_var);
    launch(stream, a, row);
  }
  void backward(const char* row, BatchNormMode mode) {
    Stream stream(devices().front());
    launch(
        stream,
        BatchNormBackward{
            .dy = rows(dy), .x = rows(x), .mean = columns(mean), .rstd = columns(rstd), .dx = rows(dx), .mode = mode},
        row);
  }
};

// what torch.nn.functional.batch_norm does to one column, as its documentation says
struct Column {
  double mean = 0, biased = 0, unbiased = 0;
};
template <class T>
Column torch_statistics(const Batch<T>& batch, std::size_t c) {
  Column s;
  for (std::size_t b = 0; b < batch.B; ++b) s.mean += double(batch.x[b * batch.C + c]) / batch.B;
  for (std::size_t b = 0; b < batch.B; ++b) s.biased += std::pow(double(batch.x[b * batch.C + c]) - s.mean, 2);
  s.unbiased = s.biased / (batch.B - 1);
  s.biased /= batch.B;
  return s;
}

template <class F>
void for_each_row(F body) {
  for (const char* row : {"fast", "reference"}) {
    INFO("f32 " << row);
    body(Batch<float>(), row, 2e-6);
  }
  INFO("f64 reference");
  body(Batch<double>(), "reference", 1e-14);
}

}  // namespace

TEST_CASE("batchnorm_forward passes the battery") { test::battery<BatchNormForward>(); }
TEST_CASE("batchnorm_backward passes the battery") { test::battery<BatchNormBackward>(); }

TEST_CASE("in training batchnorm is PyTorch's: biased variance to normalise, unbiased to remember") {
  for_each_row([](auto batch, const char* row, double bound) {
    batch.forward(row, BatchNormMode::training);
    double worst = 0;
    const auto compare = [&](double got, double want) {
      worst = std::max(worst, std::isnan(got) ? INFINITY : std::abs(got - want) / (std::abs(want) + 0.5));
    };
    for (std::size_t c = 0; c < batch.C; ++c) {
      const Column s = torch_statistics(batch, c);
      const double rstd = 1 / std::sqrt(s.biased + 1e-6);
      for (std::size_t b = 0; b < batch.B; ++b)
        compare(batch.y[b * batch.C + c], (double(batch.x[b * batch.C + c]) - s.mean) * rstd);
      compare(batch.mean[c], s.mean);
      compare(batch.rstd[c], rstd);
      compare(batch.next_mean[c], 0.9 * double(batch.running_mean[c]) + 0.1 * s.mean);
      compare(batch.next_var[c], 0.9 * double(batch.running_var[c]) + 0.1 * s.unbiased);
    }
    CHECK(worst < bound);
  });
}

TEST_CASE("in evaluation batchnorm takes the running statistics, and a sample's result is its own") {
  for_each_row([](auto batch, const char* row, double bound) {
    batch.forward(row, BatchNormMode::evaluation);
    double worst = 0;
    for (std::size_t i = 0; i < batch.x.size(); ++i) {
      const std::size_t c = i % batch.C;
      const double want =
          (double(batch.x[i]) - double(batch.running_mean[c])) / std::sqrt(double(batch.running_var[c]) + 1e-6);
      worst = std::max(worst, std::abs(double(batch.y[i]) - want) / (std::abs(want) + 0.5));
    }
    CHECK(worst < bound);
  });
}

TEST_CASE("the variance of a column far from zero keeps its digits") {
  for (const char* row : {"fast", "reference"}) {
    Batch<float> near, far;
    for (std::size_t i = 0; i < near.x.size(); ++i) {
      near.x[i] = std::round(near.x[i] * 64) / 64;
      far.x[i] = near.x[i] + 4096;
    }
    near.forward(row, BatchNormMode::training), far.forward(row, BatchNormMode::training);
    for (std::size_t c = 0; c < near.C; ++c) CHECK(far.rstd[c] == Approx(near.rstd[c]).epsilon(1e-4));
  }
}

TEST_CASE("the gradient of batchnorm is orthogonal to ones and to n in training, and rstd dy in evaluation") {
  for_each_row([](auto batch, const char* row, double bound) {
    batch.eps = 0;  // else n is shorter, by a part in a million
    batch.forward(row, BatchNormMode::training);
    batch.backward(row, BatchNormMode::training);
    double worst = 0;
    for (std::size_t c = 0; c < batch.C; ++c) {
      double sum = 0, product = 0;
      for (std::size_t i = c; i < batch.x.size(); i += batch.C)
        sum += double(batch.dx[i]), product += double(batch.dx[i]) * double(batch.y[i]);
      worst = std::max({worst, std::abs(sum), std::abs(product)});
    }
    CHECK(worst < 100 * bound);  // of 37 summands
    batch.backward(row, BatchNormMode::evaluation);
    for (std::size_t i = 0; i < batch.x.size(); i += 11)
      CHECK(double(batch.dx[i]) == Approx(double(batch.rstd[i % batch.C]) * double(batch.dy[i])).epsilon(1e-6));
  });
}

TEST_CASE("batchnorm has the same bits with any number of threads") {
  for (const BatchNormForward& a : Case<BatchNormForward>::make(Dims("B=50 C=300"), DType::f32)) {
    for (const char* row : {"fast", "reference"}) test::check_threads(a, row);
  }
  for (const BatchNormBackward& a : Case<BatchNormBackward>::make(Dims("B=50 C=300"), DType::f32)) {
    for (const char* row : {"fast", "reference"}) test::check_threads(a, row);
  }
}

TEST_CASE("batchnorm refuses a batch of one in training, and statistics that miss their other half") {
  const auto all = Case<BatchNormForward>::make(Dims("B=8 C=3"), DType::f32);
  const BatchNormForward training = all[0], evaluation = all[1];
  CHECK_NOTHROW(validate(training));
  CHECK_NOTHROW(validate(evaluation));
  BatchNormForward a = training;
  a.x = a.y = shaped(DType::f32, {1, 3});
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("one sample has no variance"));
  a.mode = BatchNormMode::evaluation, a.next_mean = a.next_var = View{};
  CHECK_NOTHROW(validate(a));
  a = training, a.next_var = View{};
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("go together"));
  a = training, a.running_mean = a.running_var = View{};
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("next_mean is made of"));
  a = evaluation, a.running_mean = a.running_var = View{};
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("evaluation needs"));
  a = evaluation, a.next_mean = a.next_var = a.running_mean;
  CHECK_THROWS_WITH(validate(a), ContainsSubstring("evaluation has no"));
}
