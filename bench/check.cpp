#include "bench/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace bench {
namespace {

// What the reference rows do in a second on one thread, rather less than more.
constexpr double flops_a_second = 0.4e9, bytes_a_second = 1e9, most_seconds = 2;

/// Of the reference, as far as can be said before it runs.
double reference_seconds(const Work& work, double& bytes) {
  bytes = 0;
  for (const Field& field : work.fields) bytes += static_cast<double>(field.view.shape.count()) * sizeof(double);
  const int threads = std::max(1, kernels::devices().front().multiprocessors);
  return std::max(work.cost.flops / flops_a_second, bytes / bytes_a_second) / threads;
}

/// The coarsest floating type among the operands decides, as in the battery.
DType coarsest(const Work& work) {
  DType coarse = DType::f64;
  for (const Field& field : work.fields) {
    const DType t = field.view.dtype;
    if (kernels::is_floating(t) && kernels::size_of(t) < kernels::size_of(coarse)) coarse = t;
  }
  return coarse;
}

}  // namespace

Reference::Reference(const Work& work, const Operands& operands, Stream& stream) : work_(work) {
  double bytes = 0;
  const double seconds = reference_seconds(work, bytes);
  if (seconds > most_seconds) why_not_ = fmt::format("the reference would take about {:.0f} s", seconds);
  if (bytes > static_cast<double>(kernels::devices().front().memory) / 4)
    why_not_ = "the reference takes too much memory";
  before_.resize(work.fields.size());
  if (why_not_.empty()) expected_.emplace(work);
  for (std::size_t f = 0; f < work.fields.size() && expected_; ++f) {
    if (work.fields[f].role == Role::output) continue;
    before_[f] = operands.download(stream, f);
    expected_->take(f, before_[f]);
    if (work.fields[f].role == Role::input) before_[f].clear();
  }
  if (expected_) work.reference(expected_->memory());
}

Checked Reference::check(const Row& row, Operands& operands, Stream& stream) const {
  if (!expected_) return {.note = why_not_};
  for (std::size_t f = 0; f < before_.size(); ++f) {
    if (!before_[f].empty()) operands.upload(stream, f, before_[f]);
  }
  operands.poison(stream, 0);
  work_.launch(stream, operands.set(0), row.name);
  stream.synchronize();

  Checked checked{.done = true, .passed = true};
  checked.bound = bound_of(work_.bound, row.reduced_precision ? DType::bf16 : coarsest(work_));
  for (std::size_t f = 0; f < work_.fields.size(); ++f) {
    const Field& field = work_.fields[f];
    if (field.role == Role::input) continue;
    std::vector<std::byte> bytes = operands.download(stream, f);
    View actual = field.view, exact = field.view;
    actual.data = bytes.data(), exact.data = expected_->memory()[f];
    if (kernels::is_floating(exact.dtype)) exact.dtype = DType::f64;
    const double error = relative_error(actual, exact);
    if (error > (kernels::is_floating(actual.dtype) ? checked.bound : 0)) checked.passed = false;
    if (checked.note.empty() || error > checked.worst) checked.worst = error, checked.note = field.name;
  }
  return checked;
}

}  // namespace bench
