// `mae data`: what it says, and that what it says to paste can be pasted.
#include <cmath>
#include <filesystem>

#include "apps/contact_sheet.h"
#include "engine/files.h"
#include "engine/json.h"
#include "mae/loader.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"
#include "tests/support/npy_cubes.h"

namespace {

namespace fs = std::filesystem;
using test::joined;
using test::mae_answer;
using test::mae_command;
using test::Words;

void write_image(const std::string& path, int value, int height = 16, int width = 16) {
  fs::create_directories(fs::path(path).parent_path());
  mae::Image image = mae::make_image(height, width, 1, kernels::DType::u8);
  for (std::size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<std::byte>((static_cast<std::size_t>(value) * 31 + i * 7) % 251);
  mae::write_png(path, image);
}

engine::Json report_of(const Words& words, const TestFolder& folder) {
  const std::string file = folder.file("report.json");
  mae_answer(joined(words, {"--json", file}));
  return engine::parse_json(engine::read_file(file), file);
}

/// Whether `tile`, each pixel a square of enlarge x enlarge, is somewhere in the picture.
bool shows(const apps::Canvas& canvas, const apps::Canvas& tile, int enlarge) {
  const auto at = [&](int left, int top) {
    for (int y = 0; y < tile.height; ++y)
      for (int x = 0; x < tile.width; ++x)
        if (!(apps::pixel(canvas, left + x * enlarge, top + y * enlarge) == apps::pixel(tile, x, y))) return false;
    return true;
  };
  for (int top = 0; top + tile.height * enlarge <= canvas.height; ++top)
    for (int left = 0; left + tile.width * enlarge <= canvas.width; ++left)
      if (at(left, top)) return true;
  return false;
}

}  // namespace

TEST_CASE("mean and std are those of the pixels, for Fashion-MNIST the published ones") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 50, 16);
  const std::string bytes = engine::read_file(folder.file("train-images-idx3-ubyte")).substr(16);
  long double sum = 0, squares = 0;
  for (const char c : bytes) {
    const long double x = static_cast<unsigned char>(c) / 255.0L;
    sum += x;
    squares += x * x;
  }
  const long double n = static_cast<long double>(bytes.size()), mean = sum / n;
  const engine::Json report = report_of({"data", folder.path()}, folder);
  const engine::Json& channel = report.at("channels").as_array().at(0);
  CHECK(channel.at("mean").as_double() == Approx(static_cast<double>(mean)).epsilon(1e-12));
  CHECK(channel.at("std").as_double() ==
        Approx(static_cast<double>(std::sqrt(squares / n - mean * mean))).epsilon(1e-10));
  CHECK(report.at("images").as_int() == 50);

  const std::string fashion = "/usr/share/datasets/fashion-mnist";
  if (!fs::is_directory(fashion)) {
    WARN("dataset-fashion-mnist is not installed: not checked");
    return;
  }
  const test::Answer answer = mae_answer({"data", fashion});
  CHECK(answer.code == apps::done);
  CHECK_THAT(answer.output, ContainsSubstring("mean = [0.2860]\nstd = [0.3530]\n"));
  CHECK_THAT(answer.output, ContainsSubstring("60,000, all readable"));
}

TEST_CASE("the lines to paste make a config that training has nothing to say about") {
  const TestFolder folder;
  for (int i = 0; i < 12; ++i) write_image(folder.file("grey/" + std::to_string(i) + ".png"), i);
  support::write_cubes<std::uint16_t>(folder.file("bands"), 10, 16, 13, "<u2", 3000);
  support::write_cubes<float>(folder.file("negative"), 10, 16, 2, "<f4", -0.5);
  for (const char* name : {"grey", "bands", "negative"}) {
    INFO(name);
    const test::Answer report = mae_answer({"data", folder.file(name)});
    INFO(report.output);
    const std::size_t begin = report.output.find("channels = ");
    REQUIRE(begin != std::string::npos);
    const std::string config = folder.file("pasted.toml"), run = folder.file(std::string("run-") + name);
    engine::write_atomically(config, [&](engine::FileWriter& f) { f.write(report.output.substr(begin)); });
    const test::Answer answer = mae_answer({"pretrain",
                                            "--config",
                                            config,
                                            "--data",
                                            folder.file(name),
                                            "--out",
                                            run,
                                            "--image-size",
                                            "16",
                                            "--patch",
                                            "4",
                                            "--dim",
                                            "16",
                                            "--depth",
                                            "1",
                                            "--heads",
                                            "2",
                                            "--decoder-dim",
                                            "8",
                                            "--decoder-depth",
                                            "1",
                                            "--decoder-heads",
                                            "2",
                                            "--batch",
                                            "8",
                                            "--epochs",
                                            "1",
                                            "--blr",
                                            "0.01",
                                            "--warmup-epochs",
                                            "0",
                                            "--pictures",
                                            "0"});
    CHECK(answer.code == apps::done);
    CHECK_THAT(answer.error, !ContainsSubstring("warning"));
    const mae::Dataset data = mae::open_dataset(folder.file(name));
    CHECK_THAT(engine::read_file(run + "/config.toml"),
               ContainsSubstring("channels = " + std::to_string(data.channels)));
  }
}

TEST_CASE("every unreadable image is named, what is no image is counted, and the exit code tells") {
  const TestFolder folder;
  const std::string data = folder.file("data");
  for (int i = 0; i < 30; ++i) write_image(data + "/class/" + std::to_string(100 + i) + ".png", i, 10 + i % 3, 20);
  for (const char* name : {"notes.txt", "more.TXT", "photo.webp", ".hidden", "README"})
    engine::write_atomically(data + "/class/" + name, [](engine::FileWriter& f) { f.write("x"); });
  CHECK(mae_answer({"data", data}).code == apps::done);
  for (const char* name : {"104", "117", "128"}) fs::resize_file(data + "/class/" + name + ".png", 60);
  const test::Answer answer = mae_answer({"data", data});
  CHECK(answer.code == apps::bad_input);
  for (const char* name : {"104", "117", "128"})
    CHECK_THAT(answer.output, ContainsSubstring("class/" + std::string(name) + ".png  cut or damaged PNG"));
  CHECK_THAT(answer.output, ContainsSubstring("30, 3 unreadable"));
  CHECK_THAT(answer.output,
             ContainsSubstring("1 .webp") && ContainsSubstring("2 .txt") && ContainsSubstring("1 hidden"));
  CHECK_THAT(answer.output, ContainsSubstring("10 x 20 to 12 x 20"));

  const engine::Json report = report_of({"data", data, "--workers", "5"}, folder);
  CHECK(report.at("unreadable").as_array().size() == 3);
  CHECK(report.at("unreadable").as_array()[1].at("sample").as_int() == 17);
  CHECK(report.at("sizes").at("different").as_int() == 3);
  CHECK(report.at("left_out").at("no extension").as_int() == 1);
  CHECK(report.at("read").as_int() == 27);
  CHECK(to_text(report) == to_text(report_of({"data", data, "--workers", "1"}, folder)));
  CHECK(report_of({"data", data, "--images", "7"}, folder).at("read").as_int() <= 7);
}

TEST_CASE("a value that is not finite is named") {
  const TestFolder folder;
  test::write_float_idx(folder.path(), 12, 16, {3, 9});
  const test::Answer answer = mae_answer({"data", folder.path()});
  CHECK(answer.code == apps::bad_input);
  CHECK_THAT(answer.output, ContainsSubstring("sample 3") && ContainsSubstring("sample 9"));
  CHECK_THAT(answer.output, !ContainsSubstring("nan"));
}

TEST_CASE("of many classes the smallest, the median and the largest are shown, and JSON has all") {
  const TestFolder folder;
  const std::string data = folder.file("data");
  for (int label = 0; label < 25; ++label)
    for (int i = 0; i <= label; ++i)
      write_image(data + "/" + std::to_string(100 + label) + "/" + std::to_string(i) + ".png", i, 4, 4);
  const test::Answer answer = mae_answer({"data", data});
  CHECK_THAT(answer.output, ContainsSubstring("25, of 1 to 25 images"));
  CHECK_THAT(answer.output, ContainsSubstring("112        13  median") && !ContainsSubstring("\n113 "));
  const engine::Json report = report_of({"data", data}, folder);
  CHECK(report.at("classes").as_array().size() == 25);
  CHECK(report.at("classes").as_array()[13].at("images").as_int() == 14);
}

TEST_CASE("the contact sheet shows what the loader makes") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 8, 16);
  const mae::Dataset data = mae::open_dataset(folder.path());
  const apps::SheetOptions options{.height = 16, .width = 16, .seed = 7};
  const apps::Canvas sheet = apps::contact_sheet(data, options);
  mae::Loader loader(data, {.seed = 7, .batch = 8, .height = 16, .width = 16, .workers = 0});
  const auto tile = [&](const mae::Batch& batch, std::size_t i) {
    const auto* pixels = reinterpret_cast<const std::uint8_t*>(batch.pixels.data()) + i * 256;
    return apps::from_grey(16, 16, {pixels, pixels + 256});
  };
  for (const int epoch : {0, 1, 5}) {
    const mae::Batch batch = loader.get(epoch);
    for (const std::size_t i : {0, 5}) CHECK(shows(sheet, tile(batch, i), 8));
  }
  CHECK(!shows(sheet, tile(loader.get(6), 0), 8));  // beyond the sheet

  const std::string first = folder.file("a.png"), second = folder.file("b.png");
  const Words words{"data", folder.path(), "--sheet"};
  CHECK(mae_answer(joined(words, {first})).code == apps::done);
  CHECK(mae_answer(joined(words, {second, "--seed", "3"})).code == apps::done);
  CHECK(engine::read_file(first) != engine::read_file(second));
  const int wide = mae::read_image(first).width;
  CHECK(mae_answer(joined(words, {second, "--no-augment"})).code == apps::done);
  CHECK(mae::read_image(second).width < wide / 2);
}

TEST_CASE("a run's config says to `mae data` what that run sees") {
  const TestFolder folder;
  const std::string data = folder.file("data"), run = folder.file("run"), sheet = folder.file("sheet.png");
  fs::create_directory(data);
  test::write_idx(data, "train", 16, 16);
  REQUIRE(mae_command(joined(test::pretrain_words(data, run), {"--seed", "4", "--crop-min", "0.1"})) == apps::done);
  CHECK(mae_answer({"data", "--config", run + "/config.toml", "--sheet", sheet}).code == apps::done);
  const std::string of_config = engine::read_file(sheet);
  CHECK(mae_answer({"data", data, "--sheet", sheet, "--seed", "4", "--crop-min", "0.1"}).code == apps::done);
  CHECK(engine::read_file(sheet) == of_config);
}

TEST_CASE("what cannot be asked of a data set") {
  const TestFolder folder;
  test::write_idx(folder.path(), "train", 8, 16);
  const Words words{"data", folder.path()};
  for (const Words& wrong :
       {Words{"--images", "-1"}, Words{"--workers", "-1"}, Words{"--channels", "65"}, Words{"--orientation", "up"}})
    CHECK(mae_answer(joined(words, wrong)).code == apps::bad_usage);
  CHECK(mae_answer(joined(words, {"--json", folder.path()})).code == apps::bad_input);
  CHECK(mae_answer(joined(words, {"--sheet", folder.file("nowhere/a.png")})).code == apps::bad_input);
  CHECK(mae_answer(joined(words, {"--sheet", folder.file("a.png"), "--json", folder.file("a.png")})).code ==
        apps::bad_input);
  const std::string image = folder.file("images/a.png");
  fs::create_directory(folder.file("images"));
  mae::write_png(image, mae::make_image(16, 16, 1, kernels::DType::u8));
  const std::string before = engine::read_file(image);
  const test::Answer answer = mae_answer({"data", folder.file("images"), "--sheet", image});
  CHECK(answer.code == apps::bad_input);
  CHECK_THAT(answer.error, ContainsSubstring("belongs to the data set\nwhere: --sheet"));
  CHECK(engine::read_file(image) == before);
  const std::string list = folder.file("list.txt");
  engine::write_atomically(list, [](engine::FileWriter& file) { file.write("images/a.png\n"); });
  fs::create_symlink("images/a.png", folder.file("link.png"));
  for (const Words& wrong : {Words{"--sheet", folder.file("link.png")}, Words{"--json", list}})
    CHECK_THAT(mae_answer(joined({"data", list}, wrong)).error, ContainsSubstring("belongs to the data set"));
  CHECK(mae_answer({"data", folder.file("images"), "--sheet", folder.file("images/new.png")}).code == apps::bad_input);
  CHECK(engine::read_file(image) == before);
  CHECK(mae_answer({"data"}).code == apps::bad_usage);
}
