// What tests/golden/checkpoint_v1.safetensors holds: the smallest of models, every value a made-up one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace test {

inline const std::string checkpoint_v1 = MAE_SOURCE_DIR "/tests/golden/checkpoint_v1.safetensors";
inline constexpr std::int64_t checkpoint_v1_step = 1234;

/// Element `i` of the tensor of that name ("optimizer.moment1.cls_token"): a multiple of 1/256 between -1 and 1, drawn
/// by FNV-1a of the name.
inline float checkpoint_v1_value(std::string_view name, std::size_t i) {
  std::uint32_t hash = 2166136261u + static_cast<std::uint32_t>(i);
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return static_cast<float>(static_cast<int>(hash >> 23) - 256) / 256;
}

}  // namespace test
