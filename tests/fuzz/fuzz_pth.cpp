// Files of torch.save, whole: ZIP headers, pickle, storages. Three changes of four are made inside one record, whose
// checksum is then put right in both of its headers: else all but none would get past the check of it.
#include <algorithm>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pth_bytes.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return fuzz::attempt([&] { fuzz::read_pth({reinterpret_cast<const char*>(data), size}); });
}

namespace {

constexpr std::size_t local_bytes = 30, directory_bytes = 46;  // of a header, without its name and fields

std::size_t number(const std::uint8_t* p, int bytes) {
  std::size_t value = 0;
  for (int i = bytes; i-- > 0;) value = value << 8 | p[i];
  return value;
}

struct FoundRecord {
  std::uint8_t *local_crc, *directory_crc, *data;
  std::size_t bytes;
};

/// Records that both headers describe, within the file.
std::vector<FoundRecord> records_of(std::uint8_t* file, std::size_t size) {
  std::vector<FoundRecord> found;
  for (std::size_t at = 0; at + directory_bytes <= size; ++at) {
    std::uint8_t* entry = file + at;
    if (std::memcmp(entry, "PK\1\2", 4) != 0) continue;
    const std::size_t local = number(entry + 42, 4), bytes = number(entry + 20, 4);
    if (local > size || size - local < local_bytes || std::memcmp(file + local, "PK\3\4", 4) != 0) continue;
    const std::size_t data = local + local_bytes + number(file + local + 26, 2) + number(file + local + 28, 2);
    if (data > size || size - data < bytes || bytes == 0) continue;
    found.push_back({file + local + 14, entry + 16, file + data, bytes});
  }
  return found;
}

}  // namespace

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  const std::vector<FoundRecord> found = records_of(data, size);
  if (seed % 4 == 0 || found.empty()) return LLVMFuzzerMutate(data, size, most);
  const FoundRecord& record = found[seed / 4 % 2 == 0 ? 0 : seed / 8 % found.size()];  // the first is data.pkl
  std::vector<std::uint8_t> changed(record.data, record.data + record.bytes);
  const std::size_t bytes = LLVMFuzzerMutate(changed.data(), changed.size(), changed.size());
  std::copy_n(changed.begin(), bytes, record.data);  // what it cuts off stays
  const std::string crc = fuzz::little(fuzz::crc_of({reinterpret_cast<const char*>(record.data), record.bytes}), 4);
  std::memcpy(record.local_crc, crc.data(), 4);
  std::memcpy(record.directory_crc, crc.data(), 4);
  return size;
}
