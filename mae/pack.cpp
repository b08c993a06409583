#include "mae/pack.h"

#include <fmt/format.h>

#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/files.h"
#include "mae/dataset_formats.h"
#include "mae/packed.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

using kernels::Error;

constexpr std::size_t most_waiting = std::size_t{1} << 28;  // bytes of images that wait for their turn
constexpr std::size_t most_classes = std::size_t{1} << 18;  // of an index: engine::parse_json reads 2^19 values

/// So that the shorter side is at most `size`; the longer one is cut to a whole number, as `fit` does.
Image shrunk(Image image, int size) {
  const int shorter = std::min(image.height, image.width);
  if (size == 0 || shorter <= size) return image;
  const auto side = [&](int length) { return static_cast<int>(std::int64_t{length} * size / shorter); };
  const Crop whole{.height = image.height, .width = image.width};
  Image out = apply(image, whole, side(image.height), side(image.width));
  out.orientation = image.orientation;
  return out;
}

/// A sample, ready to be written: or why it cannot be.
struct Prepared {
  PackedEntry entry;
  std::vector<std::byte> bytes;  // pixels, then zeros up to packed_bound
  std::optional<Error> damage;
  std::exception_ptr failure;  // what is no damage to one image, such as too little memory
};

/// Samples read, shrunk and summed by threads, handed out in their order.
class Preparation {
 public:
  Preparation(const Dataset& data, const PackOptions& options) : data_(data), size_(options.size) {
    const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    for (int i = 0; i < (options.workers > 0 ? options.workers : cores); ++i)
      workers_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  }
  ~Preparation() {
    for (std::jthread& worker : workers_) worker.request_stop();
  }
  Preparation(const Preparation&) = delete;

  /// Sample 0, 1, ...; call it data.size times at most.
  Prepared next() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return waiting_.contains(turn_); });
    Prepared prepared = std::move(waiting_.extract(turn_).mapped());
    ++turn_;
    waiting_bytes_ -= prepared.bytes.size();
    room_.notify_all();
    if (prepared.failure) std::rethrow_exception(prepared.failure);
    return prepared;
  }

 private:
  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (begun_ < data_.size) {
      const std::int64_t i = begun_++;
      if (!room_.wait(lock, stop, [&] { return i == turn_ || waiting_bytes_ < most_waiting; })) return;
      lock.unlock();
      Prepared prepared = prepare(i);
      lock.lock();
      if (stop.stop_requested()) return;
      waiting_bytes_ += prepared.bytes.size();
      waiting_.emplace(i, std::move(prepared));
      ready_.notify_one();
    }
  }

  Prepared prepare(std::int64_t i) const {
    Prepared prepared;
    try {
      Image image = shrunk(data_.image(i), size_);
      prepared.entry = {.offset = 0,
                        .crc32 = static_cast<std::uint32_t>(checksum(image.pixels)),
                        .label = data_.label ? data_.label(i) : -1,
                        .height = static_cast<std::uint16_t>(image.height),
                        .width = static_cast<std::uint16_t>(image.width),
                        .orientation = static_cast<std::uint16_t>(image.orientation),
                        .shard = 0};
      prepared.bytes = std::move(image.pixels);
      prepared.bytes.resize((prepared.bytes.size() + packed_bound - 1) / packed_bound * packed_bound);
    } catch (const Error& error) {
      prepared.damage = error;
    } catch (...) {
      prepared.failure = std::current_exception();
    }
    return prepared;
  }

  const Dataset& data_;
  int size_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any room_, ready_;
  std::map<std::int64_t, Prepared> waiting_;
  std::size_t waiting_bytes_ = 0;
  std::int64_t begun_ = 0, turn_ = 0;  // samples that workers took; the next to hand out
  std::vector<std::jthread> workers_;  // last: they end before what they use
};

class Packer {
 public:
  Packer(const Dataset& data, fs::path folder, const PackOptions& options)
      : data_(data), folder_(std::move(folder)), options_(options), preparation_(data, options) {
    index_.dtype = data.dtype;
    index_.channels = data.channels;
    index_.classes = data.classes;
    index_.source_format = data.format;
    index_.source_fingerprint = data.fingerprint;
    index_.size = options.size;
    index_.fingerprint = fingerprint(fingerprint_seed, std::string_view(name_of(data.dtype)));
    index_.fingerprint = fingerprint(index_.fingerprint, static_cast<std::uint64_t>(data.channels));
  }

  Packed run() {
    for (take(); next_;) {
      if (index_.shards.size() == most_packed_shards)
        throw Error(fmt::format("more than {} shards", most_packed_shards), folder_.string(), "a larger --shard-mb");
      engine::write_atomically(packed_shard_path(folder_, index_.shards.size()).string(),
                               [&](engine::FileWriter& file) { write_shard(file); });
    }
    if (table_.empty()) throw Error("none of the images can be read", data_.path);
    const auto table = std::as_bytes(std::span(table_));
    index_.images = table_.size();
    index_.left_out = packed_.left_out.size();
    index_.table_crc32 = static_cast<std::uint32_t>(checksum(table));
    const std::string text = to_text(index_);
    write(packed_table_path(folder_), {reinterpret_cast<const char*>(table.data()), table.size()});
    write(packed_index_path(folder_), text);
    packed_.bytes += table.size() + text.size();
    return std::move(packed_);
  }

  /// Removes what was written.
  void clear() const {
    std::error_code ignored;
    for (std::size_t i = 0; i <= index_.shards.size(); ++i) fs::remove(packed_shard_path(folder_, i), ignored);
    fs::remove(packed_index_path(folder_), ignored);
    fs::remove(packed_table_path(folder_), ignored);
  }

 private:
  static void write(const fs::path& path, std::string_view text) {
    engine::write_atomically(
        path.string(), [&](engine::FileWriter& file) { file.write(text); }, text.size());
  }

  /// Gets the next sample that can be read; nothing after the last.
  void take() {
    next_.reset();
    while (!next_ && taken_ < data_.size) {
      ++taken_;
      Prepared prepared = preparation_.next();
      if (prepared.damage) leave_out(*prepared.damage);
      else next_ = std::move(prepared);
      if (options_.progress) options_.progress(packed_);
    }
  }

  void leave_out(const Error& damage) {
    packed_.left_out.push_back({taken_ - 1, damage});
    const auto count = packed_.left_out.size();
    if (static_cast<double>(count) > options_.max_damaged * static_cast<double>(data_.size))
      throw Error(fmt::format("{} of {} images cannot be read, more than --max-damaged allows; this one: {}", count,
                              data_.size, damage.fact()),
                  damage.where(), "`mae data` lists all of them: repair or remove them, or allow more");
  }

  void write_shard(engine::FileWriter& file) {
    std::uint64_t bytes = 0;
    do {
      file.write(next_->bytes.data(), next_->bytes.size());
      add(next_->entry, bytes);
      bytes += next_->bytes.size();
      packed_.bytes += next_->bytes.size();
      take();
    } while (next_ && bytes + next_->bytes.size() <= options_.shard_bytes);
    index_.shards.push_back(bytes);
    packed_.shards = index_.shards.size();
  }

  void add(PackedEntry entry, std::uint64_t offset) {
    entry.offset = offset;
    entry.shard = static_cast<std::uint16_t>(index_.shards.size());
    table_.push_back(entry);
    ++packed_.images;
    const std::uint64_t shape =
        std::uint64_t{entry.height} << 32 | std::uint64_t{entry.width} << 16 | entry.orientation;
    for (const std::uint64_t number : {std::uint64_t{entry.crc32}, static_cast<std::uint64_t>(entry.label), shape})
      index_.fingerprint = fingerprint(index_.fingerprint, number);
  }

  const Dataset& data_;
  fs::path folder_;
  const PackOptions& options_;
  PackedIndex index_;
  std::vector<PackedEntry> table_;
  Packed packed_;
  std::int64_t taken_ = 0;
  std::optional<Prepared> next_;
  Preparation preparation_;
};

}  // namespace

Packed pack(const Dataset& data, const std::string& folder, const PackOptions& options) {
  if (data.classes.size() > most_classes)
    throw Error(fmt::format("{} classes; at most {} can be packed", data.classes.size(), most_classes), data.path);
  const bool made = !fs::exists(folder);
  const engine::Descriptor held = engine::hold_folder(folder);
  if (!fs::is_empty(folder)) throw Error("the folder is not empty", folder, "another folder, or remove what is in it");
  Packer packer(data, folder, options);
  try {
    return packer.run();
  } catch (...) {
    packer.clear();
    std::error_code ignored;
    if (made) fs::remove(folder, ignored);
    throw;
  }
}

}  // namespace mae
