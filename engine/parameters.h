// All parameters of a model in flat buffers, with one table of segments in forward order.
//
// Five buffers: master (f32; f64 in f64 training), gradient and two moments of the same type, and in bf16 training a
// bf16 copy that the kernels compute with. Gradient and moments have the trained range alone: what is frozen before and
// behind it costs no memory. Segments start on 512-byte bounds of the bf16 copy; the padding between them is zero and
// stays zero. An optimizer, a checkpoint or an all-reduce is a walk over this table.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/memory.h"
#include "kernels/core/launch.h"

namespace engine {

enum class Trainable { yes, no };
enum class Decay { yes, no };

struct Segment {
  std::string name;         // the official state-dict key: "blocks.0.attn.qkv.weight"
  Shape shape;              // PyTorch's: linear weights are (out, in)
  std::int64_t offset = 0;  // elements, from the start of the masters
  Trainable trainable = Trainable::yes;
  Decay decay = Decay::yes;
  double lr_scale = 1;  // layer-wise decay; 0 freezes
};

/// The segments from the first to the last that is trained, and their elements among the masters.
struct TrainedRange {
  int first = 0, segments = 0;
  std::int64_t offset = 0, elements = 0;

  View of(const View& flat) const {
    auto* data = static_cast<std::byte*>(flat.data);
    const std::int64_t bytes = offset * static_cast<std::int64_t>(kernels::size_of(flat.dtype));
    return kernels::view_of(data ? data + bytes : nullptr, flat.dtype, {elements});
  }
};

enum class Purpose { training, inference };

class Parameters;

/// A handle on one segment, small enough to copy; values follow the buffers of its owner.
struct Parameter {
  Parameters* owner = nullptr;
  int index = -1;

  explicit operator bool() const { return owner != nullptr; }
  View value() const;                    // in the compute dtype, in the shape of the segment
  View value(const Shape& shape) const;  // the same elements in another shape
  bool trainable() const;
  /// Where backward writes, and how: the first write of a step overwrites, later ones accumulate.
  View gradient(const Shape& shape) const;
  kernels::Write take_write_mode() const;
  /// Whether its gradient has been written in this step.
  bool written() const;
};

class Parameters {
 public:
  explicit Parameters(DType dtype) : dtype_(dtype) {}
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  Parameter add(const std::string& name, const Shape& shape, Trainable trainable = Trainable::yes);

  /// Allocates the buffers, zeroed, on a dry stream none; `inference` has no gradient and moments. Adding and freezing
  /// end here.
  void reserve(kernels::Stream& stream, Purpose purpose);

  const std::vector<Segment>& segments() const { return segments_; }
  std::vector<Segment>& segments() { return segments_; }
  Parameter at(const std::string& name);  // throws kernels::Error naming the key
  std::int64_t count() const;             // elements of all segments, without padding
  std::int64_t trainable_count() const;
  std::int64_t flat_size() const { return size_; }
  /// As it was when reserve() was called; empty before, and where nothing is trained.
  const TrainedRange& trained_range() const { return range_; }

  DType dtype() const { return dtype_; }
  DType master_dtype() const { return kernels::statistics_of(dtype_); }
  View master() const { return kernels::view_of(master_.data(), master_dtype(), {size_}); }
  View compute() const { return dtype_ == DType::bf16 ? kernels::view_of(compute_.data(), dtype_, {size_}) : View{}; }
  View gradient() const { return trained(gradient_); }  // (elements of the trained range), as both moments
  View moment1() const { return trained(moment1_); }
  View moment2() const { return trained(moment2_); }
  /// What belongs to a segment, of any of these five. Throws kernels::Error where a segment outside of the trained
  /// range is asked of the last three.
  View part(const View& flat, int segment, const Shape& shape) const;

  /// Makes the bf16 copy follow the masters; nothing to do in f32 and f64.
  void refresh_compute(kernels::Stream& stream);
  /// Exchanges the master values with those of parameters of the same layout. Not while a captured step may be
  /// replayed.
  void swap_values(kernels::Stream& stream, Parameters& other);
  /// From now on the first gradient of each segment overwrites.
  void begin_gradients();
  /// Zeroes the gradients of trainable segments that nothing has written.
  void finish_gradients(kernels::Stream& stream);

 private:
  friend struct Parameter;
  View trained(const Buffer& buffer) const {
    return kernels::view_of(buffer.data(), master_dtype(), {range_.elements});
  }
  TrainedRange find_range() const;

  DType dtype_;
  std::vector<Segment> segments_;
  std::map<std::string, int> by_name_;
  std::vector<bool> written_;
  std::int64_t size_ = 0;
  TrainedRange range_;
  Buffer master_, gradient_, moment1_, moment2_, compute_;
};

}  // namespace engine
