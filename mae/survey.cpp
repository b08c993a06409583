#include "mae/survey.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <optional>

namespace mae {
namespace {

constexpr std::int64_t piece = 16;  // samples that a worker takes at a time

void merge(ChannelValues& to, const ChannelValues& from) {
  if (from.images == 0) return;
  const double all = to.images + from.images, apart = from.mean - to.mean;
  to.squares += from.squares + apart * apart * to.images * from.images / all;
  to.mean += apart * from.images / all;
  to.images = all;
  to.smallest = std::min(to.smallest, from.smallest);
  to.largest = std::max(to.largest, from.largest);
}

void merge(Survey& to, Survey& from) {
  to.images += from.images;
  to.channels.resize(std::max(to.channels.size(), from.channels.size()));
  for (std::size_t c = 0; c < from.channels.size(); ++c) merge(to.channels[c], from.channels[c]);
  for (const auto& [size, count] : from.sizes) to.sizes[size] += count;
  std::move(from.unreadable.begin(), from.unreadable.end(), std::back_inserter(to.unreadable));
  std::move(from.not_finite.begin(), from.not_finite.end(), std::back_inserter(to.not_finite));
}

/// One channel of one image; false where some of its values are not finite.
template <class T>
bool measure(std::span<const T> pixels, std::size_t channel, std::size_t channels, ChannelValues& values) {
  double sum = 0, squares = 0, count = 0;
  T smallest = std::numeric_limits<T>::max(), largest = std::numeric_limits<T>::lowest();
  const auto each = [&](auto&& body) {
    for (std::size_t i = channel; i < pixels.size(); i += channels) {
      if constexpr (std::is_floating_point_v<T>) {
        if (!std::isfinite(pixels[i])) continue;
      }
      body(pixels[i]);
    }
  };
  each([&](T x) {
    sum += static_cast<double>(x);
    smallest = std::min(smallest, x);
    largest = std::max(largest, x);
    ++count;
  });
  if (count > 0) {
    const double mean = sum / count;
    each([&](T x) { squares += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean); });
    merge(values, {.images = 1,
                   .mean = mean,
                   .squares = squares / count,
                   .smallest = static_cast<double>(smallest),
                   .largest = static_cast<double>(largest)});
  }
  return count == static_cast<double>(pixels.size() / channels);
}

void look_at(const Dataset& data, std::int64_t sample, Survey& part) {
  std::optional<Image> image;
  try {
    image = data.image(sample);
  } catch (const kernels::Error& error) {
    part.unreadable.push_back({sample, error});
    return;
  }
  ++part.images;
  ++part.sizes[{image->height, image->width}];
  const auto channels = static_cast<std::size_t>(image->channels);
  part.channels.resize(std::max(part.channels.size(), channels));
  bool finite = true;
  with_pixels(*image, [&](auto pixels) {
    for (std::size_t c = 0; c < channels; ++c) finite = measure(pixels, c, channels, part.channels[c]) && finite;
  });
  if (!finite) {
    part.not_finite.push_back(
        {sample, kernels::Error("holds values that are not finite", name_of(data, sample), "repair or remove it")});
  }
}

/// Pieces that are done wait here until all before them are: sums then have one order for any number of workers.
class InOrder {
 public:
  void add(std::int64_t index, Survey part) {
    const std::lock_guard lock(mutex_);
    waiting_.emplace(index, std::move(part));
    for (; !waiting_.empty() && waiting_.begin()->first == next_; ++next_) {
      merge(all_, waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
    }
  }
  Survey take() { return std::move(all_); }

 private:
  std::mutex mutex_;
  std::map<std::int64_t, Survey> waiting_;
  std::int64_t next_ = 0;
  Survey all_;
};

}  // namespace

double ChannelValues::std() const { return images > 0 ? std::sqrt(squares / images) : 0; }

double Survey::smallest() const {
  double least = std::numeric_limits<double>::infinity();
  for (const ChannelValues& c : channels) least = std::min(least, c.smallest);
  return std::isfinite(least) ? least : 0;
}

double Survey::largest() const {
  double most = -std::numeric_limits<double>::infinity();
  for (const ChannelValues& c : channels) most = std::max(most, c.largest);
  return std::isfinite(most) ? most : 0;
}

Survey survey(const Dataset& data, std::span<const std::uint32_t> samples, const SurveyOptions& options) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto count = std::ssize(samples);
  std::atomic<std::int64_t> next = 0, done = 0;
  const int threads =
      options.workers > 0 ? options.workers : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::atomic<int> running = threads;
  std::mutex mutex;
  std::condition_variable ended;
  std::exception_ptr error;
  InOrder parts;
  const auto work = [&] {
    try {
      for (std::int64_t begin; (begin = next.fetch_add(piece)) < count;) {
        if (std::chrono::duration<double>(Clock::now() - start).count() > options.seconds) break;
        Survey part;
        for (std::int64_t i = begin; i < std::min(begin + piece, count); ++i, ++done)
          look_at(data, samples[static_cast<std::size_t>(i)], part);
        parts.add(begin / piece, std::move(part));
      }
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    if (--running == 0) ended.notify_all();
  };
  {
    std::vector<std::jthread> workers;
    for (int i = 0; i < threads; ++i) workers.emplace_back(work);
    std::unique_lock lock(mutex);
    while (!ended.wait_for(lock, std::chrono::milliseconds(100), [&] { return running == 0; })) {
      if (options.progress) options.progress(done);
    }
  }
  if (error) std::rethrow_exception(error);
  return parts.take();
}

std::vector<Normalised> normalised(const Survey& survey, const Config& config) {
  std::vector<Normalised> seen;
  for (std::size_t c = 0; c < survey.channels.size(); ++c) {
    const auto of = [c](const std::vector<double>& v) { return v.size() == 1 ? v[0] : v.at(c); };
    const double range = of(config.value_range), std = of(config.std);
    const ChannelValues& values = survey.channels[c];
    seen.push_back({(values.mean / range - of(config.mean)) / std, values.std() / range / std});
  }
  return seen;
}

double full_scale(kernels::DType dtype, double largest) {
  if (dtype == kernels::DType::u8) return 255;
  if (dtype == kernels::DType::f32 && largest < 0.05)
    return largest > 0 ? std::pow(10.0, std::ceil(std::log10(largest))) : 1;
  double scale = dtype == kernels::DType::u16 ? 255 : 1;
  while (scale < largest) scale = 2 * scale + 1;
  return scale;
}

}  // namespace mae
