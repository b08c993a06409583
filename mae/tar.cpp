// Tar files, by libarchive.
#include "mae/tar.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>

#include "engine/mapped_file.h"
#include "kernels/core/check.h"

namespace mae {

bool is_tar_name(std::string_view name) {
  return name.ends_with(".tar") || name.ends_with(".tar.gz") || name.ends_with(".tgz");
}

bool is_tar(const std::string& path) {
  if (is_tar_name(path)) return true;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"),
                                                        gzclose);  // it reads plain files, too
  char header[512] = {};
  return file && gzread(file.get(), header, sizeof header) == sizeof header &&
         std::memcmp(header + 257, "ustar", 5) == 0;
}

}  // namespace mae

#ifdef MAE_WITH_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>

namespace mae {
namespace {

constexpr std::size_t tar_block = 512, tar_piece = std::size_t{1} << 20;
constexpr const char* goes_on = "it goes on behind its end: a hole in it, or several files in one";

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// A walk through a tar file: plain in memory, or through zlib, which compares its checksum.
class TarWalk {
 public:
  TarWalk(const std::string& path, std::span<const std::byte> file)
      : path_(path), gzip_(nullptr, gzclose), archive_(archive_read_new(), archive_read_free) {
    archive_read_support_format_tar(archive_.get());
    if (archive_read_open_memory(archive_.get(), file.data(), file.size()) != ARCHIVE_OK) refuse();
  }
  explicit TarWalk(const std::string& path)
      : path_(path), gzip_(gzopen(path.c_str(), "rb"), gzclose), archive_(archive_read_new(), archive_read_free) {
    if (!gzip_) refuse("it cannot be opened");
    archive_read_support_format_tar(archive_.get());
    unpacked_.resize(tar_piece);
    const auto read_more = [](archive*, void* walk, const void** bytes) {
      return static_cast<TarWalk*>(walk)->unpack(bytes);
    };
    if (archive_read_open(archive_.get(), this, nullptr, read_more, nullptr) != ARCHIVE_OK) refuse();
  }
  TarWalk(TarWalk&&) = delete;

  [[noreturn]] void refuse(const char* what = nullptr) const {
    if (what == nullptr) what = archive_error_string(archive_.get());
    throw kernels::Error("cut or damaged tar file" + (what ? ": " + std::string(what) : std::string()), path_,
                         "fetch or write the file again");
  }

  /// The next entry, or null.
  archive_entry* next() {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(archive_.get(), &entry);
    if (code == ARCHIVE_EOF) return nullptr;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) refuse();
    return entry;
  }

  /// Where the content of the entry begins, in what is unpacked.
  std::size_t place() const { return static_cast<std::size_t>(archive_filter_bytes(archive_.get(), 0)); }

  /// Memory grows with what was read, so that a damaged header cannot ask for gigabytes.
  std::vector<std::byte> content(std::uint64_t bytes) {
    std::vector<std::byte> content;
    while (content.size() < bytes) {
      const std::size_t old = content.size();
      content.resize(std::min<std::uint64_t>(bytes, old + tar_piece));
      const auto wanted = static_cast<la_ssize_t>(content.size() - old);
      if (archive_read_data(archive_.get(), &content[old], content.size() - old) != wanted) refuse();
    }
    content.shrink_to_fit();
    return content;
  }

  /// Behind the end, up to the checksum, there is nothing but zeros.
  void finish_unpacking() {
    const std::size_t last = total_ - static_cast<std::size_t>(got_);  // where the piece begins that was unpacked last
    std::size_t behind = std::min(total_, std::max(last, place())) - last;
    do {
      if (!all_zero(std::span(unpacked_).first(static_cast<std::size_t>(got_)).subspan(behind))) refuse(goes_on);
      const void* bytes = nullptr;
      if (unpack(&bytes) < 0) refuse();
      behind = 0;
    } while (got_ > 0);
  }

 private:
  la_ssize_t unpack(const void** bytes) {
    *bytes = unpacked_.data();
    got_ = gzread(gzip_.get(), unpacked_.data(), static_cast<unsigned>(unpacked_.size()));
    int status = Z_OK;
    const char* fault = gzerror(gzip_.get(), &status);
    total_ += static_cast<std::size_t>(std::max(got_, 0));
    if (got_ >= 0 && status >= 0) return got_;
    got_ = 0;
    archive_set_error(archive_.get(), EIO, "%s", fault);
    return -1;
  }

  const std::string& path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> gzip_;  // null: plain
  std::vector<std::byte> unpacked_;                  // a piece
  int got_ = 0;                                      // bytes of it
  std::size_t total_ = 0;                            // bytes that were unpacked so far
  std::unique_ptr<archive, int (*)(archive*)> archive_;
};

std::string path_of(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  if (name == nullptr) name = archive_entry_pathname_utf8(entry);  // letters that the locale has not
  return name ? name : "";
}

bool is_content(archive_entry* entry) {
  return archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr &&
         archive_entry_sparse_count(entry) == 0;
}

/// A regular file becomes a member; null for anything else, which is counted where it is no folder.
TarMember* add(archive_entry* entry, TarContent& content) {
  if (is_content(entry)) return &content.members.emplace_back(TarMember{path_of(entry), {}});
  if (archive_entry_filetype(entry) != AE_IFDIR) ++content.others;
  return nullptr;
}

using Wanted = std::function<bool(std::string_view)>;

/// Only headers are touched: of a gigabyte, some megabytes are read from the disk.
TarContent plain(const std::string& path, std::shared_ptr<const engine::MappedFile> file, const Wanted& wanted) {
  const std::span<const std::byte> bytes = file->bytes();
  file->read_ahead(false);
  TarWalk walk(path, bytes);
  if (bytes.size() < 2 * tar_block || !all_zero(bytes.last(2 * tar_block)))
    walk.refuse("it lacks the two empty blocks at its end");
  TarContent content{.members = {}, .memory = file};
  while (archive_entry* entry = walk.next()) {
    TarMember* member = add(entry, content);
    if (!member || !wanted(member->name)) continue;
    const std::size_t place = walk.place();
    const auto size = static_cast<std::uint64_t>(archive_entry_size(entry));
    if (place > bytes.size() || size > bytes.size() - place) walk.refuse("it ends in a member");
    member->bytes = bytes.subspan(place, size);
  }
  if (!all_zero(bytes.subspan(std::min(walk.place(), bytes.size())))) walk.refuse(goes_on);
  file->read_ahead(true);
  return content;
}

TarContent unpacked(const std::string& path, const Wanted& wanted, std::uint64_t most) {
  const auto memory = std::make_shared<std::deque<std::vector<std::byte>>>();
  TarContent content{.members = {}, .memory = memory};
  TarWalk walk(path);
  while (archive_entry* entry = walk.next()) {
    TarMember* member = add(entry, content);
    if (!member || !wanted(member->name)) continue;
    const auto size = static_cast<std::uint64_t>(archive_entry_size(entry));
    if (size > most - content.held)
      throw kernels::Error(
          "is compressed, and more than " + std::to_string(most >> 20) + " MiB would have to be held in memory", path,
          "gunzip: plain tar files are read where they lie");
    member->bytes = memory->emplace_back(walk.content(size));
    content.held += size;
  }
  walk.finish_unpacking();
  return content;
}

}  // namespace

TarContent read_tar(const std::string& path, const Wanted& wanted, std::uint64_t most_held) {
  auto file = std::make_shared<const engine::MappedFile>(path);
  const std::span<const std::byte> bytes = file->bytes();
  const bool gzip = bytes.size() > 2 && bytes[0] == std::byte{0x1f} && bytes[1] == std::byte{0x8b};
  return gzip ? unpacked(path, wanted, most_held) : plain(path, std::move(file), wanted);
}

}  // namespace mae
#else
namespace mae {

TarContent read_tar(const std::string& path, const std::function<bool(std::string_view)>&, std::uint64_t) {
  throw kernels::Error("is a tar file, and this build cannot read tar", path,
                       "install libarchive (libarchive-dev) and build again");
}

}  // namespace mae
#endif
