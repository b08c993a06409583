#include "mae/input_slots.h"

#include <cstring>

#include "kernels/core/check.h"

namespace mae {
namespace {

kernels::Shape image_of(const Config& c) { return {c.image_height, c.image_width, c.channels}; }

constexpr ColumnShape draw_shape{kernels::DType::u32, 2};

/// Where the parts of a slot begin, each on a bound of its own: the draws, every column, the end.
std::vector<std::size_t> parts_of(const Config& config, const SlotOptions& o) {
  constexpr std::size_t block = 512;
  const auto rounded = [](std::size_t bytes) { return (bytes + block - 1) / block * block; };
  const auto capacity = static_cast<std::size_t>(o.capacity);
  std::vector<std::size_t> parts{
      rounded(capacity * static_cast<std::size_t>(image_of(config).count()) * kernels::size_of(o.pixels))};
  parts.push_back(parts.back() + rounded(capacity * draw_shape.bytes()));
  for (const ColumnShape& column : o.columns) parts.push_back(parts.back() + rounded(capacity * column.bytes()));
  return parts;
}

}  // namespace

double input_bytes(const Config& config, const SlotOptions& o, int slots) {
  return slots * static_cast<double>(parts_of(config, o).back()) +
         2.0 * config.channels * static_cast<double>(kernels::size_of(kernels::statistics_of(o.compute)));
}

/// Pixels, draws and columns in one block on the device and in one of the same layout on the host.
struct InputSlots::Slot {
  Slot(const kernels::Device& device, std::size_t bytes)
      : memory(device, bytes), staging(engine::host_buffer(device, bytes)), filled(device), released(device) {}

  engine::Buffer memory, staging;
  kernels::Event filled, released;
};

InputSlots::InputSlots(kernels::Stream& stream, const Config& config, const SlotOptions& options, int slots)
    : stream_(stream),
      copies_(std::make_unique<kernels::Stream>(stream.device())),
      image_(image_of(config)),
      pixel_type_(options.pixels),
      table_type_(kernels::statistics_of(options.compute)),
      capacity_(options.capacity),
      columns_(options.columns),
      parts_(parts_of(config, options)) {
  const PixelScaling scaling = pixel_scaling(config);
  scale_ = engine::upload_as(table_type_, stream, scaling.scale);
  shift_ = engine::upload_as(table_type_, stream, scaling.shift);
  for (int i = 0; i < slots; ++i) slots_.push_back(std::make_unique<Slot>(stream.device(), parts_.back()));
}

InputSlots::~InputSlots() = default;

int InputSlots::fill(const Batch& batch, std::int64_t first, std::int64_t count, const std::vector<Column>& columns) {
  const std::size_t sample = static_cast<std::size_t>(image_.count()) * kernels::size_of(pixel_type_),
                    at = static_cast<std::size_t>(first), some = static_cast<std::size_t>(count);
  const std::int64_t samples = batch.size();
  if (batch.pixels.size() != static_cast<std::size_t>(samples) * sample || first + count > samples ||
      count > capacity_) {
    throw kernels::Error("images of other sizes, channels or pixel type than the model was planned for", "input slot",
                         "training and validation images of one kind");
  }
  const int number = advance();
  ++filled_;
  Slot& slot = *slots_[static_cast<std::size_t>(number)];
  slot.filled.synchronize();  // of its last turn: the staging memory is free again
  copies_->wait(slot.released);
  const auto send = [&](std::size_t part, const void* rows, std::size_t row_bytes) {
    auto *host = static_cast<std::byte*>(slot.staging.data()) + part,
         *device = static_cast<std::byte*>(slot.memory.data()) + part;
    std::memcpy(host, static_cast<const std::byte*>(rows) + at * row_bytes, some * row_bytes);
    copies_->copy(device, host, some * row_bytes);
  };
  send(0, batch.pixels.data(), sample);
  send(parts_[0], batch.draws.data(), draw_shape.bytes());
  for (std::size_t i = 0; i < columns.size(); ++i) send(parts_[1 + i], columns[i].data(), columns_[i].bytes());
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
  return kernels::view_of(memory + parts_[0], draw_shape.dtype, {count, draw_shape.width});
}

View InputSlots::column(int slot, std::size_t i, std::int64_t count) const {
  auto* memory = static_cast<std::byte*>(slots_[static_cast<std::size_t>(slot)]->memory.data());
  return kernels::view_of(memory + parts_[1 + i], columns_[i].dtype, {count, columns_[i].width});
}

double InputSlots::bytes() const {
  return static_cast<double>(slots_.size() * parts_.back()) +
         2.0 * static_cast<double>(image_[2]) * static_cast<double>(kernels::size_of(table_type_));
}

}  // namespace mae
