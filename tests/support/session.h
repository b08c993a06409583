// What a test needs to run ops on the CPU: a stream with scratch, a reserved arena, tensors from values, and a gradient
// check.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "engine/ops.h"
#include "kernels/core/philox.h"
#include "tests/support/catch.h"

namespace test {

using namespace engine;

struct Session {
  explicit Session(DType dtype = DType::f64, std::size_t arena_bytes = std::size_t{64} << 20)
      : stream(kernels::devices().front()), scratch(stream.device(), std::size_t{32} << 20), type(dtype) {
    arena.reserve(stream.device(), arena_bytes);
    stream.lend_scratch(scratch.data(), scratch.bytes());
  }
  Context context(Tape* tape = nullptr) { return {.stream = stream, .arena = arena, .dtype = type, .tape = tape}; }

  /// A tensor of the arena with these values (f64 values, rounded to dtype); tracked.
  Tensor variable(const Shape& shape, const std::vector<double>& values, DType dtype) {
    Tensor t = context().tensor(shape, dtype);
    for (std::size_t i = 0; i < values.size(); ++i) set(t.view, i, values[i]);
    if (kernels::is_floating(dtype)) t.gradient = std::make_shared<Gradient>();
    return t;
  }
  Tensor variable(const Shape& shape, const std::vector<double>& values) { return variable(shape, values, type); }

  static double get(const View& v, std::size_t i) {
    return v.dtype == DType::f64   ? v.as<double>()[i]
           : v.dtype == DType::f32 ? v.as<float>()[i]
                                   : static_cast<double>(v.as<std::int32_t>()[i]);
  }
  static void set(const View& v, std::size_t i, double value) {
    if (v.dtype == DType::f64) v.as<double>()[i] = value;
    if (v.dtype == DType::f32) v.as<float>()[i] = static_cast<float>(value);
    if (v.dtype == DType::i32) v.as<std::int32_t>()[i] = static_cast<std::int32_t>(value);
    if (v.dtype == DType::u32) v.as<std::uint32_t>()[i] = static_cast<std::uint32_t>(value);
  }
  static std::vector<double> values(const View& v) {
    std::vector<double> out(static_cast<std::size_t>(v.shape.count()));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = get(v, i);
    return out;
  }

  kernels::Stream stream;
  Arena arena;
  Buffer scratch;
  DType type;
};

inline std::vector<double> normals(std::int64_t n, std::uint32_t stream, double deviation = 1) {
  std::vector<double> v(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < v.size(); ++i) {
    const auto w = kernels::philox({static_cast<std::uint32_t>(i), 0, 0, 0},
                                   {stream, static_cast<std::uint32_t>(kernels::Purpose::test)});
    v[i] = deviation * std::sqrt(-2 * std::log(1 - kernels::uniform(w.w[0]))) *
           std::cos(2 * M_PI * kernels::uniform(w.w[1]));
  }
  return v;
}

/// norm(a - b) / norm(b)
inline double distance(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return INFINITY;
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return size > 0 ? std::sqrt(difference / size) : std::sqrt(difference);
}

/// One thing to differentiate with respect to: its f64 values in place, and what backward found.
struct Variable {
  std::string name;
  View value;
  std::vector<double> gradient;
};

/// Compares analytic gradients of a scalar function with four-point differences in f64: 50 entries and 3 random
/// directions a variable, |a - n| <= 1e-7 max(|n|, 1e-2 max |g|).
/// `step` is h for values up to 1.
inline void check_gradients(const std::function<double()>& f, std::vector<Variable> variables, double step = 1e-3) {
  const auto four_point = [&](const std::function<void(double)>& move, double h) {
    const auto at = [&](double t) {
      move(t);
      const double y = f();
      move(-t);
      return y;
    };
    return (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  };
  std::uint32_t salt = 1000;
  for (Variable& v : variables) {
    INFO("variable " << v.name);
    const std::vector<double> before = Session::values(v.value);
    double largest = 0;
    for (double g : v.gradient) largest = std::max(largest, std::abs(g));
    const auto agree = [&](double analytic, double numeric, double scale) {
      INFO("analytic " << analytic << " numeric " << numeric);
      CHECK(std::abs(analytic - numeric) <= 1e-7 * std::max(std::abs(numeric), 1e-2 * scale) + 1e-13);
    };
    const std::size_t n = before.size(), stride = std::max<std::size_t>(1, n / 50);
    for (std::size_t i = 0; i < n; i += stride) {
      const double h = step * std::max(1.0, std::abs(before[i]));
      agree(v.gradient[i], four_point([&](double t) { Session::set(v.value, i, Session::get(v.value, i) + t); }, h),
            largest);
      Session::set(v.value, i, before[i]);
    }
    for (int d = 0; d < 3; ++d) {
      const std::vector<double> direction =
          normals(static_cast<std::int64_t>(n), ++salt, 1 / std::sqrt(static_cast<double>(n)));
      double analytic = 0;
      for (std::size_t i = 0; i < n; ++i) analytic += v.gradient[i] * direction[i];
      const auto move = [&](double t) {
        for (std::size_t i = 0; i < n; ++i) Session::set(v.value, i, Session::get(v.value, i) + t * direction[i]);
      };
      agree(analytic, four_point(move, step), largest);
      for (std::size_t i = 0; i < n; ++i) Session::set(v.value, i, before[i]);
    }
  }
}

}  // namespace test
