#include "mae/input_slots.h"

#include <cstring>

#include "kernels/core/check.h"

namespace mae {
namespace {

engine::Buffer upload_table(kernels::Stream& stream, const std::vector<double>& values, kernels::DType type) {
  engine::Buffer buffer(stream.device(), values.size() * kernels::size_of(type));
  const std::vector<float> narrow(values.begin(), values.end());
  const void* source = type == kernels::DType::f64 ? static_cast<const void*>(values.data()) : narrow.data();
  stream.copy(buffer.data(), source, values.size() * kernels::size_of(type));
  stream.synchronize();
  return buffer;
}

// Bytes of the pixels of `capacity` samples, rounded up to where the draws can stand.
std::size_t pixel_bytes(const kernels::Shape& image, kernels::DType type, std::int64_t capacity) {
  constexpr std::size_t block = 512;
  const std::size_t bytes = static_cast<std::size_t>(capacity * image.count()) * kernels::size_of(type);
  return (bytes + block - 1) / block * block;
}

constexpr std::size_t draw_bytes = 2 * sizeof(std::uint32_t);  // of a sample

kernels::Shape image_of(const Config& c) { return {c.image_height, c.image_width, c.channels}; }

}  // namespace

double input_bytes(const Config& config, kernels::DType pixels, kernels::DType compute, std::int64_t capacity,
                   int slots) {
  const double slot = static_cast<double>(pixel_bytes(image_of(config), pixels, capacity)) +
                      static_cast<double>(static_cast<std::size_t>(capacity) * draw_bytes);
  return slots * slot + 2.0 * config.channels * static_cast<double>(kernels::size_of(kernels::statistics_of(compute)));
}

/// Pixels, then draws, in one block on the device and in one of the same layout on the host.
struct InputSlots::Slot {
  Slot(const kernels::Device& device, std::size_t bytes)
      : memory(device, bytes), staging(engine::host_buffer(device, bytes)), filled(device), released(device) {}

  engine::Buffer memory, staging;
  kernels::Event filled, released;
};

InputSlots::InputSlots(kernels::Stream& stream, const Config& config, kernels::DType pixels, kernels::DType compute,
                       std::int64_t capacity, int slots)
    : stream_(stream),
      copies_(std::make_unique<kernels::Stream>(stream.device())),
      image_(image_of(config)),
      pixel_type_(pixels),
      table_type_(kernels::statistics_of(compute)),
      capacity_(capacity),
      draws_at_(pixel_bytes(image_, pixels, capacity)) {
  const PixelScaling scaling = pixel_scaling(config);
  scale_ = upload_table(stream, scaling.scale, table_type_);
  shift_ = upload_table(stream, scaling.shift, table_type_);
  for (int i = 0; i < slots; ++i)
    slots_.push_back(
        std::make_unique<Slot>(stream.device(), draws_at_ + static_cast<std::size_t>(capacity) * draw_bytes));
}

InputSlots::~InputSlots() = default;

int InputSlots::fill(const Batch& batch, std::int64_t first, std::int64_t count) {
  const std::size_t sample = static_cast<std::size_t>(image_.count()) * kernels::size_of(pixel_type_),
                    at = static_cast<std::size_t>(first), some = static_cast<std::size_t>(count);
  const auto samples = static_cast<std::int64_t>(batch.draws.size() / 2);
  if (batch.pixels.size() != static_cast<std::size_t>(samples) * sample || first + count > samples ||
      count > capacity_) {
    throw kernels::Error("images of other sizes, channels or pixel type than the model was planned for", "input slot",
                         "training and validation images of one kind");
  }
  const int number = advance();
  ++filled_;
  Slot& slot = *slots_[static_cast<std::size_t>(number)];
  auto *host = static_cast<std::byte*>(slot.staging.data()), *device = static_cast<std::byte*>(slot.memory.data());
  slot.filled.synchronize();  // of its last turn: the staging memory is free again
  std::memcpy(host, batch.pixels.data() + at * sample, some * sample);
  std::memcpy(host + draws_at_, batch.draws.data() + at * 2, some * draw_bytes);
  copies_->wait(slot.released);
  copies_->copy(device, host, some * sample);
  copies_->copy(device + draws_at_, host + draws_at_, some * draw_bytes);
  slot.filled.record(*copies_);
  stream_.wait(slot.filled);
  return number;
}

int InputSlots::next_as_it_is() {
  if (filled_ < slots_.size()) throw kernels::Error("no images lie there yet", "input slot", "fill every slot first");
  return advance();
}

int InputSlots::advance() {
  const std::size_t number = next_;
  next_ = (next_ + 1) % slots_.size();
  return static_cast<int>(number);
}

void InputSlots::release(int slot) { slots_[static_cast<std::size_t>(slot)]->released.record(stream_); }

Images InputSlots::images(int slot, std::int64_t count) const {
  void* pixels = slots_[static_cast<std::size_t>(slot)]->memory.data();
  return {.pixels = kernels::view_of(pixels, pixel_type_, {count, image_[0], image_[1], image_[2]}),
          .scale = scale_.view(table_type_, {image_[2]}),
          .shift = shift_.view(table_type_, {image_[2]})};
}

View InputSlots::draws(int slot, std::int64_t count) const {
  auto* memory = static_cast<std::byte*>(slots_[static_cast<std::size_t>(slot)]->memory.data());
  return kernels::view_of(memory + draws_at_, kernels::DType::u32, {count, 2});
}

}  // namespace mae
