// The kernel contract.
//
// A kernel is an argument struct with
//     static constexpr const char* kernel = "layernorm_forward";
//     static const Rows<LayerNormForward> cpu, cuda, simt;               // its rows on each device, best first
//     template <class Self, class F> static void fields(Self& a, F f);   // f(name, a.view, role) for every view
//     template <class Self, class F> static void scalars(Self& a, F f);  // f(name, a.scalar) for every other member;
//                                                                        // where there is none, this is left out
// and, for all devices, two functions:
//     void validate(const Args&);                     // throws Error: kernel, shapes, what is wrong
//     Cost cost(const Args&);
// Each device's file defines its table; cuda and simt share one file (kernels/cuda/common.cuh). launch() takes the
// first row that does not refuse. A row can be forced by name, for one launch or on the stream; then a refusal is an
// error with its reason.
//
// Promises of every row: inputs are never written; every element of an output is written; sums are f32 or better; the
// same inputs give the same bits; it never allocates and never synchronises.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/core/build.h"
#include "kernels/core/capture_lint.h"
#include "kernels/core/check.h"
#include "kernels/core/stream.h"

namespace kernels {

template <class Args>
struct Variant {
  const char* name;                                                // "reference", "fast", "openblas"
  const char* (*refuses)(const Device&, const Args&);              // nullptr, or why not
  std::size_t (*workspace)(const Device&, const Args&) = nullptr;  // bytes of scratch; nullptr for none
  void (*run)(Stream&, const Args&, void* scratch) = nullptr;
  bool vendor = false;             // kernels of a library, not ours
  bool reduced_precision = false;  // rounds f32 operands to fewer bits (TF32): taken only where asked for by name
  void (*tune)(Stream&, const Args&, void* scratch) = nullptr;  // before any run: chooses by timing, or makes plans

  std::size_t scratch_bytes(const Device& device, const Args& args) const {
    return workspace ? workspace(device, args) : 0;
  }
};
template <class Args>
using Rows = std::span<const Variant<Args>>;

/// A row in a file of its own, which defines `template <> Variant<MatMul> row<struct Mma, MatMul>()`. The kernel's
/// table takes it in by one line, `row<struct Mma, MatMul>(),`: the name of the struct is all that the two files share.
template <class Name, class Args>
Variant<Args> row();

/// The table of one kind of device; empty where this build has no such device.
template <class Args>
Rows<Args> rows_of(DeviceKind kind) {
  if constexpr (with_cuda) {
    if (kind == DeviceKind::cuda) return Args::cuda;
  }
  if constexpr (with_simt) {
    if (kind == DeviceKind::simt) return Args::simt;
  }
  return kind == DeviceKind::cpu ? Args::cpu : Rows<Args>{};
}

/// Whether a gradient is written or added to what is there.
enum class Write { overwrite, accumulate };
constexpr std::array<const char*, 2> names_of(Write) { return {"overwrite", "accumulate"}; }
constexpr Role role_of(Write write) { return write == Write::overwrite ? Role::output : Role::updated; }

std::string describe(const char* kernel, const std::vector<Field>& fields);

template <class Args>
std::vector<Field> fields_of(const Args& args) {
  std::vector<Field> fields;
  Args::fields(args, [&](const char* name, const View& view, Role role) {
    if (view) fields.push_back({name, view, role});
  });
  return fields;
}

/// f(name, scalar) for every member that is no view: a double, an integer, or an enum that has names_of().
template <class Args, class F>
void for_each_scalar(Args& args, F f) {
  if constexpr (requires { std::remove_const_t<Args>::scalars(args, f); }) std::remove_const_t<Args>::scalars(args, f);
}

/// Bytes of all views, those that are read and written counted twice: the floor of a kernel that touches each once.
template <class Args>
double field_bytes(const Args& args) {
  double bytes = 0;
  Args::fields(
      args, [&](const char*, const View& view, Role role) { bytes += view.bytes() * (role == Role::updated ? 2 : 1); });
  return bytes;
}

/// Throws Error "layernorm_forward: <what> (x f32 (64, 768), gamma f32 (767))" unless ok.
template <class Args>
void require(bool ok, const Args& args, const char* what) {
  if (!ok) throw Error(what, describe(Args::kernel, fields_of(args)));
}

template <class Args>
const Variant<Args>& choose(const Device& device, const Args& args, const std::string& row = {}) {
  // In a build without CUDA a made-up GPU is planned for with the rows of simt: they are the same kernels.
  const bool planned = device.kind == DeviceKind::cuda && !with_cuda;
  const Rows<Args> rows = rows_of<Args>(planned ? DeviceKind::simt : device.kind);
  std::string reasons;
  for (const Variant<Args>& variant : rows) {
    if (row.empty() ? variant.reduced_precision : row != variant.name) continue;
    const char* reason = variant.refuses ? variant.refuses(device, args) : nullptr;
    if (!reason) return variant;
    reasons += std::string(reasons.empty() ? "" : "; ") + variant.name + ": " + reason;
  }
  const std::string where = describe(Args::kernel, fields_of(args));
  if (rows.empty()) {
    throw Error(std::string("this build has no kernels for ") + name_of(device.kind), where,
                device.kind == DeviceKind::cuda ? "a build with the CUDA Toolkit" : "--device cpu");
  }
  if (reasons.empty())
    throw Error("there is no row \"" + row + "\" on " + name_of(device.kind), where, "mae devices lists the rows");
  throw Error("every row refuses: " + reasons, where, device.kind == DeviceKind::cpu ? "" : "--device cpu");
}

/// The same launch on operands of no meaning, in memory that is the tuning's until it is done.
template <class Args>
Tuning tuning_of(const Variant<Args>& variant, const Args& args, std::size_t scratch_bytes) {
  const auto place = [args](std::byte* memory) {
    Args placed = args;
    std::size_t at = 0;
    Args::fields(placed, [&](const char*, View& view, Role) {
      if (!view) return;
      view.data = memory ? memory + at : nullptr;
      at += (static_cast<std::size_t>(view.rows() * view.row_stride) * size_of(view.dtype) + 511) / 512 * 512;
    });
    return std::pair(placed, at);
  };
  return {.bytes = place(nullptr).second, .run = [place, variant, scratch_bytes](Stream& stream, std::byte* memory) {
            stream.running = {.kernel = Args::kernel, .row = variant.name};
            variant.tune(stream, place(memory).first, stream.scratch(scratch_bytes, Args::kernel, variant.name));
          }};
}

/// Validates, picks a row, and queues it. Throws Error; asynchronous on cuda.
template <class Args>
void launch(Stream& stream, const Args& args, const std::string& row = {}) {
  validate(args);
  const std::string* forced = row.empty() ? stream.forced(Args::kernel) : &row;
  const Variant<Args>& variant = choose(stream.device(), args, forced ? *forced : row);
  const std::size_t bytes = variant.scratch_bytes(stream.device(), args);
  if (stream.observer) stream.observer({Args::kernel, variant.name, cost(args), bytes, fields_of(args)});
  void* scratch = bytes ? stream.scratch(bytes, Args::kernel, variant.name) : nullptr;
  if (stream.dry()) {
    if (variant.tune) stream.tunings.push_back(tuning_of(variant, args, bytes));
    return;
  }
  lint::launch(stream);
  stream.running = {.kernel = Args::kernel, .row = variant.name};
  variant.run(stream, args, scratch);
}

}  // namespace kernels
