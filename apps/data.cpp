#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/contact_sheet.h"
#include "apps/data_options.h"
#include "apps/data_report.h"
#include "apps/model_options.h"
#include "apps/output_file.h"
#include "apps/progress.h"
#include "apps/show_channels.h"
#include "mae/dataset_formats.h"
#include "mae/file_table.h"
#include "mae/tar.h"

namespace apps {
namespace fs = std::filesystem;
namespace {

struct DataCommand {
  std::string path, orientation = "as_stored", json, sheet;
  int channels = 0, workers = 0;
  std::int64_t images = 0;
  mae::Config size;  // its image_height and image_width
  bool augment = true;
  mae::CropRange crop{};
  std::uint32_t seed = 0;
  std::vector<int> show_channels;
};

void add_options(OptionTable& t, DataCommand& o) {
  t.add("data", o.path,
        "as --data of pretrain: a folder, a list (*.txt, *.csv), IDX or CIFAR, tar shards, or what `mae pack` wrote")
      .positional()
      .shown_as("PATH")
      .must_be_given();
  t.group("Reading");
  t.add("channels", o.channels, "of every image; 0: what the files hold, and 3 for JPEG and PNG files");
  add_orientation_option(t, o.orientation);
  t.add("images", o.images, "images to look at, drawn by a fixed rule; 0: all");
  t.add("workers", o.workers, "threads; the result does not depend on it; 0: one a core");
  t.add("json", o.json, "write everything to this file too, and every class").shown_as("FILE");
  t.group("Contact sheet");
  t.add("sheet", o.sheet, "a PNG to write: samples as the model will see them in the first epochs").shown_as("FILE");
  add_image_size_option(t, o.size);
  add_augment_options(t, o.augment, o.crop);
  t.add("seed", o.seed, "of the crops, as in pretrain");
  add_show_channels_option(t, o.show_channels);
}

void check(const DataCommand& o) {
  if (o.images < 0) throw UsageError("there are no fewer than no images", "--images", "0 for all");
  if (o.workers < 0 || o.workers > 1024) throw UsageError("0 to 1024 workers can be started", "--workers");
  if (o.channels < 0 || o.channels > mae::max_channels)
    throw UsageError(fmt::format("{} channels", o.channels), "--channels", "1 to 64, or 0 for what the files hold");
  check_output_file("--json", o.json);
  check_output_file("--sheet", o.sheet);
  if (!o.json.empty() && o.json == o.sheet)
    throw kernels::Error("--json and --sheet name one file, " + o.json, "--sheet", "another name");
}

/// Refuses to write over what is read, and to add an image to a folder of images or anything to packed ones.
void check_no_image(const char* flag, const std::string& path, const mae::Dataset& data) {
  if (path.empty()) return;
  std::error_code error;
  const bool inside = lies_in(path, data.folder) && (mae::is_image_name(path) || data.format == mae::packed_format);
  const bool shard = data.format == mae::shards_format && mae::is_tar_name(path) && fs::exists(path, error);
  bool one = inside || shard || fs::equivalent(path, data.path, error);
  const bool of_list = data.file && data.folder.empty() && fs::exists(path, error);
  for (std::int64_t i = 0; of_list && !one && i < data.size; ++i) one = fs::equivalent(path, data.file(i), error);
  if (one) throw kernels::Error(path + " belongs to the data set", flag, "a name outside of it");
}

/// All samples, or so many of an order that never changes.
std::vector<std::uint32_t> samples_of(const mae::Dataset& data, std::int64_t count) {
  std::vector<std::uint32_t> samples(static_cast<std::size_t>(data.size));
  if (count == 0 || count >= data.size) {
    std::iota(samples.begin(), samples.end(), 0u);
    return samples;
  }
  samples = mae::epoch_order(data.size, 0, 0);
  samples.resize(static_cast<std::size_t>(count));
  std::sort(samples.begin(), samples.end());
  return samples;
}

mae::Survey look_at(const mae::Dataset& data, const std::vector<std::uint32_t>& samples, int workers) {
  ProgressWriter progress;
  const double start = clock_seconds();
  const auto total = static_cast<std::int64_t>(samples.size());
  const auto show = [&](std::int64_t done) {
    const double seconds = clock_seconds() - start;
    if (seconds < 1) return;  // a small set needs no line
    progress.show_line(images_line(done, total, seconds));
  };
  return mae::survey(data, samples, {.workers = workers, .progress = show});
}

void write_sheet(const mae::Dataset& data, const mae::Survey& survey, const DataCommand& o, bool size_given) {
  const bool own = !size_given && data.height > 0;  // all images have one size
  const SheetOptions sheet{.height = own ? data.height : o.size.image_height,
                           .width = own ? data.width : o.size.image_width,
                           .augment = o.augment,
                           .crop = o.crop,
                           .seed = o.seed,
                           .bands = shown_bands(o.show_channels, data.channels),
                           .value_range = mae::full_scale(data.dtype, survey.largest())};
  write_png(o.sheet, contact_sheet(data, sheet));
  fmt::print("\ncontact sheet: {}\n", o.sheet);
}

}  // namespace

int data(int argc, char** argv) {
  DataCommand o;
  OptionTable table("data", "what is in a data set, what cannot be read, and how the model will see it",
                    "mae data /usr/share/datasets/fashion-mnist --sheet data.png");
  add_options(table, o);
  table.pass_over(pretrain_keys());
  if (!table.parse(argc, argv)) return done;
  check(o);
  const mae::Dataset set =
      mae::open_dataset(o.path, {.channels = o.channels, .orientation = orientation_named(o.orientation)});
  check_no_image("--json", o.json, set);
  check_no_image("--sheet", o.sheet, set);
  if (!o.sheet.empty()) shown_bands(o.show_channels, set.channels);  // refused before the long part
  const DataReport report{.data = set, .survey = look_at(set, samples_of(set, o.images), o.workers)};
  print_report(report);
  if (!o.json.empty()) write_json(o.json, to_json(report));
  if (!o.sheet.empty() && report.survey.images > 0) write_sheet(set, report.survey, o, table.given("image_size"));
  return report.survey.unreadable.empty() && report.survey.not_finite.empty() ? done : bad_input;
}

}  // namespace apps
