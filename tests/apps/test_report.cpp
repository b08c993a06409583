// `mae report`: the page says what the logs say, needs nothing but itself, and lets no text of a file become markup.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "apps/html.h"
#include "apps/svg_chart.h"
#include "engine/checkpoint_folder.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/number.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/idx_file.h"
#include "tests/support/mae_command.h"

namespace {

namespace fs = std::filesystem;
using test::joined, test::Words;

struct Setting {
  TestFolder folder;
  std::string run = folder.file("run"), page_path = folder.file("page.html");
  Setting() {                                         // once for all cases: what they change they copy
    test::write_idx(folder.path(), "train", 48, 16);  // 6 steps an epoch
    test::write_idx(folder.path(), "t10k", 20, 16);
    pretrain(run, {"--pictures", "2"});
  }
  void pretrain(const std::string& out, const Words& more) const {
    REQUIRE(test::mae_command(joined(joined(test::pretrain_words(folder.path(), out), {"--epochs", "2"}), more)) ==
            apps::done);
  }
  std::string page(Words runs) const {
    runs.insert(runs.begin(), "report");
    const test::Answer answer = test::mae_answer(joined(runs, {"--out", page_path}));
    INFO(answer.error);
    REQUIRE(answer.code == apps::done);
    return engine::read_file(page_path);
  }
};

const Setting& setting() {
  static const Setting once;
  return once;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

/// What stands between the first `begin` and the `end` behind it.
std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t at = text.find(begin);
  REQUIRE(at != std::string::npos);
  const std::size_t from = at + begin.size();
  return text.substr(from, text.find(end, from) - from);
}

std::vector<double> numbers(const std::string& text) {
  std::vector<double> values;
  std::istringstream words(text);
  for (std::string word; words >> word;) values.push_back(engine::parse_number<double>(word).value_or(NAN));
  return values;
}

std::vector<double> logged(const std::string& path, const char* key) {
  std::vector<double> values;
  std::istringstream text(engine::read_file(path));
  for (std::string line; std::getline(text, line);)
    values.push_back(engine::parse_json(line, path).at(key).as_double());
  return values;
}

/// Everything that makes a browser fetch, and all script but the page's own.
void check_self_contained(const std::string& page) {
  for (const char* link : {"http", "<link", "url(", "@import", "<iframe", "<object", "<base", "href"})
    CHECK_THAT(page, !ContainsSubstring(link));
  CHECK(count(page, "<img") == count(page, "\" src=\"data:image/png;base64,"));
  CHECK(count(page, "<script") == 1);
  CHECK(page.find("<script>\nfor (const svg") != std::string::npos);
}

}  // namespace

TEST_CASE("a page holds the numbers of the logs, and nothing from elsewhere") {
  const Setting& s = setting();
  const std::string page = s.page({s.run}), log = s.run + "/log.jsonl";
  check_self_contained(page);
  const std::string loss = between(page, "aria-label=\"Loss\"", "</svg>");
  const std::string steps = between(loss, "<g class=\"series s0 faint\"", "</g>");
  CHECK(numbers(between(steps, "data-x=\"", "\"")) == logged(log, "epoch"));
  CHECK(numbers(between(steps, "data-y=\"", "\"")) == logged(log, "loss"));
  const std::string validation = between(loss, "data-name=\"validation\"", "</g>");
  CHECK(numbers(between(validation, "data-y=\"", "\"")) == logged(s.run + "/evaluations.jsonl", "validation_loss"));
  const std::string rates = between(page, "aria-label=\"Learning rate\"", "</svg>");
  CHECK(numbers(between(rates, "data-y=\"", "\"")) == logged(log, "lr"));
  for (const char* title :
       {"Gradient norm", "Weight norm", "Throughput", "Time waiting for images", "Reconstructions over time"})
    CHECK_THAT(page, ContainsSubstring(title));
  CHECK(count(page, "<img") == 1);
  for (const char* text : {"2, finished", "mask_ratio", "data_fingerprint", "mae pretrain --data"})
    CHECK_THAT(page, ContainsSubstring(text));
  CHECK_THAT(page, ContainsSubstring(apps::escaped(s.run + "/checkpoints/checkpoint-")));
  REQUIRE(test::mae_command({"report", s.run}) == apps::done);
  CHECK(fs::file_size(s.run + "/report.html") == page.size());
}

TEST_CASE("points of a chart lie where their values are") {
  const apps::Chart chart{
      .title = "t", .x_title = "x", .y_title = "y", .series = {{"a", {0, 5, 10, 12}, {1, 2, NAN, 5}}}};
  const std::string svg = apps::svg_figure(chart);
  CHECK(between(svg, "data-y=\"", "\"") == "1 2 - 5");
  std::istringstream line(between(svg, "<polyline points=\"", "\""));
  double x[2] = {}, y[2] = {};
  char comma = 0;
  for (int i = 0; i < 2; ++i) REQUIRE(line >> x[i] >> comma >> y[i]);
  CHECK(count(svg, "<circle") == 4);  // three of a short series, and the one between gaps
  const double left = numbers(between(svg, "data-left=\"", "\""))[0],
               right = numbers(between(svg, "data-right=\"", "\""))[0];
  CHECK(x[0] == left);
  CHECK(x[1] == Approx(left + (right - left) * 5 / 12).margin(0.01));
  CHECK(y[0] > y[1]);  // up is less
}

TEST_CASE("a long series keeps its peaks") {
  apps::Series series{.name = "long", .x = {}, .y = {}};
  for (int i = 0; i < 100000; ++i)
    series.x.push_back(i), series.y.push_back(i == 77777 ? 9 : i == 5 ? NAN : std::sin(i));
  const apps::Series thin = apps::thinned(series);
  CHECK(thin.x.size() == apps::most_points);
  CHECK(std::is_sorted(thin.x.begin(), thin.x.end()));
  CHECK(*std::max_element(thin.y.begin(), thin.y.end()) == 9);
  CHECK(std::none_of(thin.y.begin(), thin.y.end(), [](double y) { return std::isnan(y); }));
  series.x.resize(1500), series.y.resize(1500);
  CHECK(apps::thinned(series).x == series.x);
}

TEST_CASE("text of a run's files stays text") {
  const Setting& s = setting();
  CHECK(apps::escaped("a<b>&\"'\n\x7f") == "a&lt;b&gt;&amp;&quot;&#39;  ");
  const std::string run = s.folder.file("<b onload='x'>&");
  fs::copy(s.run, run, fs::copy_options::recursive);
  std::string config = engine::read_file(run + "/config.toml");
  const std::string evil = "</script><script>alert(1)</script><img src=x>\\\"\\\" onload=x";
  for (const char* key : {"\ndata = \"", "\"command\" = \"", "\nseed = \"", "\"device\" = \""}) {
    if (key[1] == 's') config.replace(config.find("\nseed = 0"), 9, "\nseed = \"\"");
    config.insert(config.find(key) + std::string(key).size(), evil);
  }
  config.insert(0, "\"<script>\" = \"<script>\"\n");
  std::ofstream(run + "/config.toml") << config;
  check_self_contained(s.page({run}));
  const std::string compared = s.page({run, s.run});
  check_self_contained(compared);
  CHECK_THAT(compared, !ContainsSubstring("<b onload"));
  CHECK_THAT(compared, ContainsSubstring("&lt;script&gt;alert(1)"));
}

TEST_CASE("runs are compared: a line each, and what is not the same") {
  const Setting& s = setting();
  const std::string other = s.folder.file("other"), twin = s.folder.file("below/run");
  s.pretrain(other, {"--blr", "0.02"});
  const std::string page = s.page({s.run, other});
  check_self_contained(page);
  const std::string loss = between(page, "<b>Training loss</b>", "</figure>");
  CHECK_THAT(loss, ContainsSubstring("<li class=\"s0\">run</li>") && ContainsSubstring("<li class=\"s1\">other</li>"));
  CHECK(count(loss, "<polyline") == 2);
  const std::string rates = between(page, "<b>Learning rate</b>", "</figure>");
  CHECK(numbers(between(between(rates, "data-name=\"other\"", "</g>"), "data-y=\"", "\"")) ==
        logged(other + "/log.jsonl", "lr"));
  const std::string differences = between(page, "<h2>Differences</h2>", "<h2>");
  CHECK_THAT(differences, ContainsSubstring("<th scope=\"row\">blr</th><td>0.01</td><td>0.02</td>"));
  CHECK_THAT(differences, ContainsSubstring("pictures") && !ContainsSubstring("mask_ratio"));
  CHECK(count(page, "<img") == 1);  // the other has no pictures
  fs::create_directories(s.folder.file("below"));
  fs::copy(s.run, twin, fs::copy_options::recursive);
  const std::string same = s.page({s.run, twin});  // told apart by their paths
  CHECK_THAT(same, ContainsSubstring("All options are the same") && ContainsSubstring("below/run</li>"));
}

TEST_CASE("classifiers: accuracy over epochs") {
  const Setting& s = setting();
  const std::string tuned = s.folder.file("tuned");
  const std::string checkpoint = engine::newest_whole_checkpoint(s.run + "/checkpoints")->path;
  const Words words{"finetune",
                    "--checkpoint",
                    checkpoint,
                    "--data",
                    s.folder.path(),
                    "--out",
                    tuned,
                    "--batch",
                    "8",
                    "--epochs",
                    "2",
                    "--mix-group",
                    "2",
                    "--warmup-epochs",
                    "0.5"};
  REQUIRE(test::mae_command(words) == apps::done);
  const std::string page = s.page({tuned});
  check_self_contained(page);
  const std::string accuracy = between(page, "aria-label=\"Validation accuracy\"", "</svg>");
  CHECK(numbers(between(between(accuracy, "data-name=\"top-1\"", "</g>"), "data-y=\"", "\"")) ==
        logged(tuned + "/evaluations.jsonl", "top1"));
  CHECK_THAT(page, ContainsSubstring("best top-1, after epoch") && ContainsSubstring("best.safetensors"));
  CHECK_THAT(page, !ContainsSubstring("Reconstructions"));
  CHECK_THAT(s.page({s.run, tuned}), ContainsSubstring("Validation accuracy, top-1"));
}

TEST_CASE("a run at work has a page; what is missing or damaged is named, and no page is written") {
  const Setting& s = setting();
  const std::string run = s.folder.file("at_work");
  fs::copy(s.run, run, fs::copy_options::recursive);
  std::ofstream(run + "/log.jsonl", std::ios::app) << "{\"step\":12,\"ep";  // being written
  for (const char* file : {"timing.jsonl", "events.jsonl", "evaluations.jsonl", "pictures/learning.png"})
    fs::remove(run + "/" + file);
  const std::string page = s.page({run});
  CHECK_THAT(page, ContainsSubstring("aria-label=\"Loss\"") && !ContainsSubstring("Throughput"));
  const std::string begun = s.folder.file("begun");
  fs::create_directory(begun);
  fs::copy(s.run + "/config.toml", begun + "/config.toml");
  std::ofstream(begun + "/log.jsonl").flush();
  CHECK_THAT(s.page({begun}), ContainsSubstring("no data yet") && ContainsSubstring("0 of 2, not finished"));

  fs::remove(s.page_path);
  const auto refused = [&](const std::string& folder, const std::string& named, int code = apps::bad_input) {
    const test::Answer answer = test::mae_answer({"report", folder, "--out", s.page_path});
    INFO(answer.error);
    CHECK(answer.code == code);
    CHECK_THAT(answer.error, ContainsSubstring(named));
    CHECK(count(answer.error, "error: ") == 1);
    CHECK_FALSE(fs::exists(s.page_path));
  };
  refused(s.folder.file("none"), s.folder.file("none"));
  refused(s.folder.path(), s.folder.file("config.toml"));
  const auto damaged = [&](const std::string& file, const std::string& content, const std::string& named) {
    std::ofstream(begun + "/" + file) << content;
    refused(begun, begun + "/" + named);
    fs::remove(begun + "/" + file);
  };
  damaged("timing.jsonl", "{\"step\":0}\nno line\n", "timing.jsonl:2");
  damaged("evaluations.jsonl", "{\"step\":0}\n", "evaluations.jsonl:1");
  damaged("events.jsonl", "[]\n", "events.jsonl:1");
  fs::create_directory(begun + "/pictures");
  damaged("pictures/learning.png", "no picture", "pictures/learning.png");
  damaged("log.jsonl", "{\"step\":0,\"epoch\":0.0}\n", "log.jsonl:1");
  refused(begun, begun + "/log.jsonl");
  std::ofstream(begun + "/log.jsonl").flush();
  damaged("config.toml", "batch = \n", "config.toml");
}
