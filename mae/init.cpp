#include "mae/init.h"

#include <cmath>

#include "mae/positions.h"

namespace mae {
namespace {

constexpr double token_deviation = 0.02;

std::vector<double> weight_values(const Config& config, const engine::InitStream& draws, std::int64_t out,
                                  std::int64_t in) {
  const double bound =
      config.init == Init::xavier ? engine::xavier_bound(in, out) : 1 / std::sqrt(static_cast<double>(in));
  return draws.uniform(out * in, bound);
}

// The values of one segment; `fan_in` is that of the weight declared just before a bias.
std::vector<double> values_of(const Config& c, const engine::Segment& s, const engine::InitStream& draws,
                              std::int64_t fan_in) {
  const std::int64_t n = s.shape.count();
  const auto constant = [&](double value) { return std::vector<double>(static_cast<std::size_t>(n), value); };
  const bool bias = s.name.ends_with(".bias"), norm = s.name.find("norm") != std::string::npos;
  if (norm) return constant(bias ? 0 : 1);
  if (s.name == "cls_token" || s.name == "mask_token") return draws.normal(n, token_deviation);
  if (s.name.ends_with("pos_embed")) {
    const std::int64_t dim = s.shape[2];
    return c.positions == Positions::sincos ? sincos_positions(dim, c.rows(), c.columns())
                                            : draws.normal(n, token_deviation, 2);
  }
  if (!bias) return weight_values(c, draws, s.shape[0], n / s.shape[0]);
  const bool pytorch_default = c.init == Init::pytorch || s.name.starts_with("patch_embed");
  return pytorch_default ? draws.uniform(n, 1 / std::sqrt(static_cast<double>(fan_in))) : constant(0);
}

}  // namespace

void draw_initial_values(kernels::Stream& stream, const Config& config, engine::Parameters& parameters,
                         std::uint32_t seed) {
  std::int64_t fan_in = 1;
  for (std::size_t i = 0; i < parameters.segments().size(); ++i) {
    const engine::Segment& segment = parameters.segments()[i];
    const auto values = values_of(config, segment, engine::InitStream(seed, static_cast<int>(i)), fan_in);
    assign(stream, parameters.at(segment.name), values);
    fan_in = segment.shape.count() / segment.shape[0];
  }
}

}  // namespace mae
