#include "engine/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "kernels/core/check.h"

namespace engine {

SystemCalls system_calls{.write = ::write, .pread = ::pread, .fsync = ::fsync, .rename = ::rename};

namespace {

namespace fs = std::filesystem;
constexpr const char* partial_suffix = ".partial";

[[noreturn]] void fail(const std::string& what, const std::string& path, const std::string& advice = {}) {
  throw kernels::Error(fmt::format("{}: {}", what, std::strerror(errno)), path, advice);
}

void fault(std::string_view point, const std::string& path) {
  if (save_fault != nullptr) save_fault(point, path);
}

Descriptor open_file(const std::string& path, int flags, const char* purpose) {
  int fd;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) fail(fmt::format("cannot open the file for {}", purpose), path);
  return Descriptor(fd);
}

std::string folder_of(const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

/// Calls write(2) until all is written; returns the bytes written, fewer than wanted after an error (then errno says
/// why).
std::uint64_t write_all(int fd, const char* data, std::uint64_t bytes) {
  std::uint64_t done = 0;
  while (done < bytes) {
    const ssize_t n =
        system_calls.write(fd, data + done, std::min<std::uint64_t>(bytes - done, std::uint64_t{1} << 30));
    if (n > 0) done += static_cast<std::uint64_t>(n);
    else if (n == 0 || errno != EINTR) break;
  }
  return done;
}

void sync(int fd, const std::string& path) {
  int result;
  do result = system_calls.fsync(fd);
  while (result != 0 && errno == EINTR);
  // Some network file systems cannot sync a folder and say so; there is nothing more to do on them.
  if (result != 0 && errno != EINVAL) fail("cannot flush to the disk (fsync)", path);
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

int Descriptor::release() { return std::exchange(fd_, -1); }

// O_NONBLOCK: opening a pipe by mistake is then refused below instead of waiting for a writer forever.
InputFile::InputFile(std::string path)
    : path_(std::move(path)), file_(open_file(path_, O_RDONLY | O_NONBLOCK, "reading")) {
  struct stat info {};
  if (::fstat(file_.get(), &info) != 0) fail("cannot ask for the file's size", path_);
  if (!S_ISREG(info.st_mode)) throw kernels::Error("not a regular file", path_);
  size_ = static_cast<std::uint64_t>(info.st_size);
}

void InputFile::read_at(std::uint64_t offset, void* destination, std::uint64_t bytes) const {
  auto* out = static_cast<char*>(destination);
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t most = std::min<std::uint64_t>(bytes - done, std::uint64_t{1} << 30);
    const ssize_t n = system_calls.pread(file_.get(), out + done, most, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(fmt::format("cannot read {} bytes at {}", bytes, offset), path_);
    if (n == 0)
      throw kernels::Error(fmt::format("ends at byte {}, wanted {} bytes from {}", offset + done, bytes, offset),
                           path_);
    done += static_cast<std::uint64_t>(n);
  }
}

std::string read_file(const std::string& path) {
  const InputFile file(path);
  std::string text(file.size(), '\0');
  file.read_at(0, text.data(), text.size());
  return text;
}

FileWriter::FileWriter(const std::string& partial, const std::string& path, std::uint64_t total)
    : path_(path), total_(total), file_(::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
  if (file_.get() < 0) fail("cannot write the file", path, "a folder that exists and may be written to");
}

void FileWriter::write(const void* data, std::uint64_t bytes) {
  const std::uint64_t done = write_all(file_.get(), static_cast<const char*>(data), bytes);
  if (done < bytes) {
    const int error = errno;  // free_bytes may change it
    const std::string folder = folder_of(path_);
    const std::string advice =
        fmt::format("{} bytes are free in {}; the file there is unchanged", free_bytes(folder), folder);
    errno = error;
    fail(fmt::format("cannot write the file after byte {} of {}", written_ + done, std::max(total_, written_ + bytes)),
         path_, advice);
  }
  written_ += bytes;
  fault("after write", path_);
}

void FileWriter::finish() {
  fault("before fsync", path_);
  sync(file_.get(), path_);
  if (::close(file_.release()) != 0 && errno != EINTR) fail("cannot close the file", path_);
}

namespace {

/// Where a file of this name is renamed to: behind links, so that a link stays one. Devices and pipes are no files.
std::string target_of(const std::string& name) {
  std::error_code error;
  const fs::path target = fs::is_symlink(name, error) ? fs::weakly_canonical(name, error) : fs::path(name);
  const fs::file_status status = fs::status(target, error);
  if (fs::exists(status) && !fs::is_regular_file(status))
    throw kernels::Error(fs::is_directory(status) ? "a directory of this name is in the way"
                                                  : "what stands here is no file: a device, a pipe or a socket",
                         name, "another name");
  return target.empty() ? name : target.string();
}

}  // namespace

void write_atomically(const std::string& name, const std::function<void(FileWriter&)>& fill, std::uint64_t total) {
  const std::string path = target_of(name);
  // The process id keeps two processes that save the same file from writing into each other's.
  const std::string partial = fmt::format("{}.{}{}", path, ::getpid(), partial_suffix);
  ::unlink(partial.c_str());
  try {
    FileWriter writer(partial, path, total);
    fill(writer);
    writer.finish();
    fault("before rename", path);
    if (system_calls.rename(partial.c_str(), path.c_str()) != 0)
      fail("cannot rename the new file over the old one", path);
  } catch (...) {
    ::unlink(partial.c_str());
    throw;
  }
  fault("after rename", path);
  const std::string folder = folder_of(path);
  sync(open_file(folder, O_RDONLY | O_DIRECTORY, "flushing its folder").get(), folder);
}

int remove_partial_files(const std::string& folder) {
  int removed = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().extension() == partial_suffix && ::unlink(entry.path().c_str()) == 0) ++removed;
  if (error) throw kernels::Error("cannot list the folder: " + error.message(), folder);
  return removed;
}

Descriptor hold_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw kernels::Error("cannot make the folder: " + error.message(), folder, "another path");
  Descriptor held = open_file(folder, O_RDONLY | O_DIRECTORY, "holding");
  if (::flock(held.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
    throw kernels::Error("another process is at work in this folder", folder, "wait for it, or another --out");
  return held;
}

std::uint64_t free_bytes(const std::string& folder) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0) fail("cannot ask for the free space", folder);
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

LineLog::LineLog(std::string path)
    : path_(std::move(path)), file_(open_file(path_, O_WRONLY | O_CREAT | O_APPEND, "appending")) {}

void LineLog::append(std::string_view line) {
  if (line.find('\n') != std::string_view::npos) throw kernels::Error("a log line holds a line break", path_);
  append_record(std::string(line) + '\n');
}

void LineLog::append_record(std::string_view bytes) {
  waiting_ += bytes;
  write_waiting();
}

void LineLog::write_waiting() {
  const std::uint64_t done = write_all(file_.get(), waiting_.data(), waiting_.size());
  const int error = errno;
  waiting_.erase(0, done);
  errno = error;
  if (!waiting_.empty()) fail(fmt::format("cannot append {} bytes", waiting_.size()), path_, "make room on the disk");
}

void LineLog::sync() {
  write_waiting();
  engine::sync(file_.get(), path_);
}

std::int64_t keep_lines(const std::string& path, const std::function<bool(std::string_view)>& keep) {
  if (!fs::exists(path)) return 0;
  const std::string text = read_file(path);
  std::int64_t lines = 0;
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1, ++lines)
    if (!keep(std::string_view(text).substr(begin, end - begin))) break;
  if (begin < text.size()) {
    const Descriptor file = open_file(path, O_WRONLY, "cutting");
    if (::ftruncate(file.get(), static_cast<off_t>(begin)) != 0) fail("cannot cut the file", path);
    sync(file.get(), path);
  }
  return lines;
}

}  // namespace engine
