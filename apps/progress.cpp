#include "apps/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace apps {

std::string images_line(std::int64_t done, std::int64_t total, double seconds) {
  const double rate = static_cast<double>(done) / seconds;
  return fmt::format("{}/{} images  {:.0f} images/s  ETA {}", done, total, rate,
                     short_time(static_cast<double>(total - done) / rate));
}

std::function<void(std::int64_t)> show_images(ProgressWriter& progress, std::int64_t total, std::string what) {
  if (!what.empty()) what += ": ";
  return [&progress, total, what, start = clock_seconds()](std::int64_t done) {
    progress.show_line(what + images_line(done, total, clock_seconds() - start));
  };
}

std::string short_time(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  const auto s = std::int64_t(std::llround(seconds)), minutes = s / 60, hours = minutes / 60;
  if (s < 60) return fmt::format("{}s", s);
  if (hours == 0) return fmt::format("{}m{:02}s", minutes, s % 60);
  if (hours < 24) return fmt::format("{}h{:02}m", hours, minutes % 60);
  return fmt::format("{}d{:02}h", hours / 24, hours % 24);
}

std::string progress_line(const Progress& p) {
  const auto of = [](std::int64_t done, std::int64_t total) {
    const std::string all = std::to_string(total);
    return fmt::format("{:>{}}/{}", done, all.size(), all);
  };
  const std::string lr = p.lr == 0 ? "0" : fmt::format("{:.1e}", p.lr);
  const std::string wait = p.data_wait < 0.05 ? "" : fmt::format("  data wait {:.0f} %", 100 * p.data_wait);
  return fmt::format("epoch {}  step {}  loss {:.4f}  lr {:<7}  ETA {}  {:.0f} images/s{}", of(p.epoch, p.epochs),
                     of(p.step, p.steps), p.loss, lr, short_time(p.seconds_left), p.images_per_second, wait);
}

std::string fitted(const std::string& line, int columns) {
  const auto room = std::size_t(std::max(columns - 1, 0));
  std::string out = line;
  if (out.size() > room)
    if (const auto cut = out.rfind("  ", room); cut != std::string::npos) out.resize(cut);
  out.resize(room, ' ');
  return out;
}

int terminal_columns(std::FILE* file) {
  if (!isatty(fileno(file))) return 0;
  winsize size{};
  const bool known = ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

ProgressWriter::ProgressWriter(std::FILE* file, double every, std::function<int()> columns)
    : file_(file), every_(every), last_(-INFINITY), columns_(std::move(columns)) {
  if (!columns_) columns_ = [file] { return terminal_columns(file); };
}

void ProgressWriter::show(const Progress& progress, double now) { show_line(progress_line(progress), now); }

void ProgressWriter::show_line(std::string line, double now) {
  held_ = std::move(line);
  if (now - last_ < (columns_() > 0 ? 0.1 : every_)) return;
  last_ = now;
  write(std::exchange(held_, {}));
}

void ProgressWriter::note(const std::string& line) {
  const int columns = columns_();
  if (!shown_.empty()) put("\r" + fitted("", columns) + "\r");
  put(line + "\n");
  if (!shown_.empty()) put(fitted(shown_, columns));
  std::fflush(file_);
}

void ProgressWriter::finish() {
  if (!held_.empty()) write(std::exchange(held_, {}));
  if (!shown_.empty()) put("\n");
  std::fflush(file_);
  shown_.clear();
  last_ = -INFINITY;
}

/// Nothing stops for a reader that has gone.
void ProgressWriter::put(const std::string& text) { (void)!std::fwrite(text.data(), 1, text.size(), file_); }

void ProgressWriter::write(const std::string& line) {
  if (const int columns = columns_(); columns > 0) {
    put("\r" + fitted(line, columns));
    shown_ = line;
  } else {
    put(line + "\n");
  }
  std::fflush(file_);
}

}  // namespace apps
