// labels: golden
#include "mae/metrics.h"

#include <cmath>
#include <limits>

#include "kernels/core/check.h"
#include "kernels/core/philox.h"
#include "tests/support/catch.h"
#include "tests/support/golden.h"

using namespace mae;
using kernels::DType;
using kernels::view_of;

namespace {

double draw(std::uint32_t stream, std::int64_t element) {  // uniform in [-1, 1)
  const kernels::PhiloxKey key{stream, static_cast<std::uint32_t>(kernels::Purpose::test)};
  return 2 * kernels::uniform(kernels::philox_word(static_cast<std::uint32_t>(element), {}, key)) - 1;
}

template <class T>
std::vector<T> as(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

SingleLabelMetrics single(std::vector<double> logits, std::int64_t K, const std::vector<std::int32_t>& labels) {
  const auto N = static_cast<std::int64_t>(labels.size());
  return single_label_metrics(view_of(logits.data(), DType::f64, {N, K}), labels);
}

MultiLabelMetrics multi(std::vector<double> logits, std::int64_t K, const std::vector<std::int8_t>& targets) {
  const auto N = static_cast<std::int64_t>(targets.size()) / K;
  return multi_label_metrics(view_of(logits.data(), DType::f64, {N, K}), targets);
}

}  // namespace

TEST_CASE("one label a sample: scikit-learn's numbers, with ties and missing labels") {
  const test::Golden golden("metrics.safetensors");
  for (const std::string name : {"plain", "ties", "few"}) {
    INFO(name);
    const std::int64_t K = golden.shape(name + ".logits")[1];
    const auto m = single(golden.values(name + ".logits"), K, as<std::int32_t>(golden.values(name + ".labels")));
    const auto summary = golden.values(name + ".summary"), recall = golden.values(name + ".recall");
    CHECK(m.loss == Approx(summary[0]).epsilon(1e-12));
    CHECK(m.top1 == Approx(summary[1]).epsilon(1e-12));
    CHECK(m.top5 == Approx(summary[2]).epsilon(1e-12));
    CHECK(m.balanced_accuracy == Approx(summary[3]).epsilon(1e-12));
    CHECK(m.confusion == as<std::int64_t>(golden.values(name + ".confusion")));
    for (std::size_t k = 0; k + 1 < recall.size(); ++k) CHECK(m.recall[k].value() == Approx(100 * recall[k]));
    CHECK_FALSE(m.recall.back());  // no sample of it
  }
}

TEST_CASE("any number of labels a sample: scikit-learn's numbers, with ties and missing targets") {
  const test::Golden golden("metrics.safetensors");
  for (const std::string name : {"multi", "multi_ties"}) {
    INFO(name);
    const std::int64_t K = golden.shape(name + ".logits")[1];
    const auto m = multi(golden.values(name + ".logits"), K, as<std::int8_t>(golden.values(name + ".targets")));
    const auto classes = golden.values(name + ".classes"), means = golden.values(name + ".means");
    CHECK(m.without_auroc == std::vector<std::int64_t>{0, 1});
    const auto equal = [](const std::optional<double>& ours, double theirs) {
      CHECK(ours.has_value() == !std::isnan(theirs));
      if (ours) CHECK(*ours == Approx(theirs).epsilon(1e-12));
    };
    for (std::size_t k = 0; k < m.classes.size(); ++k) {
      equal(m.classes[k].auroc, classes[3 * k]);
      equal(m.classes[k].average_precision, classes[3 * k + 1]);
      equal(m.classes[k].f1, classes[3 * k + 2]);
    }
    CHECK(m.auroc == Approx(means[0]).epsilon(1e-12));
    CHECK(m.mean_average_precision == Approx(means[1]).epsilon(1e-12));
    CHECK(m.macro_f1 == Approx(means[2]).epsilon(1e-12));
  }
}

TEST_CASE("ranks by hand: of equal logits the lower class comes first") {
  const auto constant = single(std::vector<double>(21, 0.5), 7, {0, 4, 5});
  CHECK(constant.loss == Approx(std::log(7)));
  CHECK(constant.top1 == Approx(100.0 / 3));
  CHECK(constant.top5 == Approx(200.0 / 3));
  CHECK(constant.balanced_accuracy == Approx(100.0 / 3));
  CHECK(constant.confusion[4 * 7] == 1);  // class 4 is taken for class 0
  CHECK(single({0, 1, 2, 1000, -1000, 0}, 3, {2, 0}).loss == Approx(std::log(1 + std::exp(-1) + std::exp(-2)) / 2));
  CHECK(single({3, 9, 1, 1}, 2, {-1, 1}).samples == 1);
}

TEST_CASE("AUROC is what counting pairs gives; a constant logit gives a half") {
  constexpr std::int64_t N = 300;
  std::vector<double> logits;
  std::vector<std::int8_t> targets;
  for (std::int64_t i = 0; i < N; ++i) {
    targets.push_back(static_cast<std::int8_t>(draw(1, i) > 0.4 ? 1 : draw(2, i) > 0.9 ? -1 : 0));
    logits.push_back(std::round(8 * (draw(3, i) + 0.3 * targets.back())) / 8);
  }
  double pairs = 0, right = 0;
  for (std::size_t i = 0; i < N; ++i) {
    for (std::size_t j = 0; j < N; ++j) {
      if (targets[i] != 1 || targets[j] != 0) continue;
      ++pairs;
      right += logits[i] > logits[j] ? 1 : logits[i] == logits[j] ? 0.5 : 0;
    }
  }
  CHECK(multi(logits, 1, targets).auroc == Approx(right / pairs).epsilon(1e-13));
  const auto constant = multi(std::vector<double>(N, 0.0), 1, targets);
  CHECK(constant.auroc == 0.5);
  CHECK(constant.macro_f1 == 0);  // a logit of 0 finds nothing
}

TEST_CASE("f32 and padded rows are read as they are") {
  std::vector<float> padded{1, 2, 9, 4, 3, 9};  // rows of 2, 3 apart
  const auto m = single_label_metrics(view_of(padded.data(), DType::f32, {2, 2}, 3), std::vector<std::int32_t>{1, 0});
  CHECK(m.top1 == 100);
  CHECK(m.loss == Approx(std::log1p(std::exp(-1))));
}

TEST_CASE("metrics refuse what has no answer, and name the sample") {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH(single({1, 2, nan, 4}, 2, {0, 1}), ContainsSubstring("sample 1: the logit of class 0"));
  CHECK_THROWS_WITH(single({1, 2, 3, infinity}, 2, {0, -1}), ContainsSubstring("sample 1: the logit of class 1"));
  CHECK_THROWS_WITH(multi({1, nan}, 1, {0, 1}), ContainsSubstring("sample 1: the logit of class 0"));
  CHECK_THROWS_WITH(single({1, 2, 3, 4}, 2, {0, 2}), ContainsSubstring("sample 1: the label 2 is none of 2 classes"));
  CHECK_THROWS_WITH(single({1, 2}, 2, {-2}), ContainsSubstring("the label -2"));
  CHECK_THROWS_WITH(single({1, 2}, 2, {-1}), ContainsSubstring("no sample has a label"));
  CHECK_THROWS_WITH(multi({1, 2}, 1, {0, 2}), ContainsSubstring("sample 1: the target of class 0 is 2"));
  CHECK_THROWS_WITH(multi({1, 2}, 1, {-1, -1}), ContainsSubstring("no sample has a known target"));
  CHECK_THROWS_WITH(multi({1, 2, 3, 4}, 2, {1, 0, 1, 0}), ContainsSubstring("no class has both"));
  std::vector<float> logits(4);
  CHECK_THROWS_WITH(
      single_label_metrics(view_of(logits.data(), DType::f32, {2, 2}), std::vector<std::int32_t>{0, 1, 0}),
      ContainsSubstring("3 labels for logits of (2, 2)"));
}
