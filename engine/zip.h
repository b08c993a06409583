// ZIP files whose records are stored as they are, uncompressed: what torch.save writes around its tensors.
//
// Reading is libzip's; nothing that it says is trusted further than the file is long. Writing is by hand, so that
// gigabytes go straight from memory into an atomic save (engine/files.h): stored records need no more than headers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

struct ZipRecord {
  std::string name;
  std::uint64_t bytes;
  bool stored;  // as it is, within the file
};

/// A ZIP file open for reading. Threads may share one: a read waits for the one before it.
class ZipFile {
 public:
  /// Throws kernels::Error for what is no ZIP file, or has a record twice; and where this build has no libzip.
  explicit ZipFile(const std::string& path);
  ~ZipFile();

  const std::string& path() const { return path_; }
  const std::vector<ZipRecord>& records() const { return records_; }
  /// Null where there is none. Throws for one that is compressed, encrypted, or longer than the file.
  const ZipRecord* find(std::string_view name) const;
  /// A part of what find() found. The first read of a record goes through all of it, for its checksum.
  void read(const ZipRecord& record, std::uint64_t offset, void* destination, std::uint64_t bytes) const;

 private:
  struct Archive;

  std::string path_;
  std::vector<ZipRecord> records_;    // in the order of the file's directory
  std::vector<std::size_t> by_name_;  // places in records_
  std::unique_ptr<Archive> archive_;
};

struct ZipRecordToWrite {
  std::string name;
  std::span<const std::byte> data;
};

/// Atomically, without a copy of the data, which begin at multiples of 64 bytes. ZIP64 from 4 GB or 65,535 records on.
void write_zip(const std::string& path, const std::vector<ZipRecordToWrite>& records);

}  // namespace engine
