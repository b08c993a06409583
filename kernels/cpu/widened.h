// The row `widened`: bf16 data through a kernel's f32 row. Every bf16 view gets an f32 twin in scratch; what is read is
// widened into its twin, the first f32 row that does not refuse runs on the twins, and what was written is rounded
// back. Every other view passes through: bf16 and f32 data have their statistics, gradients of parameters and indices
// in the same types. Between the two conversions nothing is rounded, as in the reference.
//
// A buffer that is two fields has two twins: the dry stream that sizes scratch has no addresses to tell it by, and all
// reading comes before all writing anyway.
#pragma once

#include <array>

#include "kernels/core/launch.h"
#include "kernels/cpu/convert.h"

namespace kernels::cpu {

/// f(view of a, the same field's view of b, role) for every field.
template <class Args, class F>
void for_each_pair(const Args& a, Args& b, F f) {
  std::array<View*, 16> views{};
  std::size_t count = 0, i = 0;
  Args::fields(b, [&](const char*, View& view, Role) { views.at(count++) = &view; });
  Args::fields(a, [&](const char*, const View& view, Role role) { f(view, *views[i++], role); });
}

template <class Args>
struct Twins {
  Args args;              // bf16 views replaced by contiguous f32 views into scratch
  std::size_t bytes = 0;  // of scratch that they take
};

/// Null scratch: sizes only.
template <class Args>
Twins<Args> twins_of(const Args& a, void* scratch) {
  Twins<Args> twins{a};
  Args::fields(twins.args, [&](const char*, View& view, Role) {
    if (!view || view.dtype != DType::bf16) return;
    void* data = scratch ? static_cast<std::byte*>(scratch) + twins.bytes : nullptr;
    view = view_of(data, DType::f32, view.shape);
    twins.bytes += (static_cast<std::size_t>(view.bytes()) + 63) / 64 * 64;  // each starts on a cache line
  });
  return twins;
}

template <class Args>
const char* refuses_widened(const Device&, const Args& a) {
  return twins_of(a, nullptr).bytes > 0 ? nullptr : "this row has bf16 only";
}

template <class Args>
std::size_t widened_workspace(const Device& device, const Args& a) {
  const Twins<Args> twins = twins_of(a, nullptr);
  return twins.bytes + choose(device, twins.args).scratch_bytes(device, twins.args);
}

template <class Args>
void run_widened(Stream& stream, const Args& a, void* scratch) {
  Twins<Args> twins = twins_of(a, scratch);
  const auto is_twin = [](const View& view) { return view && view.dtype == DType::bf16; };
  for_each_pair(a, twins.args, [&](const View& view, const View& twin, Role role) {
    if (is_twin(view) && role != Role::output) convert(view, twin);
  });
  choose(stream.device(), twins.args).run(stream, twins.args, static_cast<std::byte*>(scratch) + twins.bytes);
  for_each_pair(a, twins.args, [&](const View& view, const View& twin, Role role) {
    if (is_twin(view) && role != Role::input) convert(twin, view);
  });
}

template <class Args>
inline constexpr Variant<Args> widened{.name = "widened",
                                       .refuses = refuses_widened<Args>,
                                       .workspace = widened_workspace<Args>,
                                       .run = run_widened<Args>};

}  // namespace kernels::cpu
