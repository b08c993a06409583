#include "mae/loader.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "kernels/core/check.h"
#include "kernels/core/philox.h"

namespace mae {
namespace {

constexpr std::int64_t piece = 8;       // samples that a worker takes at a time
constexpr int most_in_a_row = 100;      // damaged samples that are passed over to find one that is whole
constexpr std::size_t steps_ahead = 2;  // batches prepared while the caller uses one: bounds the memory

}  // namespace

std::vector<std::uint32_t> epoch_order(std::int64_t n, std::uint32_t seed, std::uint32_t epoch) {
  const kernels::PhiloxKey key{.seed = seed, .purpose = static_cast<std::uint32_t>(kernels::Purpose::shuffle)};
  std::vector<std::uint64_t> keyed(static_cast<std::size_t>(n));  // the index below the key makes ties ordered
  for (std::size_t i = 0; i < keyed.size(); i += 4) {
    const auto block = static_cast<std::uint32_t>(i / 4);
    const auto [w] = philox({.block = block, .subindex = 0, .sample = kernels::whole_batch, .time = epoch}, key);
    for (std::size_t j = i; j < std::min(i + 4, keyed.size()); ++j) keyed[j] = std::uint64_t{w[j - i]} << 32 | j;
  }
  std::sort(keyed.begin(), keyed.end());
  std::vector<std::uint32_t> order(keyed.size());
  std::transform(keyed.begin(), keyed.end(), order.begin(),
                 [](std::uint64_t k) { return static_cast<std::uint32_t>(k); });
  return order;
}

void append(Batch& batch, Image image, int height, int width, std::uint32_t sample, int label, double share) {
  const Image fitting = fit(std::move(image), height, width, share);
  batch.pixels.insert(batch.pixels.end(), fitting.pixels.begin(), fitting.pixels.end());
  batch.draws.insert(batch.draws.end(), {sample, 0});
  batch.labels.push_back(label);
  batch.samples.push_back(sample);
}

Taken read_or_next(const Dataset& data, std::int64_t i, std::vector<Damaged>& damaged) {
  const std::size_t first = damaged.size();
  for (int n = 0; n < most_in_a_row && n < data.size; ++n) {
    const std::int64_t sample = (i + n) % data.size;
    try {
      return {data.image(sample), sample};
    } catch (const kernels::Error& error) {
      damaged.push_back({sample, error});
    }
  }
  const kernels::Error& error = damaged[first].error;
  throw kernels::Error(error.fact() + ", and so are the " + std::to_string(damaged.size() - first - 1) + " after it",
                       error.where(), error.advice());
}

Loader::Loader(Dataset data, const LoaderOptions& options) : data_(std::move(data)), options_(options) {
  LoaderOptions& o = options_;
  if (o.batch < 1 || o.batch > data_.size || data_.size > std::numeric_limits<std::uint32_t>::max()) {
    throw kernels::Error("batch of " + std::to_string(o.batch) + " from " + std::to_string(data_.size) + " images",
                         data_.path, "choose a batch between 1 and the number of images");
  }
  if (o.count == 0) o.count = o.batch - o.first;
  if (o.first < 0 || o.count < 1 || o.first + o.count > o.batch || o.height < 1 || o.width < 1 || o.workers < 0) {
    throw kernels::Error("slice [" + std::to_string(o.first) + ", " + std::to_string(o.first + o.count) +
                             ") of a batch of " + std::to_string(o.batch) + ", images of " + std::to_string(o.height) +
                             " x " + std::to_string(o.width) + ", " + std::to_string(o.workers) +
                             " workers: impossible",
                         "loader", "check the batch, the image size and the workers");
  }
  const bool sliced = o.first > 0 || o.count < o.batch;
  if (o.part < 0 || (o.part > 0 && (o.batch % o.part != 0 || sliced))) {
    throw kernels::Error("parts of " + std::to_string(o.part) + " do not make a batch of " + std::to_string(o.batch) +
                             (sliced ? " that is sliced" : ""),
                         "loader", "a part that divides the batch, and no slices");
  }
  check_augmentation(o.augmentation, data_.channels, data_.dtype, o.height, o.width);
  sample_bytes_ = static_cast<std::size_t>(o.height) * static_cast<std::size_t>(o.width) *
                  static_cast<std::size_t>(data_.channels) * size_of(data_.dtype);
  for (int i = 0; i < o.workers; ++i) workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
}

Loader::~Loader() {
  for (std::jthread& worker : workers_) worker.request_stop();  // all at once; each then ends after the piece in hand
}

double Loader::samples_per_step() const {
  return options_.part == 0 ? static_cast<double>(options_.batch)
                            : static_cast<double>(data_.size) / steps_per_epoch().value();
}

Batch Loader::get(std::int64_t step) {
  const auto start = std::chrono::steady_clock::now();
  std::shared_ptr<Slot> slot;
  if (workers_.empty()) {
    slot = make_slot(step);
    fill(*slot, 0, slot->size);
  } else {
    schedule(step);
    std::unique_lock lock(mutex_);
    slot = slots_.front();
    ready_.wait(lock, [&] { return slot->done == slot->size; });
    slots_.pop_front();
  }
  wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  // out of the slot, which a worker may be the last to let go of: an exception has one thread at a time
  if (const std::exception_ptr error = std::exchange(slot->error, nullptr)) std::rethrow_exception(error);
  count_damaged(*slot);
  return std::move(slot->batch);
}

void Loader::count_damaged(Slot& slot) {
  std::sort(slot.damaged.begin(), slot.damaged.end(), [](const auto& a, const auto& b) { return a.sample < b.sample; });
  for (Damaged& d : slot.damaged) {
    if (damaged_.insert(d.sample).second) found_.push_back(std::move(d));
  }
  if (static_cast<double>(damaged_.size()) <= options_.max_damaged * static_cast<double>(data_.size)) return;
  const kernels::Error error = found_.empty() ? kernels::Error("", data_.path) : found_.front().error;
  throw kernels::Error(std::to_string(damaged_.size()) + " of " + std::to_string(data_.size) +
                           " images cannot be read, more than --max-damaged allows; this one: " + error.fact(),
                       error.where(), "`mae data` lists all of them: repair or remove them, or allow more");
}

std::shared_ptr<Loader::Slot> Loader::make_slot(std::int64_t step) {
  const LoaderOptions& o = options_;
  const engine::StepsPerEpoch pace = steps_per_epoch();
  auto slot = std::make_shared<Slot>();
  Batch& batch = slot->batch;
  slot->step = batch.step = step;
  batch.first = o.first;
  if (o.part == 0) {
    const std::int64_t begin = step % pace.parts * o.batch + o.first;
    add_samples(batch, step / pace.parts, begin, begin + o.count);
  }
  for (std::int64_t part = step * pace.parts_of_step; o.part > 0 && part < (step + 1) * pace.parts_of_step; ++part) {
    const std::int64_t begin = part % pace.parts * o.part, end = std::min(begin + o.part, data_.size);
    add_samples(batch, part / pace.parts, begin, end);
    batch.parts.push_back(end - begin);
  }
  slot->size = batch.size();
  const auto count = static_cast<std::size_t>(batch.size());
  batch.pixels.resize(count * sample_bytes_);
  batch.labels.resize(count);
  batch.samples.resize(count);
  return slot;
}

/// Samples [begin, end) in the order of an epoch.
void Loader::add_samples(Batch& batch, std::int64_t epoch, std::int64_t begin, std::int64_t end) {
  if (epoch != order_epoch_) {
    order_ = epoch_order(data_.size, options_.seed, static_cast<std::uint32_t>(epoch));
    order_epoch_ = epoch;
  }
  for (std::int64_t i = begin; i < end; ++i) {
    batch.draws.push_back(order_[static_cast<std::size_t>(i)]);
    batch.draws.push_back(static_cast<std::uint32_t>(epoch));
  }
}

/// Puts `step` in front and the steps after it behind. Slots that a jump leaves over die with their last worker.
void Loader::schedule(std::int64_t step) {
  std::int64_t next = step;
  std::size_t missing = steps_ahead + 1;
  {
    const std::lock_guard lock(mutex_);
    while (!slots_.empty() && slots_.front()->step != step) slots_.pop_front();
    if (!slots_.empty()) next = slots_.back()->step + 1;
    missing -= slots_.size();
  }
  for (; missing > 0; --missing, ++next) {
    auto slot = make_slot(next);  // only this thread makes slots: the lock is not needed for the work in it
    const std::lock_guard lock(mutex_);
    slots_.push_back(std::move(slot));
    work_.notify_all();
  }
}

void Loader::work(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const auto open = [&] {
      return std::find_if(slots_.begin(), slots_.end(), [&](const auto& s) { return s->taken < s->size; });
    };
    if (!work_.wait(lock, stop, [&] { return open() != slots_.end(); })) return;
    const std::shared_ptr<Slot> slot = *open();
    const std::int64_t begin = slot->taken, end = std::min(begin + piece, slot->size);
    slot->taken = end;
    lock.unlock();
    fill(*slot, begin, end);
    lock.lock();
  }
}

void Loader::fill(Slot& slot, std::int64_t begin, std::int64_t end) {
  std::exception_ptr error;
  std::vector<Damaged> damaged;
  std::int64_t i = begin;
  try {
    for (; i < end; ++i) fill_sample(slot.batch, static_cast<std::size_t>(i), damaged);
  } catch (...) {
    error = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  if (error && (!slot.error || i < slot.error_at)) {
    slot.error = std::move(error);
    slot.error_at = i;
  }
  slot.damaged.insert(slot.damaged.end(), damaged.begin(), damaged.end());
  slot.done += end - begin;
  if (slot.done == slot.size) ready_.notify_all();
}

void Loader::fill_sample(Batch& batch, std::size_t i, std::vector<Damaged>& damaged) const {
  const DrawOf draw{.seed = options_.seed, .sample = batch.draws[2 * i], .epoch = batch.draws[2 * i + 1]};
  std::byte* out = batch.pixels.data() + i * sample_bytes_;
  std::int64_t taken = draw.sample;
  try {
    if (data_.view) {
      deliver(data_.view(taken), draw, out);
    } else {
      Taken read = read_or_next(data_, taken, damaged);
      taken = read.sample;
      deliver(view_of(read.image), draw, out);
      recycle(std::move(read.image));
    }
    batch.labels[i] = data_.label ? data_.label(taken) : -1;
    batch.samples[i] = static_cast<std::uint32_t>(taken);
  } catch (const kernels::Error&) {
    throw;  // names the file
  } catch (const std::exception& e) {
    throw kernels::Error(e.what(), name_of(data_, draw.sample), "check the data set");
  }
}

void Loader::deliver(const ImageView& image, const DrawOf& draw, std::byte* out) const {
  const LoaderOptions& o = options_;
  if (image.channels != data_.channels || image.dtype != data_.dtype) {
    throw std::runtime_error("the image is " + std::string(name_of(image.dtype)) + " with " +
                             std::to_string(image.channels) + " channels, unlike the data set");
  }
  augment(image, o.augmentation, draw, o.height, o.width, out);
}

}  // namespace mae
