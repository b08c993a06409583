#include "apps/options.h"

#include <filesystem>
#include <fstream>

#include "apps/cli.h"
#include "apps/model_options.h"
#include "apps/toml.h"
#include "mae/config_text.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"

using apps::OptionTable;

namespace {

/// Options of every type, and a table of them.
struct Settings {
  bool augment = true, resume = false;
  int workers = 2;
  std::int64_t batch = 4096;
  std::uint32_t seed = 0;
  double blr = 1.5e-4;
  std::string out, level = "some";
  std::vector<double> scale{0.2, 1};
  std::vector<std::string> rows, images;
  OptionTable table{"train", "trains", "mae train a.png"};

  Settings() {
    table.group("Data and loader");
    table.add("augment", augment, "crop and flip");
    table.add("workers", workers, "loader threads");
    table.add("images", images, "pictures").positional();
    table.group("Recipe");
    table.add("batch", batch, "global batch");
    table.add("seed", seed, "of all draws");
    table.add("blr", blr, "base learning rate");
    table.add("scale", scale, "of crops");
    table.add("rows", rows, "forced rows").as("row");
    table.add("level", level, "how much").one_of({"none", "some", "all"});
    table.add("out", out, "folder").shown_as("DIR");
    table.add("resume", resume, "go on");
  }
  bool parse(std::vector<const char*> words) {
    words.insert(words.begin(), "train");
    return table.parse(static_cast<int>(words.size()), words.data());
  }
};

std::string file_with(const TestFolder& folder, const std::string& text) {
  const std::string path = folder.file("train.toml");
  std::ofstream(path) << text;
  return path;
}

/// The three-line text of the UsageError that these words give.
std::string refusal(const std::vector<const char*>& words) {
  Settings s;
  try {
    s.parse(words);
  } catch (const apps::UsageError& error) {
    return apps::error_text(error);
  }
  return "no error";
}

std::string file_refusal(const std::string& text) {
  const TestFolder folder;
  const std::string path = file_with(folder, text), found = refusal({"--config", path.c_str()});
  const std::size_t at = found.find(path);
  return at == std::string::npos ? found : found.substr(0, at) + "FILE" + found.substr(at + path.size());
}

}  // namespace

TEST_CASE("flags of every type") {
  Settings s;
  REQUIRE(s.parse({"--no-augment", "--resume", "--workers=3", "--batch", "512",   "--seed", "4294967295",
                   "--blr",        "1e-3",     "--scale",     "-0.5,1",  "--row", "a=b",    "x.png",
                   "--row=c=d",    "--level",  "all",         "--out",   "run 1", "y.png"}));
  CHECK(!s.augment);
  CHECK(s.resume);
  CHECK(s.workers == 3);
  CHECK(s.batch == 512);
  CHECK(s.seed == 4294967295u);
  CHECK(s.blr == 1e-3);
  CHECK(s.scale == std::vector<double>{-0.5, 1});
  CHECK(s.rows == std::vector<std::string>{"a=b", "c=d"});
  CHECK(s.images == std::vector<std::string>{"x.png", "y.png"});
  CHECK(s.level == "all");
  CHECK(s.out == "run 1");
  CHECK(s.table.given("batch"));

  Settings untouched;
  REQUIRE(untouched.parse({"--batch", "1", "--batch", "2", "--resume", "--no-resume"}));
  CHECK(untouched.batch == 2);
  CHECK(!untouched.resume);
  CHECK(untouched.augment);
  CHECK(!untouched.table.given("workers"));
}

TEST_CASE("defaults are below the file, the file below flags") {
  const TestFolder folder;
  const std::string path = file_with(folder,
                                     "workers = 5\nscale = 0.5  # one number for a list\nrows = \"a=b\"\n"
                                     "[recipe]\nblr = 2\nbatch = 256\n[data_and_loader]\naugment = false\n");
  Settings s;
  REQUIRE(s.parse({"--batch", "8", "--config", path.c_str()}));
  CHECK(s.workers == 5);
  CHECK(s.blr == 2.0);
  CHECK(s.batch == 8);
  CHECK(!s.augment);
  CHECK(s.scale == std::vector<double>{0.5});
  CHECK(s.rows == std::vector<std::string>{"a=b"});
  CHECK(s.seed == 0);
}

TEST_CASE("a preset is below the file and the flags, wherever it stands") {
  const TestFolder folder;
  const std::string path = file_with(folder, "[model]\ndepth = 7\ndim = 96\nmodel = \"mae_vit_large_patch16\"\n");
  const auto parsed = [&](std::vector<const char*> words) {
    mae::Config config;
    OptionTable table("plan", "", "");
    add_model_options(table, config);
    words.insert(words.begin(), "plan");
    table.parse(static_cast<int>(words.size()), words.data());
    return config;
  };
  const mae::Config config = parsed({"--dim", "64", "--config", path.c_str(), "--model", "mae_vit_tiny_patch16"});
  CHECK(config.preset == "mae_vit_tiny_patch16");
  CHECK(config.dim == 64);
  CHECK(config.depth == 7);
  CHECK(config.heads == 3);
  const mae::Config from_file = parsed({"--config", path.c_str(), "--image-size", "32,64"});
  CHECK(from_file.preset == "mae_vit_large_patch16");
  CHECK(from_file.heads == 16);
  CHECK(from_file.dim == 96);
  CHECK(from_file.image_height == 32);
  CHECK(from_file.image_width == 64);
  CHECK(parsed({"--image-size", "28"}).image_width == 28);
  CHECK_THROWS_WITH(parsed({"--image-size", "28.5"}), ContainsSubstring("--image-size"));
  CHECK_THROWS_WITH(parsed({"--image-size", "1,2,3"}), ContainsSubstring("height,width"));
  CHECK_THROWS_WITH(parsed({"--model", "vit"}), ContainsSubstring("mae_vit_tiny_patch16"));
}

TEST_CASE("what is unknown is an error with the nearest name") {
  CHECK(refusal({"--bach", "3"}) == "error: there is no such flag\nwhere: --bach\ntry: --batch\n");
  CHECK(refusal({"--wrokers=3"}) == "error: there is no such flag\nwhere: --wrokers\ntry: --workers\n");
  CHECK(refusal({"--no-augmnt"}) == "error: there is no such flag\nwhere: --no-augmnt\ntry: --no-augment\n");
  CHECK(refusal({"--zzzzzzzz"}) ==
        "error: there is no such flag\nwhere: --zzzzzzzz\ntry: mae train --help lists the flags\n");
  CHECK(refusal({"--level", "al"}) == "error: \"al\" is none of none, some, all\nwhere: --level\ntry: all\n");
  CHECK(file_refusal("\nbtach = 3\n") == "error: there is no key \"btach\"\nwhere: FILE:2\ntry: batch\n");
  CHECK(file_refusal("[recipee]\nbatch = 3\n") == "error: there is no table \"recipee\"\nwhere: FILE:2\ntry: recipe\n");
  CHECK(apps::nearest("x", {"batch", "out"}).empty());
}

TEST_CASE("a value of a wrong type is an error with flag, or key, file and line") {
  CHECK(refusal({"--workers", "3.5"}) == "error: \"3.5\" should be a whole number\nwhere: --workers\n");
  CHECK(refusal({"--workers", "3000000000"}) == "error: workers: 3000000000 is out of range\nwhere: --workers\n");
  CHECK(refusal({"--seed", "-1"}) == "error: seed: -1 is out of range\nwhere: --seed\n");
  CHECK(refusal({"--blr", "nan"}) == "error: \"nan\" should be a number\nwhere: --blr\n");
  CHECK(refusal({"--scale", "1,,2"}) == "error: \"1,,2\" should be numbers, such as 0.5 or 0.5,0.5\nwhere: --scale\n");
  CHECK_THAT(refusal({"--batch"}), ContainsSubstring("--batch"));
  CHECK_THAT(refusal({"--batch", "--resume"}), ContainsSubstring("--batch"));
  CHECK(file_refusal("seed = 1\n\nblr = \"1e-3\"\n") == "error: \"blr\" should be a number\nwhere: FILE:3\n");
  CHECK(file_refusal("batch = 2.0\n") == "error: \"batch\" should be a whole number\nwhere: FILE:1\n");
  CHECK(file_refusal("augment = 1\n") == "error: \"augment\" should be true or false\nwhere: FILE:1\n");
  CHECK(file_refusal("blr = inf\n") == "error: \"blr\" should be a number\nwhere: FILE:1\n");
  CHECK(file_refusal("rows = [1]\n") == "error: \"rows\" should be a list of texts\nwhere: FILE:1\n");
  CHECK(file_refusal("scale = [1, \"a\"]\n") == "error: the list \"scale\" mixes numbers and texts\nwhere: FILE:1\n");
  CHECK_THAT(file_refusal("blr = 2020-01-01\n"), ContainsSubstring("FILE:1"));
  CHECK_THAT(file_refusal("batch = 1\n[recipe]\nbatch = 2\n"),
             ContainsSubstring("stands in line 1 already") && ContainsSubstring("FILE:3"));
  CHECK_THAT(file_refusal("[recipe]\n[recipe.inner]\nbatch = 2\n"), ContainsSubstring("inside another table"));
  CHECK_THAT(file_refusal("batch = 1\nblr =\n"), ContainsSubstring("FILE:2"));
}

TEST_CASE("outside of quotes a file is ASCII, and its keys are short") {
  const std::string letter = "error: a letter that is not ASCII stands outside of quotes\nwhere: FILE:";
  CHECK(file_refusal("batch = 1\nbatch = \u201c8\u201d\n") == letter + "2\n");
  CHECK(file_refusal("out = 'a\\'\n\u00e9 = 1\n") == letter + "2\n");
  CHECK(file_refusal("out = \"\"\"\n\\\"\"\"\"\"\"\u00e9\n") == letter + "2\n");
  CHECK(file_refusal("out = \"a\n\u00e9\"\n") == letter + "2\n");  // a quote without its end
  // In the middle of a number no quote opens: toml++ reads on, where its own check of white space had undefined
  // behaviour (the sanitizers see it).
  for (const char* c : {"\u00a1", "\u03ca", "\u0499", "\u1500", "\u2010", "\u2e80", "\u3100", "\ufb00"})
    CHECK_THAT(file_refusal(std::string("batch = 1a='") + c + "'\n"), ContainsSubstring("FILE:1"));
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "a.";
  CHECK(file_refusal(deep + "a = 1\n") == "error: a key has too many parts\nwhere: FILE:1\n");

  const TestFolder folder;
  const std::string path = file_with(folder,
                                     "\xef\xbb\xbf# \u00e9\n"
                                     "scale = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]\n"
                                     "out = \"\"\"\u00e9\\\"\"\"\"\"\n"
                                     "rows = ['\u00e9', '''\u00e9''', \"\\\\\", \"\u00e9\"] # '\n");
  Settings s;
  REQUIRE(s.parse({"--config", path.c_str()}));
  CHECK(s.out == "\u00e9\"\"");
  CHECK(s.rows == std::vector<std::string>{"\u00e9", "\u00e9", "\\", "\u00e9"});
}

TEST_CASE("the file that is written back reads to the same values") {
  Settings s;
  s.augment = false;
  s.workers = 7;
  s.batch = std::int64_t{1} << 53;
  s.seed = 4294967295u;
  s.blr = 1.0 / 3;
  s.out = "a \"b\"\\c\n\xc3\xa9";
  s.scale = {1e-300, 2};
  s.rows = {"matmul=reference", "x=y"};
  s.level = "none";
  const std::string text = s.table.to_toml({{"commit", "12ab"}, {"row matmul", "openblas"}});
  CHECK_THAT(text, ContainsSubstring("# Recipe\nbatch = 9007199254740992\n") && ContainsSubstring("[run]"));
  const TestFolder folder;
  const std::string path = file_with(folder, text);
  Settings back;
  REQUIRE(back.parse({"--config", path.c_str()}));
  CHECK(back.table.to_toml() == s.table.to_toml());
  CHECK(back.batch == s.batch);
  CHECK(back.blr == s.blr);
  CHECK(back.out == s.out);
  CHECK(back.rows == s.rows);
  CHECK(back.scale == s.scale);
  CHECK(back.seed == s.seed);

  mae::Config config = mae::preset("mae_vit_huge_patch14"), again;
  config.ln_eps = 1e-5;
  config.positions = mae::Positions::learned;
  config.image_width = 280;
  config.norm_pix = true;
  OptionTable model("plan", "", ""), other("plan", "", "");
  add_model_options(model, config);
  add_model_options(other, again);
  const std::string model_path = file_with(folder, model.to_toml());
  const char* words[] = {"plan", "--config", model_path.c_str()};
  REQUIRE(other.parse(3, words));
  CHECK(mae::to_text(again) == mae::to_text(config));
}

TEST_CASE("what must be given is asked for") {
  std::string file;
  OptionTable table("inspect", "looks", "mae inspect F");
  table.add("file", file, "a file").positional().must_be_given();
  const char* none[] = {"inspect"};
  CHECK_THROWS_WITH(table.parse(1, none), ContainsSubstring("file is missing"));
  const char* two[] = {"inspect", "a", "b"};
  CHECK_THROWS_WITH(table.parse(3, two), ContainsSubstring("b"));
  const char* one[] = {"inspect", "a"};
  REQUIRE(table.parse(2, one));
  CHECK(file == "a");
}

TEST_CASE("help names every flag, its default and an example") {
  const std::string help = Settings().table.help();
  for (const char* words :
       {"Data and loader\n", "--[no-]augment", "(on)", "--workers N", "(2)", "--row TEXT", "--out DIR",
        "one of none, some, all", "--config FILE", "example\n  mae train a.png", "TEXT..."})
    CHECK_THAT(help, ContainsSubstring(words));
}
