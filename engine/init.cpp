#include "engine/init.h"

#include <cmath>

#include "kernels/core/philox.h"

namespace engine {

std::uint32_t InitStream::word(std::int64_t element, std::uint32_t attempt) const {
  const kernels::PhiloxCounter counter{
      .block = 0, .subindex = segment_, .sample = kernels::whole_batch, .time = attempt};
  return kernels::philox_word(static_cast<std::uint32_t>(element), counter,
                              {seed_, static_cast<std::uint32_t>(kernels::Purpose::init)});
}

std::vector<double> InitStream::uniform(std::int64_t n, double bound) const {
  std::vector<double> values(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i)
    values[static_cast<std::size_t>(i)] = bound * (2 * kernels::uniform(word(i, 0)) - 1);
  return values;
}

std::vector<double> InitStream::normal(std::int64_t n, double deviation, double limit) const {
  std::vector<double> values(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < n; ++i) {
    double value = 0;
    std::uint32_t attempt = 0;
    do {  // Box-Muller: two words, one normal
      const double radius = std::sqrt(-2 * std::log(1 - kernels::uniform(word(2 * i, attempt))));
      value = deviation * radius * std::cos(2 * M_PI * kernels::uniform(word(2 * i + 1, attempt)));
      ++attempt;
    } while (limit > 0 && std::abs(value) > limit);
    values[static_cast<std::size_t>(i)] = value;
  }
  return values;
}

double xavier_bound(std::int64_t in, std::int64_t out) { return std::sqrt(6.0 / static_cast<double>(in + out)); }

void assign(kernels::Stream& stream, const Parameter& parameter, const std::vector<double>& values) {
  const Parameters& owner = *parameter.owner;
  const View master = owner.part(owner.master(), parameter.index, {static_cast<std::int64_t>(values.size())});
  if (static_cast<std::int64_t>(values.size()) != parameter.value().shape.count()) {
    throw kernels::Error("wrong number of values", owner.segments()[static_cast<std::size_t>(parameter.index)].name);
  }
  if (owner.master_dtype() == DType::f64) {
    stream.copy(master.data, values.data(), values.size() * sizeof(double));
    stream.synchronize();
    return;
  }
  const std::vector<float> narrow(values.begin(), values.end());
  stream.copy(master.data, narrow.data(), narrow.size() * sizeof(float));
  stream.synchronize();
}

}  // namespace engine
