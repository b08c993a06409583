// For the address sanitizer: memory that is allocated and yet out of bounds. Without the sanitizer, nothing.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define MAE_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MAE_ASAN
#endif
#endif
#if defined(MAE_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace kernels {

#if defined(MAE_ASAN)
inline constexpr bool with_address_sanitizer = true;
#else
inline constexpr bool with_address_sanitizer = false;
#endif

/// From now on whoever touches these bytes ends the program, until they are allowed again, or freed. The sanitizer
/// keeps account of words of 8 bytes: of a last word that these bytes do not fill, nothing is forbidden.
inline void forbid([[maybe_unused]] const void* from, [[maybe_unused]] std::size_t bytes) {
#if defined(MAE_ASAN)
  __asan_poison_memory_region(from, bytes);
#endif
}
inline void allow([[maybe_unused]] const void* from, [[maybe_unused]] std::size_t bytes) {
#if defined(MAE_ASAN)
  __asan_unpoison_memory_region(from, bytes);
#endif
}

}  // namespace kernels
