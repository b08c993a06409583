// Files that survive a crash: whole-file saves that are old or new and never torn, and an append-only log of lines.
//
// A save writes a sibling `NAME.PID.partial`, then fsync, rename over NAME, fsync of the folder. Whatever fails, NAME
// holds its old or its new content and the partial file is gone; only a killed process leaves one behind, which
// remove_partial_files clears at the next start. Every error is a kernels::Error that names the path.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace engine {

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const { return fd_; }
  int release();

 private:
  int fd_;
};

/// A regular file opened for reading. Its size is that of the moment it was opened.
class InputFile {
 public:
  /// Throws where the file cannot be opened or is not a regular file.
  explicit InputFile(std::string path);

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  int descriptor() const { return file_.get(); }
  /// Reads exactly `bytes` bytes from `offset`; throws where the file ends before.
  void read_at(std::uint64_t offset, void* destination, std::uint64_t bytes) const;

 private:
  std::string path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

/// All bytes of a regular file.
std::string read_file(const std::string& path);

/// Writes to a file that write_atomically opened. A short write goes on; an error throws.
class FileWriter {
 public:
  void write(const void* data, std::uint64_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }

 private:
  friend void write_atomically(const std::string&, const std::function<void(FileWriter&)>&, std::uint64_t);
  FileWriter(const std::string& partial, const std::string& path, std::uint64_t total);
  void finish();

  std::string path_;  // the file's final name, for errors
  std::uint64_t total_, written_ = 0;
  Descriptor file_;
};

/// Replaces `path` by what `fill` writes, or leaves it as it was and throws (only an error of the last step, the fsync
/// of the folder, comes with the new content in place). A link is followed; what is no regular file is refused.
/// `total`: bytes that fill will write, where they are known, for the message about a full disk.
void write_atomically(const std::string& path, const std::function<void(FileWriter&)>& fill, std::uint64_t total = 0);

/// Removes the *.partial files that a killed process left in a folder and returns how many. For the one owner of the
/// folder, at its start: a save that runs meanwhile would lose its file.
int remove_partial_files(const std::string& folder);

/// Makes the folder (and those above it) and holds it for this process until the descriptor dies, by kill too; throws
/// where another process holds it. Where the file system has no locks, nothing is held.
Descriptor hold_folder(const std::string& folder);

/// Bytes that this user may still write to the file system of `folder`.
std::uint64_t free_bytes(const std::string& folder);

/// Appends lines, or records, to a file; each is handed to the system in one call, so that a killed process loses none.
class LineLog {
 public:
  explicit LineLog(std::string path);
  /// `line` without its end; a line break inside it is refused. Throws where the system does not take it, such as on a
  /// full disk; what was not taken is kept and goes before the next line, or with sync().
  void append(std::string_view line);
  /// The same for a record that says itself where it ends, of any bytes.
  void append_record(std::string_view bytes);
  /// Waits until the disk has every line; throws where it does not take them.
  void sync();

 private:
  void write_waiting();

  std::string path_;
  Descriptor file_;
  std::string waiting_;  // what the system has not taken yet
};

/// Cuts a log before the first line that `keep` refuses, and before a last line without its end (torn by a crash).
/// Returns the number of lines kept; a log that does not exist has none.
std::int64_t keep_lines(const std::string& path, const std::function<bool(std::string_view line)>& keep);

/// Fault injection for tests. save_fault, null otherwise, is called in each save at "after write" (every
/// FileWriter::write), "before fsync", "before rename" and "after rename" with the file's final name; it may throw, or kill
/// the process.
inline void (*save_fault)(std::string_view point, const std::string& path) = nullptr;

/// The system's calls that can fail under a save or a read: a test replaces them to write short, to fill the disk
/// (ENOSPC), or to break it (EIO).
struct SystemCalls {
  ssize_t (*write)(int file, const void* data, std::size_t bytes);
  ssize_t (*pread)(int file, void* data, std::size_t bytes, off_t offset);
  int (*fsync)(int file);
  int (*rename)(const char* from, const char* to);
};
extern SystemCalls system_calls;

}  // namespace engine
