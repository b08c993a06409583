#include <fmt/format.h>

#include <limits>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/data_options.h"
#include "apps/data_report.h"
#include "apps/progress.h"
#include "apps/stop_request.h"
#include "apps/table.h"
#include "mae/pack.h"

namespace apps {
namespace {

struct PackCommand {
  std::string path, out, orientation = "as_stored";
  int size = 0, channels = 0, workers = 0;
  std::int64_t shard_mb = 1000;
  double max_damaged = 0.01;
};

void add_options(OptionTable& t, PackCommand& o) {
  t.add("data", o.path, "as --data of pretrain; DIR:val and DIR:test are splits of their own")
      .positional()
      .shown_as("PATH")
      .must_be_given();
  t.add("out", o.out, "folder to write: a new or an empty one").shown_as("DIR").must_be_given();
  t.group("Images");
  t.add("size", o.size, "shrinks an image so that its shorter side is this, and enlarges none; 0: as stored");
  t.add("channels", o.channels, "of every image; 0: what the files hold, and 3 for JPEG and PNG files");
  add_orientation_option(t, o.orientation);
  t.add("max_damaged", o.max_damaged, "share of the images that may be left out because they cannot be read");
  t.group("Work");
  t.add("shard_mb", o.shard_mb, "size of a file, in millions of bytes");
  t.add("workers", o.workers, "threads; the result does not depend on it; 0: one a core");
}

void check(const PackCommand& o) {
  if (o.size < 0 || o.size > mae::max_side)
    throw UsageError(fmt::format("a side of {} pixels", o.size), "--size",
                     fmt::format("1 to {}, or 0 for images as they are stored", mae::max_side));
  if (o.workers < 0 || o.workers > 1024) throw UsageError("0 to 1024 workers can be started", "--workers");
  if (o.channels < 0 || o.channels > mae::max_channels)
    throw UsageError(fmt::format("{} channels", o.channels), "--channels", "1 to 64, or 0 for what the files hold");
  if (o.shard_mb < 1 || o.shard_mb > 1'000'000)
    throw UsageError(fmt::format("files of {} MB", o.shard_mb), "--shard-mb", "1 to 1000000");
  if (!(o.max_damaged >= 0 && o.max_damaged <= 1))
    throw UsageError("is a share of the images: 0 to 1", "--max-damaged");
}

struct Stopped {};

mae::Packed pack_with_progress(const mae::Dataset& data, const PackCommand& o, const StopRequest& stop) {
  ProgressWriter progress;
  const double start = clock_seconds();
  const auto show = [&](const mae::Packed& so_far) {
    if (!stop.signal().empty()) throw Stopped();
    const double seconds = clock_seconds() - start;
    if (seconds < 1) return;  // a small set needs no line
    progress.show_line(images_line(so_far.images + std::ssize(so_far.left_out), data.size, seconds) + "  " +
                       bytes_text(static_cast<double>(so_far.bytes)));
  };
  return mae::pack(data, o.out,
                   {.size = o.size,
                    .shard_bytes = static_cast<std::uint64_t>(o.shard_mb) * 1'000'000,
                    .workers = o.workers,
                    .max_damaged = o.max_damaged,
                    .progress = show});
}

void print_summary(const mae::Dataset& data, const mae::Packed& packed, const PackCommand& o) {
  std::string images = thousands(packed.images);
  if (!packed.left_out.empty()) images += fmt::format(", and {} left out", thousands(std::ssize(packed.left_out)));
  const std::string sides = o.size == 0 ? "as stored" : fmt::format("the shorter side at most {}", o.size);
  fmt::print("{}", aligned({{"data", o.path},
                            {"format", data.format},
                            {"images", images},
                            {"classes", data.classes.empty() ? "none" : thousands(std::ssize(data.classes))},
                            {"pixels", fmt::format("{}, {}", pixel_kind(data), sides)},
                            {"packed", fmt::format("{} in {} shard{}", bytes_text(static_cast<double>(packed.bytes)),
                                                   packed.shards, packed.shards == 1 ? "" : "s")},
                            {"folder", o.out}},
                           "ll"));
  print_damaged("left out", packed.left_out);
  if (const auto others = mae::other_splits(o.path); !others.empty())
    fmt::print("\nnot packed: {}:{}\n", o.path, fmt::join(others, ", " + o.path + ":"));
}

}  // namespace

int pack(int argc, char** argv) {
  PackCommand o;
  OptionTable table("pack", "decodes a data set once, into files that training reads without decoding",
                    "mae pack imagenet:val --out packed/val --size 256");
  add_options(table, o);
  if (!table.parse(argc, argv)) return done;
  check(o);
  const mae::Dataset set =
      mae::open_dataset(o.path, {.channels = o.channels, .orientation = orientation_named(o.orientation)});
  const StopRequest stop(std::numeric_limits<double>::infinity());
  try {
    print_summary(set, pack_with_progress(set, o, stop), o);
  } catch (const Stopped&) {
    fmt::print(stderr, "stopped by {}: nothing is left in {}\n", stop.signal(), o.out);
    return interrupted;
  }
  return done;
}

}  // namespace apps
