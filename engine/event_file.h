// What TensorBoard reads, events.out.tfevents.*, written without TensorFlow and without a protobuf library.
//
//     record      u64 length | u32 masked CRC-32C of those 8 bytes | payload | u32 masked CRC-32C of it; little-endian
//     payload     one Event of TensorBoard's event.proto:
//     Event       1 wall_time: double  2 step: int64, then one of  3 file_version: string  5 summary  7 session_log
//     Summary     1 value, repeated: {1 tag: string, then one of  2 simple_value: float  4 image}
//     Image       1 height  2 width  3 colorspace: int32, the channels  4 the bytes of a PNG
//     SessionLog  1 status: START = 1
//
// A file begins with its version and, as every value of ours can be written anew, with the start of a session at step
// 0, for which TensorBoard drops what it has read of this run before.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

/// Castagnoli's polynomial, as iSCSI has it (RFC 3720): of "123456789" it is e3069283.
std::uint32_t crc32c(std::string_view bytes);

struct Scalar {
  std::string tag;
  double value = 0;  // stored as f32
};

// Each returns records, ready to be appended to a file. wall_time: seconds since 1970.
std::string event_file_begin(double wall_time);
std::string scalars_event(double wall_time, std::int64_t step, const std::vector<Scalar>& scalars);
/// `png`: a whole file. Throws where it is none.
std::string image_event(double wall_time, std::int64_t step, const std::string& tag, std::string_view png);

}  // namespace engine
