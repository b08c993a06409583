// Sample order and batches, ahead of time.
//
// Order:    epoch e goes through the samples sorted by key[i] = Philox word, key (seed, shuffle), counter
//           (i, 0, 2^32 - 1, e), ties by index. Steps are numbered through all epochs. The last samples of an epoch
//           that fill no whole batch are left out; or, where an epoch is cut into parts, the last part is short, and
//           a batch takes so many parts one behind another, across epochs.
// Damage:   a sample that cannot be read is replaced by the next one that can (i + 1, ..., after the last 0), with the
//           draws of the position it stands in for. Each is handed out once; more than a share of them is an error.
// Promise:  pixels, labels and order depend only on (seed, epoch, sample): never on workers, on how a batch is cut into
//           slices, or on the steps that were asked for before. A resumed run just asks for a later step.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <thread>
#include <utility>

#include "engine/schedule.h"
#include "kernels/core/check.h"
#include "mae/augment.h"
#include "mae/dataset.h"

namespace mae {

/// Memory on a cache-line bound, where vector loads and copies to a device are fastest. New elements of a vector are
/// not cleared: who made it writes them all.
template <class T>
struct CacheAligned {
  using value_type = T;
  static constexpr std::align_val_t bound{64};

  CacheAligned() = default;
  template <class U>
  CacheAligned(const CacheAligned<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), bound)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, bound); }
  template <class U>
  void construct(U* p) {
    ::new (static_cast<void*>(p)) U;
  }
  template <class U, class... Arguments>
  void construct(U* p, Arguments&&... arguments) {
    ::new (static_cast<void*>(p)) U(std::forward<Arguments>(arguments)...);
  }
  bool operator==(const CacheAligned&) const = default;
};

/// B is the loader's slice of the global batch.
struct Batch {
  std::vector<std::byte, CacheAligned<std::byte>> pixels;  // (B, height, width, channels), the data set's dtype
  std::vector<std::uint32_t> draws;                        // (B, 2) sample index, epoch: what random draws are keyed by
  std::vector<std::int32_t> labels;                        // (B) -1: none
  std::vector<std::uint32_t> samples;                      // (B) that were read: of the draws, but for damaged ones
  std::vector<std::int64_t> parts;                         // samples of each; empty: the batch is whole
  std::int64_t step = 0, first = 0;                        // of the run; where in the global batch its samples begin

  std::int64_t size() const { return static_cast<std::int64_t>(draws.size() / 2); }  // B
};

/// Appends one image without augmentation, `fit` to height x width by `share`. Its draws are those of `sample` in epoch
/// 0, so that masks stay the same from call to call.
void append(Batch& batch, Image image, int height, int width, std::uint32_t sample, int label = -1, double share = 1);

/// A permutation of 0 .. n - 1.
std::vector<std::uint32_t> epoch_order(std::int64_t n, std::uint32_t seed, std::uint32_t epoch);

struct Damaged {
  std::int64_t sample = 0;
  kernels::Error error;  // of the attempt to read it; where: its file
};

struct Taken {
  Image image;
  std::int64_t sample = 0;  // the one that was read
};

/// Sample i, or the next one that can be read; adds those that cannot to `damaged`. Throws the first's error where a
/// hundred in a row cannot, and passes on what is no kernels::Error.
Taken read_or_next(const Dataset& data, std::int64_t i, std::vector<Damaged>& damaged);

struct LoaderOptions {
  std::uint32_t seed = 0;
  std::int64_t batch = 0;  // global batch of one step
  std::int64_t part = 0;   // samples of a part, batch / part of which make a batch; 0: no parts, samples are left out
  int height = 0, width = 0;  // of what is delivered
  Augmentation augmentation{};
  int workers = 1;                    // threads; 0: get() does the work itself
  double max_damaged = 0.01;          // share of the data set that may be unreadable
  std::int64_t first = 0, count = 0;  // samples [first, first + count) of each batch; count 0: all that follow
};

/// Steps of an epoch over so many samples. `part`: as LoaderOptions has it.
constexpr engine::StepsPerEpoch steps_per_epoch(std::int64_t samples, std::int64_t batch, std::int64_t part = 0) {
  return part == 0 ? engine::StepsPerEpoch(samples / batch)
                   : engine::StepsPerEpoch((samples + part - 1) / part, batch / part);
}

class Loader {
 public:
  /// Throws kernels::Error for a batch larger than the data set, parts that do not divide it, a slice outside the batch
  /// or of one that is made of parts, or an augmentation that these images cannot have.
  Loader(Dataset data, const LoaderOptions& options);
  ~Loader();  // waits for at most a few images a worker
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The batch of a step, 0 <= step. Fast for the step after the last one, correct for any. Throws here, in every run
  /// at the same step, what goes wrong in a worker, and where more than max_damaged of the samples are damaged. Call
  /// from one thread.
  Batch get(std::int64_t step);

  /// The damaged samples that get() met since the last call, each once in the life of the loader.
  std::vector<Damaged> take_damaged() { return std::exchange(found_, {}); }

  engine::StepsPerEpoch steps_per_epoch() const {
    return mae::steps_per_epoch(data_.size, options_.batch, options_.part);
  }
  /// Samples of the part that ends an epoch; 0: it is whole, or there are no parts.
  std::int64_t short_part() const { return options_.part == 0 ? 0 : data_.size % options_.part; }
  double samples_per_step() const;
  const Dataset& dataset() const { return data_; }

  /// Seconds that get() has spent so far: what training lost to the data.
  double wait_seconds() const { return wait_seconds_; }

 private:
  /// A batch in the making. Workers take samples from the front; whoever writes the last one makes it ready.
  struct Slot {
    std::int64_t step = 0, size = 0, taken = 0, done = 0;  // samples
    Batch batch;
    std::vector<Damaged> damaged;
    std::exception_ptr error;
    std::int64_t error_at = 0;  // the sample of the batch that `error` is about
  };

  std::shared_ptr<Slot> make_slot(std::int64_t step);
  void add_samples(Batch& batch, std::int64_t epoch, std::int64_t begin, std::int64_t end);
  void schedule(std::int64_t step);
  void work(const std::stop_token& stop);
  void fill(Slot& slot, std::int64_t begin, std::int64_t end);
  void fill_sample(Batch& batch, std::size_t i, std::vector<Damaged>& damaged) const;
  void deliver(const ImageView& image, const DrawOf& draw, std::byte* out) const;
  void count_damaged(Slot& slot);

  Dataset data_;
  LoaderOptions options_;
  std::size_t sample_bytes_ = 0;
  double wait_seconds_ = 0;
  std::int64_t order_epoch_ = -1;
  std::vector<std::uint32_t> order_;  // of order_epoch_
  std::set<std::int64_t> damaged_;    // samples met so far
  std::vector<Damaged> found_;        // not handed out yet

  std::mutex mutex_;  // guards slots_ and, in them, all but the pixels and labels of taken samples
  std::condition_variable_any work_, ready_;
  std::deque<std::shared_ptr<Slot>> slots_;  // consecutive steps, the next one wanted in front
  std::vector<std::jthread> workers_;        // last: they end before what they use
};

}  // namespace mae
