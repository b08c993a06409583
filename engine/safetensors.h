// safetensors: u64 little-endian N, N bytes of JSON header, then the tensors' bytes, row-major and little-endian.
//
// Reading trusts nothing: every rule of the format (N <= 100,000,000, UTF-8, no key twice, sizes that match the shapes
// without overflow, no hole, no overlap, no bytes after the last tensor) is checked on the header alone, before memory
// for data is asked for, and each violation has its own sentence with file and tensor. Host memory only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/files.h"
#include "engine/tensor_file.h"
#include "kernels/core/dtype.h"

namespace engine {

struct TensorEntry {
  std::string name;
  StoredType type;
  std::vector<std::int64_t> shape;  // at most 8 sizes; none: one value
  std::uint64_t begin, end;         // bytes, from the header's data_offset
};

struct SafetensorsHeader {
  Metadata metadata;
  std::vector<TensorEntry> tensors;  // in the order of their bytes
  std::uint64_t data_offset = 0;     // bytes from the start of the file
};

/// Throws kernels::Error for a file that breaks a rule, or holds a dtype that StoredType has not (such as F8_E4M3).
SafetensorsHeader read_header(const InputFile& file);
SafetensorsHeader read_header(const std::string& path);

/// A file whose header was checked, open for reading. Reads are independent: threads may share one.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path) : file_(path), header_(read_header(file_)) {}

  const std::string& path() const { return file_.path(); }
  const InputFile& file() const { return file_; }
  const SafetensorsHeader& header() const { return header_; }
  /// Null where there is none.
  const TensorEntry* find(std::string_view name) const;
  /// destination: end - begin bytes.
  void read(const TensorEntry& entry, void* destination) const;
  /// Throws, naming file and tensor, where it is missing or is not of this dtype and shape.
  const TensorEntry& at(std::string_view name, kernels::DType dtype, const std::vector<std::int64_t>& shape) const;
  /// The same, and reads it.
  void read(std::string_view name, kernels::DType dtype, const std::vector<std::int64_t>& shape,
            void* destination) const;

 private:
  InputFile file_;
  SafetensorsHeader header_;
};

enum class Checksum { none, crc32 };  // crc32: engine/checksum.h

/// Writes by descending element size, then name, and atomically (engine/files.h), without a copy of the data. Throws
/// before anything is written where the file would break a rule (a name twice, more than 8 sizes, a negative size).
void write_safetensors(const std::string& path, const Metadata& metadata, const std::vector<TensorToWrite>& tensors,
                       Checksum checksum = Checksum::none);

}  // namespace engine
