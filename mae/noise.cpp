#include "mae/noise.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "engine/number.h"
#include "kernels/core/check.h"
#include "mae/image.h"

namespace mae {

std::vector<float> torch_rand(std::uint32_t seed, std::int64_t n) {
  std::mt19937 words(seed);
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& value : values) value = static_cast<float>(words() & 0xFFFFFF) / 16777216.0f;
  return values;
}

std::vector<float> read_noise(const std::string& text, std::int64_t images, std::int64_t patches) {
  constexpr std::string_view generator = "torch:";
  if (text.starts_with(generator)) {
    const auto seed = engine::parse_number<std::uint32_t>(text.substr(generator.size()));
    if (!seed) throw kernels::Error("\"" + text + "\" names no seed", "--noise", "torch:2");
    return torch_rand(*seed, images * patches);
  }
  const Image file = read_image(text, 1);
  if (file.dtype != kernels::DType::f32 || file.height != images || file.width != patches)
    throw kernels::Error(fmt::format("{} is {} ({}, {}), and f32 ({}, {}) is wanted: images and patches", text,
                                     name_of(file.dtype), file.height, file.width, images, patches),
                         "--noise", "an array of that shape, saved by numpy.save");
  return {file.as<float>(), file.as<float>() + images * patches};
}

NoiseMasking::NoiseMasking(kernels::Stream& stream, const std::vector<float>& noise, std::int64_t patches) {
  std::vector<std::int32_t> ids(noise.size()), rank(noise.size());
  const auto L = static_cast<std::size_t>(patches);
  for (std::size_t begin = 0; begin < noise.size(); begin += L) {
    const auto first = ids.begin() + static_cast<std::ptrdiff_t>(begin);
    std::iota(first, first + patches, 0);
    std::stable_sort(first, first + patches, [&](std::int32_t a, std::int32_t b) {
      return noise[begin + static_cast<std::size_t>(a)] < noise[begin + static_cast<std::size_t>(b)];
    });
    for (std::size_t place = 0; place < L; ++place)
      rank[begin + static_cast<std::size_t>(ids[begin + place])] = static_cast<std::int32_t>(place);
  }
  rank_ = engine::upload(stream, rank);
  ids_ = engine::upload(stream, ids);
  const kernels::Shape shape{static_cast<std::int64_t>(noise.size()) / patches, patches};
  masking_ = {engine::tensor_of(rank_.view(kernels::DType::i32, shape)),
              engine::tensor_of(ids_.view(kernels::DType::i32, shape))};
}

}  // namespace mae
