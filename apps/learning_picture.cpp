#include "apps/learning_picture.h"

#include <fmt/format.h>

#include <filesystem>
#include <sstream>

#include "apps/chart.h"
#include "apps/grid_picture.h"
#include "engine/json.h"
#include "engine/safetensors.h"

namespace apps {
namespace {

namespace fs = std::filesystem;

std::string bands_text(const std::vector<int>& bands) { return fmt::format("{}", fmt::join(bands, ",")); }

/// One stage of the pictures: u8 (N, height, width, bands).
void save_stage(const std::string& path, const mae::Reconstruction& r, const std::vector<int>& bands,
                const std::string& caption) {
  std::vector<std::byte> all;
  for (std::int64_t n = 0; n < r.count; ++n) {
    const mae::Image image = mae::picture(r, r.pasted, n, bands);
    all.insert(all.end(), image.pixels.begin(), image.pixels.end());
  }
  engine::write_safetensors(path, {{"caption", caption}, {"bands", bands_text(bands)}},
                            {{"pasted",
                              kernels::DType::u8,
                              {r.count, r.height, r.width, static_cast<std::int64_t>(bands.size())},
                              all.data()}});
}

struct LoadedStage {
  std::string caption, bands;
  std::vector<Canvas> tiles;
};

LoadedStage load_stage(const std::string& path) {
  const engine::SafetensorsFile file(path);
  LoadedStage stage;
  for (const auto& [key, value] : file.header().metadata) {
    if (key == "caption") stage.caption = value;
    if (key == "bands") stage.bands = value;
  }
  const engine::TensorEntry& entry = file.header().tensors.at(0);
  std::vector<std::byte> all(entry.end - entry.begin);
  file.read(entry, all.data());
  mae::Image image = mae::make_image(static_cast<int>(entry.shape[1]), static_cast<int>(entry.shape[2]),
                                     static_cast<int>(entry.shape[3]), kernels::DType::u8);
  const std::size_t bytes = image.pixels.size();
  for (std::size_t at = 0; at + bytes <= all.size(); at += bytes) {
    std::copy(all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(at + bytes),
              image.pixels.begin());
    stage.tiles.push_back(canvas_of(image));
  }
  return stage;
}

}  // namespace

std::vector<std::string> LearningPicture::stages_at(std::int64_t step, double epoch) const {
  std::vector<std::string> stages{"4-now"};
  const auto missing = [&](const char* name) {
    return !fs::exists(fs::path(folder_) / (std::string(name) + ".safetensors"));
  };
  if (step <= 1) stages.emplace_back("1-first");
  if (step > 1 && epoch >= epochs_ / 8 && epoch < epochs_ / 2 && missing("2-early")) stages.emplace_back("2-early");
  if (epoch >= epochs_ / 2 && epoch < epochs_ && missing("3-middle")) stages.emplace_back("3-middle");
  return stages;
}

void LearningPicture::add(const mae::Reconstruction& r, std::int64_t step, double epoch,
                          const std::vector<int>& bands) {
  const std::string caption = step <= 1 ? "first step" : fmt::format("epoch {:.3g}", epoch);
  for (const std::string& stage : stages_at(step, epoch)) {
    save_stage((fs::path(folder_) / (stage + ".safetensors")).string(), r, bands, caption);
  }
  draw_picture(r, bands);
}

void LearningPicture::draw_picture(const mae::Reconstruction& now, const std::vector<int>& bands) const {
  Grid grid{.title = "Reconstructions of the same masked images while the model learns",
            .columns = {"original", "masked"},
            .rows = {},
            .tiles = {}};
  for (std::int64_t n = 0; n < now.count; ++n) {
    grid.tiles.push_back(
        {canvas_of(mae::picture(now, now.original, n, bands)), canvas_of(mae::picture(now, now.masked, n, bands))});
  }
  for (const char* name : {"1-first", "2-early", "3-middle", "4-now"}) {
    const fs::path path = fs::path(folder_) / (std::string(name) + ".safetensors");
    if (!fs::exists(path)) continue;
    const LoadedStage stage = load_stage(path.string());
    if (grid.columns.back() == stage.caption) continue;  // "now" is still one of the others
    // of an earlier part of the run, with other --pictures or --show-channels
    const bool other_bands = !stage.bands.empty() && stage.bands != bands_text(bands);
    if (other_bands || stage.tiles.size() != grid.tiles.size()) continue;
    grid.columns.push_back(stage.caption);
    for (std::size_t n = 0; n < grid.tiles.size(); ++n) grid.tiles[n].push_back(stage.tiles[n]);
  }
  write_png((fs::path(folder_) / "learning.png").string(), draw(grid));
}

void write_strips(const std::string& path, const mae::Reconstruction& r, const std::vector<std::string>& names,
                  const std::vector<int>& bands) {
  Grid grid{.title = "",
            .columns = {"original", "masked", "prediction", "visible patches pasted in"},
            .rows = names,
            .tiles = {}};
  for (std::int64_t n = 0; n < r.count; ++n) {
    std::vector<Canvas> row;
    for (const auto* values : {&r.original, &r.masked, &r.predicted, &r.pasted})
      row.push_back(canvas_of(mae::picture(r, *values, n, bands)));
    grid.tiles.push_back(row);
  }
  write_png(path, draw(grid));
}

namespace {

/// body(line) for each line of a log, where there is one.
template <class Body>
void each_line(const std::string& file, Body&& body) {
  if (!fs::exists(file)) return;
  std::istringstream lines(engine::read_file(file));
  for (std::string line; std::getline(lines, line);) body(engine::parse_json(line, file));
}

}  // namespace

void write_accuracy_picture(const std::string& path, const std::string& evaluations) {
  std::vector<Series> series;
  each_line(evaluations, [&](const engine::Json& line) {
    if (series.empty())
      series = {{.name = line.as_object()[0].key, .x = {}, .y = {}},
                {.name = line.as_object()[1].key, .x = {}, .y = {}}};
    for (std::size_t i = 0; i < series.size(); ++i) {
      series[i].x.push_back(line.at("epoch").as_double());
      series[i].y.push_back(line.as_object()[i].as_double());
    }
  });
  const bool percent = !series.empty() && series[0].name == "top1";
  write_png(
      path,
      draw(Chart{
          .title = "Validation", .x_title = "epoch", .y_title = percent ? "accuracy, %" : "0 to 1", .series = series}));
}

void write_loss_picture(const std::string& path, const std::string& log, const std::string& events,
                        const LossTitles& titles) {
  Series steps{.name = "", .x = {}, .y = {}, .faint = true}, validation{.name = "validation", .x = {}, .y = {}};
  each_line(log, [&](const engine::Json& line) {
    if (line.find("skipped")) return;  // its loss was not finite
    steps.x.push_back(line.at("epoch").as_double());
    steps.y.push_back(line.at("loss").as_double());
  });
  each_line(events, [&](const engine::Json& line) {
    const engine::Json* loss = line.find("validation_loss");
    if (loss && loss->kind != engine::Json::Kind::null) {  // null: it was not finite
      validation.x.push_back(line.at("epoch").as_double());
      validation.y.push_back(loss->as_double());
    }
  });
  Series mean = smoothed(steps, std::max<int>(1, static_cast<int>(steps.x.size() / 50)));
  mean.name = "training";
  mean.faint = false;
  Chart chart{
      .title = titles.title, .x_title = "epoch", .y_title = titles.y_title, .log_y = true, .series = {steps, mean}};
  if (!validation.x.empty()) chart.series.push_back(validation);
  write_png(path, draw(chart));
}

}  // namespace apps
