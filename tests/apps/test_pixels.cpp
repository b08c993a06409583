// The options about pixels: the warning about mean and std, the bands that pictures show, the orientation.
#include <filesystem>

#include "apps/cli.h"
#include "apps/pixel_keys.h"
#include "apps/show_channels.h"
#include "engine/files.h"
#include "mae/image.h"
#include "mae/reconstruct.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"
#include "tests/support/npy_cubes.h"

namespace {

namespace fs = std::filesystem;
using test::joined;
using test::mae_answer;
using test::Words;

constexpr const char* warning = "the configured mean, std and value range are not those of the images";

/// A survey as if the images had these means and deviations, in parts of 255.
mae::Survey survey_with(const std::vector<double>& mean, const std::vector<double>& std) {
  mae::Survey s{.images = 1000, .channels = {}, .sizes = {}, .unreadable = {}, .not_finite = {}};
  for (std::size_t c = 0; c < mean.size(); ++c)
    s.channels.push_back(
        {.images = 1, .mean = 255 * mean[c], .squares = 255 * 255 * std[c] * std[c], .smallest = 0, .largest = 255});
  return s;
}

/// The words of the line "try: ...".
Words advice_of(const std::string& error) {
  Words words;
  const std::size_t begin = error.find("try: ") + 5, end = error.find('\n', begin);
  for (std::size_t at = begin; at < end;) {
    const std::size_t space = std::min(error.find(' ', at), end);
    words.push_back(error.substr(at, space - at));
    at = space + 1;
  }
  return words;
}

/// The last column of a picture that is not white under its title.
int right_end(const std::string& path) {
  const mae::Image image = mae::read_image(path, 3);
  int end = 0;
  for (int y = 100; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      if (image.as<std::uint8_t>()[3 * (y * image.width + x)] != 255) end = std::max(end, x);
  return end;
}

Words run_on(const std::string& data, const std::string& run, const std::string& channels) {
  return joined(test::pretrain_words(data, run), {"--channels", channels});
}

}  // namespace

TEST_CASE("ImageNet's mean and std do for photographs; not for Fashion-MNIST, nor for pixels in other units") {
  const mae::Config imagenet;
  const mae::Dataset data;
  const auto far = [&](const std::vector<double>& mean, const std::vector<double>& std) {
    return apps::far_from_config(survey_with(mean, std), data, imagenet);
  };
  CHECK(!far({0.4914, 0.4822, 0.4465}, {0.2470, 0.2435, 0.2616}));  // CIFAR-10
  CHECK(!far({0.4625, 0.4565, 0.4285}, {0.2830, 0.2800, 0.3010}));  // Imagenette
  CHECK(!far({0.4950, 0.4748, 0.4466}, {0.2957, 0.2881, 0.3003}));  // 100 ImageNet files of odd sizes
  const auto fashion = far({0.2860, 0.2860, 0.2860}, {0.3530, 0.3530, 0.3530});
  REQUIRE(fashion);
  CHECK_THAT(fashion->fact(), ContainsSubstring(warning) && ContainsSubstring("in channel"));
  CHECK(fashion->advice() == "--value-range 255 --mean=0.2860,0.2860,0.2860 --std 0.3530,0.3530,0.3530");
  CHECK(far({0.485, 0.456, 0.406 + 0.76 * 0.225}, {0.229, 0.224, 0.225}));
  CHECK(far({0.485, 0.456, 0.406}, {0.229 * 1.51, 0.224, 0.225}));
  CHECK(far({0.485, 0.456, 0.406}, {0.229, 0.224 / 1.51, 0.225}));
  CHECK(!far({0.485, 0.456, 0.406 - 0.74 * 0.225}, {0.229 * 1.49, 0.224 / 1.49, 0.225}));
  CHECK(far({124.0, 116.0, 104.0}, {58.0, 57.0, 57.0}));  // 16 bits, against a range of 255
  CHECK(!far({0.485, 0.456, 0.406}, {0.229, 0, 0.225}));  // a single value: nothing to compare
  CHECK(!apps::far_from_config({}, data, imagenet));
}

TEST_CASE("pretrain warns of a mean and std that are far off, with the flags that mend it") {
  const TestFolder folder;
  support::write_cubes<std::uint16_t>(folder.file("bands"), 12, 16, 13, "<u2", 3000);
  support::write_cubes<float>(folder.file("negative"), 12, 16, 1, "<f4", -0.5);
  for (const auto& [name, channels] : {std::pair{"bands", "13"}, std::pair{"negative", "1"}}) {
    INFO(name);
    const std::string data = folder.file(name), run = folder.file(std::string("run-") + name);
    const test::Answer first = mae_answer(run_on(data, run, channels));
    INFO(first.error);
    CHECK(first.code == apps::done);
    REQUIRE(first.error.find(warning) != std::string::npos);
    CHECK_THAT(first.error, ContainsSubstring("where: " + data));
    const test::Answer again = mae_answer(joined(run_on(data, run + "-2", channels), advice_of(first.error)));
    CHECK(again.code == apps::done);
    CHECK_THAT(again.error, !ContainsSubstring("warning"));
    const test::Answer resumed = mae_answer(joined(run_on(data, run, channels), {"--resume", "auto", "--epochs", "2"}));
    CHECK(resumed.code == apps::done);
    CHECK_THAT(resumed.error, !ContainsSubstring("warning"));  // a run that goes on could not change it
  }
}

TEST_CASE("unreadable images do not disturb the look at the first samples") {
  const TestFolder folder;
  support::write_cubes<std::uint16_t>(folder.file("bands"), 40, 16, 1, "<u2", 3000);
  fs::resize_file(folder.file("bands/17.npy"), 100);
  const test::Answer answer =
      mae_answer(joined(run_on(folder.file("bands"), folder.file("run"), "1"), {"--max-damaged", "0.1"}));
  CHECK(answer.code == apps::done);
  CHECK_THAT(answer.error, ContainsSubstring(warning) && ContainsSubstring("39 images looked at"));
}

TEST_CASE("bands are counted from 1; one or three of them, that are there") {
  CHECK(apps::shown_bands({4, 3, 2}, 13) == std::vector<int>{3, 2, 1});
  CHECK(apps::shown_bands({13}, 13) == std::vector<int>{12});
  CHECK(apps::shown_bands({}, 13) == std::vector<int>{0, 1, 2});
  CHECK(apps::shown_bands({}, 2) == std::vector<int>{0});
  for (const std::vector<int>& wrong : std::vector<std::vector<int>>{{0}, {14}, {1, 2}, {0, 1, 2}, {1, 2, 3, 4}, {-1}})
    CHECK_THROWS_AS(apps::shown_bands(wrong, 13), apps::UsageError);

  mae::Image image = mae::make_image(1, 2, 4, kernels::DType::u16);
  for (int i = 0; i < 8; ++i) image.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(1000 * i);
  const mae::Image shown = mae::picture(image, apps::shown_bands({4, 3, 2}, 4), 7000);
  CHECK(shown.channels == 3);
  const std::vector<int> expected{109, 73, 36, 255, 219, 182};
  for (std::size_t i = 0; i < 6; ++i) CHECK(std::to_integer<int>(shown.pixels[i]) == expected[i]);
}

TEST_CASE("--show-channels picks the bands of every picture") {
  const TestFolder folder;
  const std::string data = folder.file("bands"), image = data + "/0.npy";
  support::write_cubes<std::uint16_t>(data, 8, 16, 13, "<u2", 3000);
  const auto run = [&](const std::string& name, const Words& more) {
    const Words words = joined(run_on(data, folder.file(name), "13"), {"--pictures", "2", "--value-range", "16383"});
    REQUIRE(mae_answer(joined(words, more)).code == apps::done);
    return engine::read_file(folder.file(name) + "/pictures/learning.png");
  };
  const std::string plain = run("plain", {}), bands = run("bands-432", {"--show-channels", "4,3,2"});
  CHECK(run("same", {"--show-channels", "1,2,3"}) == plain);
  CHECK(bands != plain);
  CHECK(engine::read_file(folder.file("plain/log.jsonl")) == engine::read_file(folder.file("bands-432/log.jsonl")));

  run("same", {"--resume", "auto", "--epochs", "2"});
  run("bands-432", {"--resume", "auto", "--epochs", "2", "--show-channels", "1,2,3"});  // its first picture has others
  CHECK(right_end(folder.file("bands-432/pictures/learning.png")) <
        right_end(folder.file("same/pictures/learning.png")) - 100);

  std::string checkpoint;
  for (const auto& entry : fs::directory_iterator(folder.file("plain/checkpoints"))) checkpoint = entry.path().string();
  const auto picture = [&](Words words, const Words& more) {
    const std::string out = folder.file("out.png");
    words = joined(words, {words[0] == "data" ? "--sheet" : "--out", out});
    REQUIRE(mae_answer(joined(words, more)).code == apps::done);
    return engine::read_file(out);
  };
  for (const Words& words : {Words{"data", data}, Words{"reconstruct", "--checkpoint", checkpoint, image}}) {
    CHECK(picture(words, {}) == picture(words, {"--show-channels", "1,2,3"}));
    CHECK(picture(words, {}) != picture(words, {"--show-channels", "4,3,2"}));
    for (const char* wrong : {"0,1,2", "14", "4,3", "1,2,3,4"}) {
      const test::Answer answer =
          mae_answer(joined(words, {"--show-channels", wrong, words[0] == "data" ? "--sheet" : "--out", "x.png"}));
      CHECK(answer.code == apps::bad_usage);
      CHECK_THAT(answer.error,
                 ContainsSubstring("one channel or three, of 1 to 13") && ContainsSubstring("where: --show-channels"));
    }
  }
  CHECK(mae_answer(joined(run_on(data, folder.file("none"), "13"), {"--show-channels", "14"})).code == apps::bad_usage);
  CHECK(!fs::exists(folder.file("none")));
}

TEST_CASE("a run that began with images as stored is not resumed with them upright") {
  const TestFolder folder;
  fs::create_directory(folder.file("data"));
  mae::Image image = mae::make_image(16, 16, 1, kernels::DType::u8);
  for (int i = 0; i < 16; ++i) {
    for (std::size_t p = 0; p < 256; ++p)
      image.pixels[p] = static_cast<std::byte>((p * 7 + static_cast<std::size_t>(i)) % 251);
    mae::write_png(folder.file("data/" + std::to_string(i) + ".png"), image);
  }
  const Words words = run_on(folder.file("data"), folder.file("run"), "1");
  REQUIRE(mae_answer(words).code == apps::done);
  const Words resume = joined(words, {"--resume", "auto", "--epochs", "2"});
  const test::Answer refused = mae_answer(joined(resume, {"--orientation", "upright"}));
  CHECK(refused.code == apps::bad_input);
  CHECK_THAT(refused.error, ContainsSubstring("--orientation"));
  CHECK(mae_answer(resume).code == apps::done);
}
