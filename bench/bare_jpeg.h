// libjpeg-turbo alone, for the loader's decoding to be held against.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace bench {

/// Whether this build has the library.
bool has_jpeg();

/// Decodes a whole JPEG, which must be one that mae::decode_jpeg takes, grey as RGB, into `out`, which grows where it
/// must and is never cleared: nothing is paid for but the library's own work.
void decode_bare_jpeg(std::span<const std::byte> file, std::vector<unsigned char>& out);

}  // namespace bench
