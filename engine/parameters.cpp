#include "engine/parameters.h"

#include <utility>

#include "kernels/core/check.h"
#include "kernels/elementwise.h"

namespace engine {
namespace {

constexpr std::int64_t segment_alignment = 256;  // elements: 512 bytes of bf16

}  // namespace

Parameter Parameters::add(const std::string& name, const Shape& shape, Trainable trainable) {
  if (!by_name_.emplace(name, static_cast<int>(segments_.size())).second)
    throw kernels::Error("this parameter exists already", name);
  segments_.push_back({.name = name, .shape = shape, .offset = size_, .trainable = trainable});
  size_ += (shape.count() + segment_alignment - 1) / segment_alignment * segment_alignment;
  written_.push_back(false);
  return {this, static_cast<int>(segments_.size()) - 1};
}

void Parameters::reserve(kernels::Stream& stream, Purpose purpose) {
  range_ = find_range();
  if (stream.dry()) return;
  const auto make = [&](Buffer& buffer, DType type, std::int64_t elements) {
    buffer = Buffer(stream.device(), static_cast<std::size_t>(elements) * kernels::size_of(type));
    launch(stream, kernels::Fill{.out = buffer.view(type, {elements}), .value = 0});
  };
  make(master_, master_dtype(), size_);
  if (dtype_ == DType::bf16) make(compute_, DType::bf16, size_);
  if (purpose == Purpose::inference || range_.elements == 0) return;
  for (Buffer* buffer : {&gradient_, &moment1_, &moment2_}) make(*buffer, master_dtype(), range_.elements);
}

Parameter Parameters::at(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) throw kernels::Error("the model has no parameter of this name", name);
  return {this, found->second};
}

std::int64_t Parameters::count() const {
  std::int64_t n = 0;
  for (const Segment& segment : segments_) n += segment.shape.count();
  return n;
}

std::int64_t Parameters::trainable_count() const {
  std::int64_t n = 0;
  for (const Segment& segment : segments_) n += segment.trainable == Trainable::yes ? segment.shape.count() : 0;
  return n;
}

TrainedRange Parameters::find_range() const {
  int first = -1, last = -1;
  for (int i = 0; i < static_cast<int>(segments_.size()); ++i) {
    if (segments_[static_cast<std::size_t>(i)].trainable == Trainable::no) continue;
    if (first < 0) first = i;
    last = i;
  }
  if (first < 0) return {};
  const auto behind = static_cast<std::size_t>(last) + 1;
  const std::int64_t begin = segments_[static_cast<std::size_t>(first)].offset,
                     end = behind < segments_.size() ? segments_[behind].offset : size_;
  return {.first = first, .segments = last - first + 1, .offset = begin, .elements = end - begin};
}

View Parameters::part(const View& flat, int segment, const Shape& shape) const {
  const Segment& s = segments_[static_cast<std::size_t>(segment)];
  std::int64_t at = s.offset;
  if (flat.shape.count() != size_) {
    if (segment < range_.first || segment >= range_.first + range_.segments)
      throw kernels::Error("this parameter is not trained", s.name);
    at -= range_.offset;
  }
  const std::int64_t bytes = at * static_cast<std::int64_t>(kernels::size_of(flat.dtype));
  return kernels::view_of(flat.data ? flat.as<std::byte>() + bytes : nullptr, flat.dtype, shape);
}

void Parameters::refresh_compute(kernels::Stream& stream) {
  if (dtype_ == DType::bf16) launch(stream, kernels::Cast{.x = master(), .out = compute()});
}

void Parameters::swap_values(kernels::Stream& stream, Parameters& other) {
  if (other.size_ != size_ || other.master_dtype() != master_dtype())
    throw kernels::Error("these parameters have another layout", "swap of values");
  std::swap(master_, other.master_);
  refresh_compute(stream);
}

void Parameters::begin_gradients() { written_.assign(segments_.size(), false); }

void Parameters::finish_gradients(kernels::Stream& stream) {
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    if (written_[i] || segments_[i].trainable == Trainable::no) continue;
    launch(stream, kernels::Fill{.out = part(gradient(), static_cast<int>(i), segments_[i].shape), .value = 0});
  }
}

View Parameter::value(const Shape& shape) const {
  return owner->part(owner->dtype() == DType::bf16 ? owner->compute() : owner->master(), index, shape);
}

View Parameter::value() const { return value(owner->segments()[static_cast<std::size_t>(index)].shape); }

bool Parameter::trainable() const {
  return owner->segments()[static_cast<std::size_t>(index)].trainable == Trainable::yes;
}

View Parameter::gradient(const Shape& shape) const { return owner->part(owner->gradient(), index, shape); }

bool Parameter::written() const { return owner->written_[static_cast<std::size_t>(index)]; }

kernels::Write Parameter::take_write_mode() const {
  const auto i = static_cast<std::size_t>(index);
  const bool first = !owner->written_[i];
  owner->written_[i] = true;
  return first ? kernels::Write::overwrite : kernels::Write::accumulate;
}

}  // namespace engine
