// ZipFile, by libzip.
#include <fmt/format.h>

#include <algorithm>

#include "engine/files.h"
#include "engine/zip.h"
#include "kernels/core/check.h"

namespace engine {
namespace {

constexpr const char* copy_it_again = "the file is damaged or was cut: copy it again";

std::string short_name(std::string_view name) { return fmt::format("record '{}'", name.substr(0, 80)); }

[[noreturn]] void refuse_record(const std::string& path, std::string_view name, const std::string& what,
                                const std::string& advice = copy_it_again) {
  throw kernels::Error(what, fmt::format("{}: {}", path, short_name(name)), advice);
}

}  // namespace

const ZipRecord* ZipFile::find(std::string_view name) const {
  const auto found =
      std::lower_bound(by_name_.begin(), by_name_.end(), name,
                       [&](std::size_t place, std::string_view wanted) { return records_[place].name < wanted; });
  if (found == by_name_.end() || records_[*found].name != name) return nullptr;
  if (!records_[*found].stored)
    refuse_record(path_, name, "is compressed, encrypted or longer than the file, which torch.save's never are",
                  "load it in PyTorch and torch.save it again");
  return &records_[*found];
}

}  // namespace engine

#ifdef MAE_WITH_LIBZIP
#include <zip.h>

#include <mutex>
#include <numeric>

namespace engine {
namespace {

constexpr std::uint64_t zip_piece_bytes = std::uint64_t{1} << 18;

std::string reason_of(int code) {
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  return text;
}

/// A record that is being read.
class RecordReader {
 public:
  RecordReader(zip_t* archive, const std::string& path, const ZipRecord& record, std::uint64_t index)
      : path_(path), record_(record), file_(zip_fopen_index(archive, index, 0)) {
    if (file_ == nullptr) refuse_record(path, record.name, zip_strerror(archive));
  }
  ~RecordReader() { zip_fclose(file_); }
  RecordReader(const RecordReader&) = delete;
  RecordReader& operator=(const RecordReader&) = delete;

  void read(void* destination, std::uint64_t bytes) {
    for (auto* out = static_cast<char*>(destination); bytes > 0;) {
      const zip_int64_t n = zip_fread(file_, out, std::min(bytes, std::uint64_t{1} << 30));
      if (n <= 0) refuse_record(path_, record_.name, n == 0 ? "ends too early" : zip_file_strerror(file_));
      out += n;
      bytes -= static_cast<std::uint64_t>(n);
    }
  }
  void pass_over(std::uint64_t bytes) {
    std::string piece(std::min(bytes, zip_piece_bytes), '\0');
    for (; bytes > 0; bytes -= std::min(bytes, zip_piece_bytes)) read(piece.data(), std::min(bytes, zip_piece_bytes));
  }
  void jump(std::uint64_t offset) {
    if (zip_fseek(file_, static_cast<zip_int64_t>(offset), SEEK_SET) != 0)
      refuse_record(path_, record_.name, zip_file_strerror(file_));
  }
  /// libzip compares the checksum when it is asked to read on at the end.
  void finish() {
    char beyond;
    if (zip_fread(file_, &beyond, 1) != 0) refuse_record(path_, record_.name, zip_file_strerror(file_));
  }

 private:
  const std::string& path_;
  const ZipRecord& record_;
  zip_file_t* file_;
};

}  // namespace

struct ZipFile::Archive {
  zip_t* zip = nullptr;
  std::mutex one_at_a_time;
  std::vector<bool> checked;  // records whose checksum was found to hold

  ~Archive() {
    if (zip != nullptr) zip_discard(zip);
  }
};

ZipFile::~ZipFile() = default;

ZipFile::ZipFile(const std::string& path) : path_(path), archive_(std::make_unique<Archive>()) {
  const std::uint64_t file_bytes = InputFile(path).size();  // which refuses what is no file
  int error = 0;
  archive_->zip = zip_open(path.c_str(), ZIP_RDONLY, &error);
  if (archive_->zip == nullptr)
    throw kernels::Error("cannot be read as a ZIP file: " + reason_of(error), path, copy_it_again);
  const zip_int64_t count = zip_get_num_entries(archive_->zip, 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t info;
    constexpr zip_uint64_t needed =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(archive_->zip, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW, &info) != 0 ||
        (info.valid & needed) != needed)
      throw kernels::Error(fmt::format("the ZIP directory says too little of record {}", i), path, copy_it_again);
    const bool stored = info.comp_method == ZIP_CM_STORE && info.encryption_method == ZIP_EM_NONE &&
                        info.size == info.comp_size && info.size <= file_bytes;
    records_.push_back({.name = info.name, .bytes = info.size, .stored = stored});
  }

  by_name_.resize(records_.size());
  std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
  std::sort(by_name_.begin(), by_name_.end(),
            [&](std::size_t a, std::size_t b) { return records_[a].name < records_[b].name; });
  for (std::size_t i = 1; i < by_name_.size(); ++i)
    if (records_[by_name_[i]].name == records_[by_name_[i - 1]].name)
      refuse_record(path, records_[by_name_[i]].name, "is there twice");
  archive_->checked.resize(records_.size());
}

void ZipFile::read(const ZipRecord& record, std::uint64_t offset, void* destination, std::uint64_t bytes) const {
  if (offset > record.bytes || bytes > record.bytes - offset)
    refuse_record(path_, record.name, fmt::format("has no {} bytes at {}", bytes, offset));
  const auto index = static_cast<std::size_t>(&record - records_.data());
  const std::lock_guard lock(archive_->one_at_a_time);
  RecordReader reader(archive_->zip, path_, record, index);
  if (archive_->checked[index]) {
    reader.jump(offset);
    reader.read(destination, bytes);
    return;
  }
  reader.pass_over(offset);
  reader.read(destination, bytes);
  reader.pass_over(record.bytes - offset - bytes);
  reader.finish();
  archive_->checked[index] = true;
}

}  // namespace engine
#else
namespace engine {

struct ZipFile::Archive {};

ZipFile::~ZipFile() = default;

ZipFile::ZipFile(const std::string& path) : path_(path) {
  throw kernels::Error("is a ZIP file, as torch.save writes, and this build cannot read ZIP", path,
                       "install libzip's headers (libzip-dev) and build again, or convert the file to safetensors");
}

void ZipFile::read(const ZipRecord&, std::uint64_t, void*, std::uint64_t) const {}

}  // namespace engine
#endif
