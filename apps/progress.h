// Live progress of a long loop: one line rewritten in place on a terminal, plain lines now and then anywhere else.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>

namespace apps {

struct Progress {
  int epoch = 0, epochs = 0;         // epoch counts from 1
  std::int64_t step = 0, steps = 0;  // of the whole run
  double loss = 0, lr = 0;
  double images_per_second = 0;
  double seconds_left = -1;  // negative or not finite: not known yet
  double data_wait = 0;      // share of the time that steps waited for images; told from 5 % on
};

/// "epoch 3/100  step 1234/23400  loss 0.4312  lr 1.2e-06  ETA 3m20s  5120 images/s", ASCII, no line end. Counts are
/// padded to the width of their totals, so that the line does not jump.
std::string progress_line(const Progress& progress);

/// "1200/5000 images  400 images/s  ETA 9s": what a pass over a data set has done in so many seconds.
std::string images_line(std::int64_t done, std::int64_t total, double seconds);

class ProgressWriter;
/// For a pass over `total` images: called with how many are done, it shows images_line(), behind `what`.
std::function<void(std::int64_t)> show_images(ProgressWriter& progress, std::int64_t total, std::string what = {});

/// 12s, 3m20s, 1h02m, 3d04h; "?" for what is not known.
std::string short_time(double seconds);

/// Exactly columns - 1 letters (a full row would wrap): a longer line loses whole fields (two spaces part them) from
/// its end where it can, a shorter one is padded with spaces so that the line before leaves nothing behind.
std::string fitted(const std::string& line, int columns);

/// Columns of the terminal that `file` writes to, 0 where it is none.
int terminal_columns(std::FILE* file);

/// Seconds of a clock that never goes back.
double clock_seconds();

/// Invariant: the terminal's cursor stands at the start of a line whenever no progress line is open on it.
class ProgressWriter {
 public:
  /// `every`: seconds between plain lines; a terminal's line is rewritten at most ten times a second.
  /// `columns` is asked at each write, so that a resized window is followed; 0 means not a terminal.
  explicit ProgressWriter(std::FILE* file = stderr, double every = 10, std::function<int()> columns = {});

  ~ProgressWriter() { finish(); }  // an error that passes gets a line of its own
  ProgressWriter(const ProgressWriter&) = delete;

  void show(const Progress& progress, double now = clock_seconds());  // the first is always written
  void show_line(std::string line, double now = clock_seconds());     // the same for any line
  void note(const std::string& line);                                 // a line that stays, over the progress line
  void finish();  // writes the last state if show() held it back, and ends the line

 private:
  void put(const std::string& text);
  void write(const std::string& line);

  std::FILE* file_;
  double every_, last_;
  std::function<int()> columns_;
  std::string held_, shown_;  // the newest line; the line that is open on the terminal
};

}  // namespace apps
