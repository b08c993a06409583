#include "bench/operands.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/core/philox.h"
#include "kernels/cpu/parallel.h"

namespace bench {
namespace {

using kernels::bf16;

constexpr std::size_t alignment = 512, least_sets = 4, most_sets = 64;
constexpr std::int64_t pattern_length = (std::int64_t{1} << 18) + 3, chunk = std::int64_t{1} << 16;

std::size_t aligned(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

/// f(T{}) with the type of an element.
template <class F>
void visit_any(DType t, F&& f) {
  if (t == DType::bf16) return f(bf16{});
  if (t == DType::i32) return f(std::int32_t{});
  if (t == DType::u32) return f(std::uint32_t{});
  kernels::visit_pixel(t, f);
}

/// N(0, 1), by Box and Muller. It is repeated over a whole operand: drawing 10^9 numbers takes minutes.
const std::vector<float>& pattern() {
  static const std::vector<float> values = [] {
    std::vector<float> v(static_cast<std::size_t>(pattern_length));
    const kernels::PhiloxKey key{.seed = 0, .purpose = static_cast<std::uint32_t>(kernels::Purpose::test)};
    kernels::cpu::parallel_for(pattern_length, [&](std::int64_t i) {
      const kernels::PhiloxWords w =
          kernels::philox({.block = static_cast<std::uint32_t>(i), .subindex = 2, .sample = 0, .time = 0}, key);
      v[static_cast<std::size_t>(i)] = static_cast<float>(std::sqrt(-2 * std::log(1 - kernels::uniform(w.w[0]))) *
                                                          std::cos(6.283185307179586 * kernels::uniform(w.w[1])));
    });
    return v;
  }();
  return values;
}

/// `bytes` of memory become repetitions of `unit`, by copies within the device that double in length.
void repeat(Stream& stream, void* memory, std::size_t bytes, const void* unit, std::size_t unit_bytes) {
  auto* to = static_cast<std::byte*>(memory);
  std::size_t done = std::min(bytes, unit_bytes);
  stream.copy(to, unit, done);
  while (done < bytes) {
    const std::size_t more = std::min(done, bytes - done);
    stream.copy(to + done, to, more);
    done += more;
  }
  stream.synchronize();  // the unit may go
}

/// The pattern in a type, from its `start`th value on; integers are in [0, 200).
std::vector<std::byte> pattern_of(DType type, std::int64_t count, std::size_t start) {
  const std::vector<float>& normal = pattern();
  const std::size_t n = static_cast<std::size_t>(std::min(count, pattern_length));
  std::vector<std::byte> bytes(n * kernels::size_of(type));
  visit_any(type, [&]<class T>(T) {
    auto* to = reinterpret_cast<T*>(bytes.data());
    for (std::size_t i = 0; i < n; ++i) {
      const float value = normal[(start + i) % normal.size()];
      if (kernels::is_floating(type)) to[i] = T(value);
      else to[i] = T(static_cast<float>(static_cast<std::int32_t>(std::fabs(value) * 1e4f) % 200));
    }
  });
  return bytes;
}

/// Element by element from one type to another, both without gaps or both with.
template <class From, class To>
void convert(const From* from, To* to, std::int64_t count) {
  kernels::cpu::parallel_for((count + chunk - 1) / chunk, [=](std::int64_t c) {
    for (std::int64_t i = c * chunk, end = std::min(count, i + chunk); i < end; ++i) to[i] = To(from[i]);
  });
}

}  // namespace

std::size_t cache_bytes(const Device& device) {
  constexpr std::size_t mib = std::size_t{1} << 20;
  if (device.kind == DeviceKind::cuda) return 60 * mib;  // an H100 has 50
  const long last_level = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return std::clamp(last_level > 0 ? static_cast<std::size_t>(last_level) : 32 * mib, 8 * mib, 128 * mib);
}

std::shared_ptr<void> device_memory(const Device& device, std::size_t bytes) {
  return {kernels::allocate(device, std::max(bytes, alignment)), [device](void* p) { kernels::release(device, p); }};
}

Operands::Operands(const Work& work, const Device& device) : work_(work) {
  for (const Field& field : work.fields) set_bytes_ += aligned(storage_bytes(field.view));
  const std::size_t room = kernels::free_memory(device) / 10 * 6, enough = 2 * cache_bytes(device) / set_bytes_ + 1;
  const std::size_t sets = std::min(std::clamp(enough, least_sets, most_sets), room / set_bytes_);
  if (sets == 0) throw Error("one set of operands takes " + std::to_string(set_bytes_) + " bytes: too much for memory");
  for (std::size_t s = 0; s < sets; ++s) {
    blocks_.push_back(device_memory(device, set_bytes_));
    auto* at = static_cast<std::byte*>(blocks_.back().get());
    Memory& memory = sets_.emplace_back();
    for (const Field& field : work.fields) {
      memory.push_back(at);
      at += aligned(storage_bytes(field.view));
    }
  }
}

void Operands::randomise(Stream& stream) {
  for (std::size_t f = 0; f < work_.fields.size(); ++f) {
    const View& view = work_.fields[f].view;
    const auto unit = pattern_of(view.dtype, view.rows() * view.row_stride, f * 7919);
    repeat(stream, sets_[0][f], storage_bytes(view), unit.data(), unit.size());
  }
  if (work_.fill) make_as_the_case_does(stream);
  for (std::size_t s = 1; s < sets_.size(); ++s) stream.copy(blocks_[s].get(), blocks_[0].get(), set_bytes_);
  stream.synchronize();
}

void Operands::make_as_the_case_does(Stream& stream) {
  Exact exact(work_);
  std::vector<std::size_t> read;  // fields that are
  for (std::size_t f = 0; f < work_.fields.size(); ++f) {
    if (work_.fields[f].role != Role::output) read.push_back(f);
  }
  for (const std::size_t f : read) exact.take(f, download(stream, f));
  work_.fill(exact.memory());
  for (const std::size_t f : read) upload(stream, f, exact.give(f));
}

void Operands::poison(Stream& stream, std::size_t set) {
  for (std::size_t f = 0; f < work_.fields.size(); ++f) {
    if (work_.fields[f].role != Role::output) continue;
    const View& view = work_.fields[f].view;
    const std::vector<std::byte> unit(4096, kernels::is_floating(view.dtype) ? std::byte{0xff} : std::byte{173});
    repeat(stream, sets_[set][f], storage_bytes(view), unit.data(), unit.size());
  }
}

std::vector<std::byte> Operands::download(Stream& stream, std::size_t field) const {
  std::vector<std::byte> bytes(storage_bytes(work_.fields[field].view));
  stream.copy(bytes.data(), sets_[0][field], bytes.size());
  stream.synchronize();
  return bytes;
}

void Operands::upload(Stream& stream, std::size_t field, const std::vector<std::byte>& bytes) {
  stream.copy(sets_[0][field], bytes.data(), bytes.size());
  stream.synchronize();
}

Exact::Exact(const Work& work) : work_(work) {
  for (const Field& field : work.fields) {
    const auto count = static_cast<std::size_t>(field.view.rows() * field.view.row_stride);
    values_.push_back(std::make_unique_for_overwrite<double[]>(count));  // gigabytes: whoever writes them first is many
    memory_.push_back(values_.back().get());
  }
}

void Exact::take(std::size_t field, const std::vector<std::byte>& bytes) {
  const View& view = work_.fields[field].view;
  kernels::is_floating(view.dtype)
      ? kernels::visit_floating(view.dtype,
                                [&]<class T>(T) {
                                  convert(reinterpret_cast<const T*>(bytes.data()),
                                          static_cast<double*>(memory_[field]), view.rows() * view.row_stride);
                                })
      : static_cast<void>(std::memcpy(memory_[field], bytes.data(), bytes.size()));
}

std::vector<std::byte> Exact::give(std::size_t field) const {
  const View& view = work_.fields[field].view;
  std::vector<std::byte> bytes(storage_bytes(view));
  if (!kernels::is_floating(view.dtype)) {
    std::memcpy(bytes.data(), memory_[field], bytes.size());
  } else {
    kernels::visit_floating(view.dtype, [&]<class T>(T) {
      convert(static_cast<const double*>(memory_[field]), reinterpret_cast<T*>(bytes.data()),
              view.rows() * view.row_stride);
    });
  }
  return bytes;
}

double relative_error(const View& a, const View& exact) {
  std::vector<double> difference(static_cast<std::size_t>(a.rows())), size(difference.size());
  const auto add = [&]<class T, class E>(T, E) {
    kernels::cpu::parallel_for(a.rows(), [&](std::int64_t r) {
      const T* x = a.row<T>(r);
      const E* y = exact.row<E>(r);
      double d = 0, s = 0;
      for (std::int64_t c = 0; c < a.cols(); ++c) {
        const double u = static_cast<double>(x[c]), v = static_cast<double>(y[c]);
        d += (u - v) * (u - v), s += v * v;
      }
      difference[static_cast<std::size_t>(r)] = d, size[static_cast<std::size_t>(r)] = s;
    });
  };
  visit_any(a.dtype, [&]<class T>(T t) {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, bf16>) add(t, double{});
    else add(t, t);
  });
  double d = 0, s = 0;
  for (std::size_t r = 0; r < size.size(); ++r) d += difference[r], s += size[r];
  const double error = s > 0 ? std::sqrt(d / s) : std::sqrt(d);
  return std::isfinite(error) ? error : INFINITY;
}

}  // namespace bench
