#include "bench/loader.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "apps/cli.h"
#include "apps/options.h"
#include "apps/output_file.h"
#include "bench/bare_jpeg.h"
#include "bench/report.h"
#include "bench/timing.h"
#include "mae/loader.h"

namespace bench {
namespace {

using engine::Json;

struct LoaderBench {
  std::vector<std::string> data;
  std::string json;
  double seconds = 3;
  int size = 224, workers = 1;
  std::int64_t images = 256;
  bool augment = true;
};

/// Images a second.
struct Rates {
  std::int64_t images = 0;         // that each was measured on
  double in_all = 0;               // of the loader with all its workers, by the clock
  double loader = 0, decode = 0;   // a core: by the processor's time, which other work on the machine changes less
  double libjpeg = 0, resize = 0;  // a core; 0: not JPEG
  double percent_of_parts = 0;     // 0: not JPEG
};

double seconds_of(clockid_t clock) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double processor_seconds() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

/// What is timed: the n-th pass over all images; the processor's seconds.
using Pass = std::function<double(std::uint32_t n)>;

/// `work` as a pass, all of which counts.
Pass timed(std::function<void(std::uint32_t)> work) {
  return [work = std::move(work)](std::uint32_t n) {
    const double before = processor_seconds();
    work(n);
    return processor_seconds() - before;
  };
}

/// Passes in turn, A B C A B C, for so many seconds each on average: the median of each, in images a second. The first
/// round does not count.
std::vector<double> rates_of(const std::vector<Pass>& passes, std::int64_t images, double seconds) {
  std::vector<std::vector<double>> spent(passes.size());
  const double begin = seconds_of(CLOCK_MONOTONIC), wanted = seconds * static_cast<double>(passes.size());
  for (std::uint32_t n = 0; n < 2 || seconds_of(CLOCK_MONOTONIC) - begin < wanted; ++n) {
    for (std::size_t i = 0; i < passes.size(); ++i) {
      const double pass = passes[i](n);
      if (n > 0) spent[i].push_back(pass);
    }
  }
  std::vector<double> rates;
  for (const auto& of : spent) rates.push_back(static_cast<double>(images) / quantile(of, 0.5));
  return rates;
}

/// Samples of the data set, drawn by a fixed rule, as a data set of their own: every rate is of the same images, each
/// as often as the others.
mae::Dataset some_of(mae::Dataset data, std::int64_t count) {
  std::vector<std::uint32_t> order = mae::epoch_order(data.size, 0, 0);
  const auto at = [order](std::int64_t i) { return order[static_cast<std::size_t>(i)]; };
  if (data.view) data.view = [inner = data.view, at](std::int64_t i) { return inner(at(i)); };
  if (data.file) data.file = [inner = data.file, at](std::int64_t i) { return inner(at(i)); };
  data.image = [inner = data.image, at](std::int64_t i) { return inner(at(i)); };
  data.label = [inner = data.label, at](std::int64_t i) { return inner(at(i)); };
  data.size = count;
  return data;
}

Pass decode_pass(const mae::Dataset& data) {
  return timed([&data](std::uint32_t) {
    for (std::int64_t i = 0; i < data.size; ++i) mae::recycle(data.image(i));
  });
}

Pass loader_pass(mae::Loader& loader) {
  return timed([&loader](std::uint32_t n) {
    const std::int64_t steps = loader.steps_per_epoch().parts;  // whole batches
    for (std::int64_t step = n * steps; step < (n + 1) * steps; ++step) loader.get(step);
  });
}

Pass libjpeg_pass(const std::vector<std::vector<std::byte>>& files) {
  return timed([&files, pixels = std::vector<unsigned char>()](std::uint32_t) mutable {
    for (const auto& file : files) decode_bare_jpeg(file, pixels);
  });
}

mae::Augmentation augmentation_of(const LoaderBench& o) {
  return o.augment ? mae::Augmentation{} : mae::no_augmentation;
}

/// Of images that were decoded just before, as in the loader.
Pass resize_pass(const mae::Dataset& data, const LoaderBench& o) {
  return [&data, &o](std::uint32_t n) {
    std::vector<std::byte> out(static_cast<std::size_t>(o.size) * static_cast<std::size_t>(o.size) *
                               static_cast<std::size_t>(data.channels) * size_of(data.dtype));
    double sum = 0;
    for (std::int64_t i = 0; i < data.size; ++i) {
      mae::Image image = data.image(i);
      const mae::DrawOf draw{.seed = 0, .sample = static_cast<std::uint32_t>(i), .epoch = n};
      const double before = processor_seconds();
      mae::augment(view_of(image), augmentation_of(o), draw, o.size, o.size, out.data());
      sum += processor_seconds() - before;
      mae::recycle(std::move(image));
    }
    return sum;
  };
}

/// With all workers, ahead of who takes the batches, as in training.
double rate_in_all(mae::Loader& loader, std::int64_t batch, double seconds) {
  loader.get(0);
  const double begin = seconds_of(CLOCK_MONOTONIC);
  double elapsed = 0;
  std::int64_t step = 0;
  while (elapsed < seconds) {
    loader.get(++step);
    elapsed = seconds_of(CLOCK_MONOTONIC) - begin;
  }
  return static_cast<double>(step * batch) / elapsed;
}

/// The files, where all are JPEGs that this build can decode; else none.
std::vector<std::vector<std::byte>> jpegs_of(const mae::Dataset& data) {
  std::vector<std::vector<std::byte>> files;
  for (std::int64_t i = 0; has_jpeg() && data.file && i < data.size; ++i) {
    files.push_back(mae::read_bytes(data.file(i)));
    const auto& file = files.back();
    if (file.size() < 2 || file[0] != std::byte{0xff} || file[1] != std::byte{0xd8}) return {};
  }
  return files;
}

constexpr std::int64_t batch_images = 64;

Rates measure(const mae::Dataset& all, const LoaderBench& o) {
  const std::int64_t most = std::min(all.size, o.images);
  const mae::Dataset data = some_of(all, most < batch_images ? most : most / batch_images * batch_images);
  mae::LoaderOptions options{.batch = std::min(batch_images, data.size),
                             .height = o.size,
                             .width = o.size,
                             .augmentation = augmentation_of(o),
                             .workers = 0};
  mae::Loader alone(data, options);  // this thread does the work
  const auto files = jpegs_of(data);
  std::vector<Pass> passes{loader_pass(alone), decode_pass(data)};
  if (!files.empty()) passes.insert(passes.end(), {libjpeg_pass(files), resize_pass(data, o)});
  const std::vector<double> of = rates_of(passes, data.size, o.seconds);
  Rates rates{.images = data.size, .loader = of[0], .decode = of[1]};
  options.workers = o.workers;
  mae::Loader loader(data, options);
  rates.in_all = rate_in_all(loader, options.batch, o.seconds);
  if (files.empty()) return rates;
  rates.libjpeg = of[2];
  rates.resize = of[3];
  rates.percent_of_parts = 100 * rates.loader * (1 / rates.libjpeg + 1 / rates.resize);
  return rates;
}

Json to_json(const std::string& path, const mae::Dataset& data, const Rates& r) {
  Json json = Json::object({{"data", path},
                            {"format", data.format},
                            {"dtype", name_of(data.dtype)},
                            {"channels", data.channels},
                            {"images", r.images},
                            {"in_all", r.in_all},
                            {"loader", r.loader},
                            {"decode", r.decode}});
  if (r.percent_of_parts > 0)
    json.add("libjpeg", r.libjpeg).add("resize", r.resize).add("percent_of_parts", r.percent_of_parts);
  return json;
}

constexpr auto table_row = "{:<13} {:>6} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}  {}\n";

std::string line_of(const std::string& path, const mae::Dataset& data, const Rates& r) {
  const auto whole = [](double rate) { return rate > 0 ? fmt::format("{:.0f}", rate) : ""; };
  const std::string part = r.percent_of_parts > 0 ? fmt::format("{:.1f} %", r.percent_of_parts) : "";
  return fmt::format(table_row, data.format, r.images, whole(r.in_all), whole(r.loader), whole(r.decode),
                     whole(r.libjpeg), whole(r.resize), part, path);
}

void add_options(apps::OptionTable& t, LoaderBench& o) {
  t.add("data", o.data, "as --data of mae pretrain; again for more").shown_as("PATH").must_be_given();
  t.add("size", o.size, "side of what the loader delivers");
  t.add("workers", o.workers, "threads of the loader, for its rate in all");
  t.add("images", o.images, "that are measured, drawn by a fixed rule");
  t.add("augment", o.augment, "random resized crops and flips; without them images are fitted to the size");
  t.add("seconds", o.seconds, "for each rate, in whole passes over the images");
  t.add("json", o.json, "a file for the results").shown_as("FILE");
}

void check(const LoaderBench& o) {
  const auto within = [](const char* flag, double value, double least, double most) {
    if (!(value >= least && value <= most))
      throw apps::UsageError(fmt::format("{} is not a number from {} to {}", value, least, most), flag);
  };
  within("--size", o.size, 1, mae::max_side);
  within("--workers", o.workers, 1, 1024);
  within("--images", static_cast<double>(o.images), 1, 1 << 20);
  within("--seconds", o.seconds, 0.001, 1e4);
  apps::check_output_file("--json", o.json);
}

}  // namespace

int run_loader(int argc, char** argv) {
  LoaderBench o;
  apps::OptionTable options("bench loader", "what a core reads, decodes and crops of a data set",
                            "mae bench loader --data DIR --data PACKED/train");
  add_options(options, o);
  if (!options.parse(argc, argv)) return 0;
  check(o);
  std::vector<mae::Dataset> sets;
  for (const std::string& path : o.data) sets.push_back(mae::open_dataset(path));  // refused before anything is timed
  Json origin = origin_of(kernels::find_device("cpu")), results = Json::array();
  fmt::print("{}; {} worker{}, {} x {}, {}; images/s, in all and a core\n\n", origin.at("name").text, o.workers,
             o.workers == 1 ? "" : "s", o.size, o.size, o.augment ? "random resized crops" : "fitted");
  fmt::print(table_row, "format", "images", "in all", "loader", "decode", "libjpeg", "resize", "% of parts", "data");
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const Rates rates = measure(sets[i], o);
    fmt::print("{}", line_of(o.data[i], sets[i], rates));
    std::fflush(stdout);
    results.add({}, to_json(o.data[i], sets[i], rates));
  }
  origin.add("workers", o.workers).add("size", o.size).add("augment", o.augment).add("seconds", o.seconds);
  if (!o.json.empty()) apps::write_json(o.json, origin.add("results", results));
  return 0;
}

}  // namespace bench
