#include "mae/knn.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/core/check.h"
#include "kernels/core/philox.h"
#include "tests/support/catch.h"
#include "tests/support/thread_count.h"

using namespace mae;

namespace {

double draw(std::uint32_t stream, std::int64_t element) {  // uniform in [-1, 1)
  const kernels::PhiloxKey key{stream, static_cast<std::uint32_t>(kernels::Purpose::test)};
  return 2 * kernels::uniform(kernels::philox_word(static_cast<std::uint32_t>(element), {}, key)) - 1;
}

/// Noise around a direction for each of five classes, of any length.
Features clusters(std::int64_t count, std::uint32_t stream) {
  Features f{.count = count, .width = 9, .values = {}, .labels = {}};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::int32_t>(i % 5);
    const double length = std::exp(3 * draw(stream + 1, i));
    f.labels.push_back(label);
    for (std::int64_t j = 0; j < f.width; ++j)
      f.values.push_back(
          static_cast<float>(length * (0.6 * draw(1, label * f.width + j) + draw(stream, i * f.width + j))));
  }
  return f;
}

double cosine(const float* a, const float* b, std::int64_t D) {
  double ab = 0, aa = 0, bb = 0;
  for (std::int64_t j = 0; j < D; ++j) {
    ab += static_cast<double>(a[j]) * static_cast<double>(b[j]);
    aa += static_cast<double>(a[j]) * static_cast<double>(a[j]);
    bb += static_cast<double>(b[j]) * static_cast<double>(b[j]);
  }
  return ab / std::sqrt(aa * bb);
}

/// The header's formula for one test sample, in f64.
std::int32_t by_hand(const Features& train, const float* f, std::int64_t k, double temperature) {
  std::vector<std::pair<double, std::int64_t>> all;
  for (std::int64_t j = 0; j < train.count; ++j)
    all.emplace_back(-cosine(f, train.values.data() + j * train.width, train.width), j);
  std::sort(all.begin(), all.end());
  std::vector<double> votes(5);
  for (std::int64_t n = 0; n < k; ++n) {
    const auto [similarity, j] = all[static_cast<std::size_t>(n)];
    votes[static_cast<std::size_t>(train.labels[static_cast<std::size_t>(j)])] += std::exp(-similarity / temperature);
  }
  return static_cast<std::int32_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
}

Features of(std::int64_t width, std::vector<float> values, std::vector<std::int32_t> labels) {
  const auto count = static_cast<std::int64_t>(labels.size());
  return {.count = count, .width = width, .values = std::move(values), .labels = std::move(labels)};
}

}  // namespace

TEST_CASE("kNN is its formula, for every k, over several blocks") {
  const Features train = clusters(2500, 10), test = clusters(300, 20);
  const auto results = nearest_neighbours(train, test, {.k = {1, 20, 7, 2500}, .temperature = 0.07});
  REQUIRE(results.size() == 4);
  for (const KnnResult& r : results) {
    INFO(r.k);
    CHECK((r.labels == 2500 && r.classes == 5));
    std::int64_t right = 0, differ = 0;
    for (std::int64_t i = 0; i < test.count; ++i) {
      const std::int32_t expected = by_hand(train, test.values.data() + i * test.width, r.k, 0.07);
      differ += expected != r.predicted[static_cast<std::size_t>(i)];
      right += r.predicted[static_cast<std::size_t>(i)] == test.labels[static_cast<std::size_t>(i)];
    }
    CHECK(differ <= 1);  // f32 may swap two neighbours
    CHECK(r.top1 == Approx(100.0 * static_cast<double>(right) / 300));
    CHECK((r.top1 > 40 && r.top1 < 99));  // neither chance nor too easy to tell anything
  }
  CHECK(results[1].k == 20);
}

TEST_CASE("kNN by hand: lengths do not count, near votes weigh more, and ties go to the first") {
  // directions at 0, 40, 50 and 180 degrees
  const auto at = [](std::vector<double> degrees) {
    std::vector<float> values;
    for (std::size_t i = 0; i < degrees.size(); ++i) {
      const double a = degrees[i] * 3.14159265358979 / 180, length = std::ldexp(1.0, static_cast<int>(3 * i) - 4);
      values.push_back(static_cast<float>(length * std::cos(a)));
      values.push_back(static_cast<float>(length * std::sin(a)));
    }
    return values;
  };
  const Features train = of(2, at({0, 40, 50, 180}), {1, 0, 0, 2});
  const auto predicted = [&](const Features& known, double degrees, std::int64_t k, double temperature) {
    return nearest_neighbours(known, of(2, at({degrees}), {0}), {.k = {k}, .temperature = temperature})[0].predicted[0];
  };
  CHECK(predicted(train, 5, 1, 0.07) == 1);
  CHECK(predicted(train, 5, 3, 10.0) == 0);  // nearly equal votes: two of three
  CHECK(predicted(train, 5, 3, 0.05) == 1);  // the near one outvotes both
  CHECK(predicted(train, 5, 3, 1e-6) == 1);  // exp of 1e6 would be infinite
  CHECK(predicted(train, 170, 1, 0.07) == 2);
  const Features twins = of(1, {1, 2, 4, 8}, {3, 1, 1, 0});                            // all equally near
  CHECK(nearest_neighbours(twins, of(1, {5}, {0}), {.k = {1}})[0].predicted[0] == 3);  // the first sample
  CHECK(nearest_neighbours(twins, of(1, {5}, {0}), {.k = {2}})[0].predicted[0] == 1);  // the lower of equal votes
  CHECK(nearest_neighbours(twins, of(1, {5}, {0}), {.k = {3}})[0].predicted[0] == 1);
}

TEST_CASE("kNN of many equal vectors takes the first of them, in whatever block they lie") {
  std::vector<float> values(3000, 1.0f);
  std::vector<std::int32_t> labels(3000, 0);
  std::fill(labels.begin(), labels.begin() + 10, 2);
  labels[10] = 1;
  const Features train = of(1, values, labels), test = of(1, {2}, {2});
  for (const auto& r : nearest_neighbours(train, test, {.k = {19, 22}}))
    CHECK(r.predicted[0] == (r.k == 19 ? 2 : 0));  // ten votes of 2 against eight, eleven of 0
}

TEST_CASE("kNN gives the same answers on any number of threads, and uses the labels that are chosen") {
  const Features train = clusters(2000, 30), test = clusters(500, 40);
  const KnnOptions options{.k = {5, 50}, .labels = 333, .seed = 4};
  const auto run = [&] { return nearest_neighbours(train, test, options); };
  const auto one = test::with_threads(1, run), three = test::with_threads(3, run);
  for (std::size_t i = 0; i < one.size(); ++i) CHECK(one[i].predicted == three[i].predicted);
  CHECK(one[0].labels == 333);

  std::vector<std::int64_t> chosen = choose_labels(train.labels, 333, 4);
  std::sort(chosen.begin(), chosen.end());
  Features part{.count = 333, .width = train.width, .values = {}, .labels = {}};
  for (const std::int64_t i : chosen) {
    const auto begin = train.values.begin() + i * train.width;
    part.values.insert(part.values.end(), begin, begin + train.width);
    part.labels.push_back(train.labels[static_cast<std::size_t>(i)]);
  }
  CHECK(nearest_neighbours(part, test, {.k = {5}})[0].predicted == one[0].predicted);
}

TEST_CASE("kNN refuses what has no answer") {
  const Features good = clusters(60, 50);
  const auto refused = [&](const char* words, auto change, const KnnOptions& options) {
    Features train = good, test = good;
    change(train, test);
    CHECK_THROWS_WITH(nearest_neighbours(train, test, options), ContainsSubstring(words));
  };
  const auto nothing = [](Features&, Features&) {};
  refused("knn: training features: the features of sample 3 are all zero",
          [](Features& train, Features&) { std::fill_n(train.values.begin() + 27, 9, 0.0f); }, {});
  refused("knn: test features: the features of sample 7 are all zero",
          [](Features&, Features& test) { std::fill_n(test.values.begin() + 63, 9, 0.0f); }, {});
  refused("61 neighbours of 60 training samples", nothing, {.k = {20, 61}});
  refused("20 neighbours of 10 training samples", nothing, {.k = {20}, .labels = 10});
  refused("0 neighbours", nothing, {.k = {0}});
  refused("no number of neighbours", nothing, {.k = {}});
  for (const double temperature : {0.0, -1.0, std::nan("")})
    refused("the temperature is", nothing, {.temperature = temperature});
  refused("not finite", [](Features& train, Features&) { train.values[70] = NAN; }, {});
  refused("no label", [](Features&, Features& test) { test.labels[5] = -1; }, {});
  refused("4 labels", nothing, {.labels = 4});
  CHECK_NOTHROW(nearest_neighbours(good, good, {.k = {60}}));
}
