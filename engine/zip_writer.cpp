// write_zip. Fields and numbers are of PKWARE's APPNOTE.TXT, sections 4.3 to 4.5.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <bit>

#include "engine/files.h"
#include "engine/zip.h"
#include "kernels/core/check.h"

namespace engine {
namespace {

static_assert(std::endian::native == std::endian::little, "headers are little-endian and are copied as they are");

constexpr std::uint64_t data_alignment = 64, in_zip64 = 0xffffffff;
constexpr std::uint16_t version_of_zip64 = 45, zip64_field = 1, padding_field = 0x4246;  // "FB", as PyTorch pads
constexpr std::uint16_t first_day = 1 << 5 | 1;                                          // 1980-01-01: ZIP's zero

struct PlacedRecord {
  const ZipRecordToWrite* record;
  std::uint64_t header_at;  // of its local header
  std::uint32_t crc32;
  std::string local_header;
};

class Fields {
 public:
  Fields& u16(std::uint64_t v) { return put(&v, 2); }
  Fields& u32(std::uint64_t v) { return put(&v, 4); }
  Fields& u64(std::uint64_t v) { return put(&v, 8); }
  Fields& text(std::string_view t) { return put(t.data(), t.size()); }
  std::string take() { return std::move(bytes_); }

 private:
  Fields& put(const void* data, std::size_t bytes) {
    bytes_.append(static_cast<const char*>(data), bytes);
    return *this;
  }

  std::string bytes_;
};

/// From "version needed" to the length of the name: the same in both headers.
Fields& common_fields(Fields& f, const PlacedRecord& p) {
  const std::uint64_t bytes = p.record->data.size(), stated = std::min(bytes, in_zip64);
  f.u16(version_of_zip64).u16(0).u16(0).u16(0).u16(first_day).u32(p.crc32).u32(stated).u32(stated);
  return f.u16(p.record->name.size());
}

std::string local_header(const PlacedRecord& p) {
  Fields extra;
  const std::uint64_t bytes = p.record->data.size();
  if (bytes >= in_zip64) extra.u16(zip64_field).u16(16).u64(bytes).u64(bytes);
  std::string fields = extra.take();
  constexpr std::uint64_t fixed = 30, field_header = 4;
  const std::uint64_t end = p.header_at + fixed + p.record->name.size() + fields.size() + field_header;
  const std::uint64_t padding = (data_alignment - end % data_alignment) % data_alignment;
  fields += Fields().u16(padding_field).u16(padding).text(std::string(padding, 'Z')).take();

  Fields f;
  f.text("PK\3\4");
  return common_fields(f, p).u16(fields.size()).text(p.record->name).text(fields).take();
}

std::string directory_entry(const PlacedRecord& p) {
  const std::uint64_t bytes = p.record->data.size();
  Fields values;
  if (bytes >= in_zip64) values.u64(bytes).u64(bytes);
  if (p.header_at >= in_zip64) values.u64(p.header_at);
  const std::string large = values.take();
  const std::string extra = large.empty() ? "" : Fields().u16(zip64_field).u16(large.size()).text(large).take();
  Fields f;
  f.text("PK\1\2").u16(version_of_zip64);
  common_fields(f, p).u16(extra.size()).u16(0).u16(0).u16(0).u32(0).u32(std::min(p.header_at, in_zip64));
  return f.text(p.record->name).text(extra).take();
}

/// What ends the file: it says where the directory lies.
std::string end_of_directory(std::uint64_t count, std::uint64_t at, std::uint64_t bytes) {
  constexpr std::uint64_t count_in_zip64 = 0xffff;
  Fields f;
  if (count >= count_in_zip64 || at >= in_zip64 || bytes >= in_zip64) {
    f.text("PK\6\6").u64(44).u16(version_of_zip64).u16(version_of_zip64).u32(0).u32(0);
    f.u64(count).u64(count).u64(bytes).u64(at);
    f.text("PK\6\7").u32(0).u64(at + bytes).u32(1);
  }
  f.text("PK\5\6").u16(0).u16(0).u16(std::min(count, count_in_zip64)).u16(std::min(count, count_in_zip64));
  return f.u32(std::min(bytes, in_zip64)).u32(std::min(at, in_zip64)).u16(0).take();
}

}  // namespace

void write_zip(const std::string& path, const std::vector<ZipRecordToWrite>& records) {
  std::vector<PlacedRecord> placed;
  std::uint64_t at = 0;
  for (const ZipRecordToWrite& record : records) {
    if (record.name.size() > 0xffff) throw kernels::Error("a record's name has more than 65,535 bytes", path);
    const auto* data = reinterpret_cast<const Bytef*>(record.data.data());
    PlacedRecord& p = placed.emplace_back();
    p.record = &record;
    p.header_at = at;
    p.crc32 = static_cast<std::uint32_t>(data ? crc32_z(0, data, record.data.size()) : 0);
    p.local_header = local_header(p);
    at += p.local_header.size() + record.data.size();
  }
  std::string directory;
  for (const PlacedRecord& p : placed) directory += directory_entry(p);
  directory += end_of_directory(placed.size(), at, directory.size());

  write_atomically(
      path,
      [&](FileWriter& writer) {
        for (const PlacedRecord& p : placed) {
          writer.write(p.local_header);
          writer.write(p.record->data.data(), p.record->data.size());
        }
        writer.write(directory);
      },
      at + directory.size());
}

}  // namespace engine
