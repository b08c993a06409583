#include <functional>
#include <set>
#include <string>
#include <vector>

#include "apps/step_match.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/step_results.h"

using apps::nearest_step;
using apps::read_step_results;
using apps::StepResults;
using apps::Work;
using engine::Json;

namespace {

/// Of files 0.json, 1.json and so on.
StepResults results(const std::vector<Json>& files) {
  const TestFolder folder;
  for (std::size_t i = 0; i < files.size(); ++i) test::write_json(folder.file(std::to_string(i) + ".json"), files[i]);
  return read_step_results(folder.path());
}

StepResults result(const test::StepRun& run) { return results({to_json(run)}); }

double rate(const StepResults& found, const Work& work) {
  const apps::MeasuredStep* step = nearest_step(found, work);
  return step ? step->images_per_s : 0;
}

/// The member is another.
Json changed(Json json, const std::string& key, const Json& value) {
  for (Json& member : json.items) {
    if (member.key != key) continue;
    member = value;
    member.key = key;
  }
  return json;
}

}  // namespace

TEST_CASE("of equal steps the newest counts, whatever its file is called") {
  const Work work = test::measured_work(64);
  const auto of = [](const char* date, double images_per_s) {
    return to_json(test::StepRun{.date = date, .images_per_s = images_per_s});
  };
  CHECK(rate(results({of("2026-03-01", 1), of("2026-03-03", 2), of("2026-03-02T23:00:00Z", 3)}), work) == 2);
  CHECK(rate(results({of("2026-03-03T10:00:00Z", 1), of("2026-03-03T09:00:00Z", 2)}), work) == 1);
  CHECK(rate(results({of("2026-03-03", 1), of("", 2)}), work) == 1);
  CHECK(nearest_step(results({of("", 2)}), work)->origin.file == "0.json");
}

TEST_CASE("the nearest micro-batch counts before the date, up to four times as many or as few") {
  const auto of = [](const char* date, std::int64_t batch) {
    return to_json(test::StepRun{.date = date, .batch = batch, .images_per_s = static_cast<double>(batch)});
  };
  const StepResults found = results({of("2026-03-01", 256), of("2026-03-02", 64), of("2026-03-03", 16)});
  for (const auto& [asked, taken] : std::vector<std::pair<int, int>>{
           {256, 256}, {64, 64}, {100, 64}, {160, 256}, {4, 16}, {1024, 256}, {3, 0}, {1025, 0}}) {
    INFO(asked);
    CHECK(rate(found, test::measured_work(asked)) == taken);
  }
  CHECK(rate(found, test::measured_work(32)) == 16);   // as far from 64: the newer one
  CHECK(rate(found, test::measured_work(128)) == 64);  // as far from 256
}

TEST_CASE("the micro-batch of a step with several is what is compared") {
  Json run = to_json(test::StepRun{.batch = 4096, .images_per_s = 7});
  run.add("micro_batch", 64);
  const StepResults found = results({run, to_json(test::StepRun{.batch = 128, .images_per_s = 8})});
  CHECK(rate(found, test::measured_work(64)) == 7);
  CHECK(rate(found, test::measured_work(512)) == 8);
  CHECK(nearest_step(found, test::measured_work(64))->batch == 4096);
}

TEST_CASE("another precision, device or model is not taken") {
  const Work work = test::measured_work(64);
  REQUIRE(rate(result({}), work) == 1000);
  CHECK(rate(result({.dtype = "f32"}), work) == 0);
  CHECK(rate(result({.dtype = ""}), work) == 0);
  CHECK(rate(result({.device = "cpu"}), work) == 0);
  CHECK(rate(result({.device = ""}), work) == 0);
  int sizes = 0;
  const std::set<std::string> free{"model", "norm_pix", "mask_ratio", "ln_eps", "qkv_bias", "flops"};
  const Json model = test::described(test::measured_model());
  for (const Json& size : model.items) {
    INFO(size.key);
    const bool fixes_work = !free.contains(size.key);
    sizes += fixes_work;
    CHECK((rate(result({.model = changed(model, size.key, 5)}), work) == 0) == fixes_work);
    CHECK((rate(result({.model = changed(model, size.key, Json())}), work) == 0) == fixes_work);
  }
  CHECK(sizes == 13);
  CHECK(rate(result({.model = Json()}), work) == 0);
}

TEST_CASE("a step that was run in another way is not taken") {
  Work work = test::measured_work(64);
  const auto with = [&](const char* key, const Json& value) {
    return results({to_json(test::StepRun{}).add(key, value)});
  };
  const auto execution = [](bool fuse_loss) { return Json::object({{"fuse_loss", fuse_loss}}); };
  CHECK(rate(with("graph", true), work) > 0);
  CHECK(rate(with("graph", false), work) == 0);
  CHECK(rate(with("execution", execution(true)), work) > 0);
  CHECK(rate(with("execution", execution(false)), work) == 0);
  CHECK(rate(with("rows", Json::array({"matmul=mma"})), work) == 0);
  work.rows = {"matmul=mma"};
  CHECK(rate(with("rows", Json::array({"matmul=mma"})), work) > 0);
  CHECK(rate(with("rows", Json::array()), work) == 0);
  work.rows = {};
  work.step.execution.fuse_loss = false;
  CHECK(rate(with("execution", execution(false)), work) > 0);
  CHECK(rate(with("execution", execution(true)), work) == 0);
  CHECK(rate(result({}), work) == 0);  // as it was by default
}

TEST_CASE("a made-up device stands for those of its family and memory, a real one for its name") {
  Work work = test::measured_work(64);
  const auto taken = [&](const char* name) { return rate(result({.name = name}), work) > 0; };
  CHECK(taken("NVIDIA H100 80GB HBM3"));
  for (const char* other :
       {"NVIDIA H100 PCIe", "NVIDIA H100 NVL", "NVIDIA H200", "NVIDIA A100-SXM4-80GB", "h100-80", ""})
    CHECK(!taken(other));
  work.device = kernels::find_device("a100-40");
  CHECK(taken("NVIDIA A100-SXM4-40GB"));
  CHECK(!taken("NVIDIA A100-SXM4-80GB"));
  for (const char* made_up : {"h200-141", "a100-80", "l4-24", "rtx4090-24"}) {
    work.device = kernels::find_device(made_up);
    CHECK(!taken("NVIDIA H100 80GB HBM3"));
  }
  work.device.present = true;
  work.device.name = "NVIDIA H100 PCIe";
  CHECK(taken("NVIDIA H100 PCIe"));
  CHECK(!taken("NVIDIA H100 80GB HBM3"));
}

TEST_CASE("a CPU is one by its name and its threads") {
  Work work = test::measured_work(64);
  work.device = kernels::find_device("cpu");
  const auto taken = [&](const char* name, int threads) {
    return rate(results({to_json(test::StepRun{.device = "cpu", .name = name}).add("threads", threads)}), work) > 0;
  };
  CHECK(taken("Some CPU", 2));
  CHECK(!taken("Some CPU", 4));
  CHECK(!taken("Another CPU", 2));
  work.processor = "";
  CHECK(!taken("", 2));
}

TEST_CASE("the newest rates of a device have its precision") {
  const auto of = [](const char* date, const char* name, const Json& ceilings) {
    return Json::object({{"date", date}, {"device", "cuda"}, {"name", name}, {"ceilings", ceilings}});
  };
  const Json f32 = Json::object({{"copy", Json::object({{"gb_per_s", 9.0}})},
                                 {"product", Json::object({{"f32", Json::object({{"gflop_per_s", 9.0}})}})}});
  const char* h100 = "NVIDIA H100 80GB HBM3";
  const StepResults found =
      results({of("2026-03-01", h100, test::rates(1, 10)), of("2026-03-02", h100, test::rates(2, 20)),
               of("2026-03-03", h100, f32), of("2026-03-04", h100, test::rates(0, 30)),
               of("2026-03-05", h100, test::rates(4, 0)), of("2026-03-06", "NVIDIA L4", test::rates(5, 50))});
  Work work = test::measured_work(64);
  REQUIRE(newest_rates(found, work) != nullptr);
  CHECK(newest_rates(found, work)->copy == 2e9);
  CHECK(newest_rates(found, work)->products.at("bf16") == 20e9);
  work.device = kernels::find_device("l4-24");
  CHECK(newest_rates(found, work)->products.at("bf16") == 50e9);
  work.device = kernels::find_device("a100-80");
  CHECK(newest_rates(found, work) == nullptr);
}

TEST_CASE("runs in one file and our part of a comparison are read") {
  Work work = test::measured_work(64);
  const Json runs = Json::object({{"runs", Json::array({to_json(test::StepRun{.batch = 64, .images_per_s = 5}),
                                                        to_json(test::StepRun{.batch = 8, .images_per_s = 6})})}});
  CHECK(rate(results({runs}), work) == 5);
  CHECK(rate(results({runs}), test::measured_work(8)) == 6);

  const auto contender = [](const char* name, double images_per_s) {
    return Json::object({{"contender", name},
                         {"date", "2026-01-01"},
                         {"device", "cpu"},
                         {"name", "Some CPU"},
                         {"threads", 2},
                         {"images_per_s", images_per_s}});
  };
  const Json run = Json::object({{"model", test::described(test::measured_model())},
                                 {"batch", 64},
                                 {"contenders", Json::array({contender("eager", 3), contender("mae.cu", 4)})}});
  Json both = Json::object(
      {{"kind", "side_by_side"}, {"dtype", "bf16"}, {"options", Json::array()}, {"runs", Json::array({run})}});
  work.device = kernels::find_device("cpu");
  CHECK(rate(results({both}), work) == 4);
  CHECK(rate(results({changed(both, "options", Json::array({"--no-fuse-loss"}))}), work) == 0);
}

TEST_CASE("a rate may be given by the time of a step alone; what is no measurement is left out") {
  const Work work = test::measured_work(64);
  const auto with = [](const Json& of_results) {
    return results({changed(to_json(test::StepRun{}), "results", of_results)});
  };
  const auto one = [&](const Json& step) { return with(Json::array({step})); };
  CHECK(rate(one(Json::object({{"batch", 64}, {"median_us", 32000.0}})), work) == Approx(2000));
  CHECK(with(Json::array()).steps.empty());
  CHECK(with("fast").steps.empty());
  CHECK(one(Json::object({{"batch", "64"}, {"images_per_s", 5.0}})).steps.empty());
  CHECK(one(Json::object({{"batch", -64}, {"images_per_s", 5.0}})).steps.empty());
  CHECK(one(Json::object({{"batch", 1e300}, {"images_per_s", 5.0}})).steps.empty());
  CHECK(one(Json::object({{"batch", 64}, {"images_per_s", 0}, {"median_us", 0}})).steps.empty());
  CHECK(one(7).steps.empty());
}

TEST_CASE("a step counts if its images lay ready; an eager one is no replayed one") {
  const Work work = test::measured_work(64);
  const auto rate_of = [&](const char* key, const char* value) {
    const Json step = Json::object({{"batch", 64}, {"images_per_s", 5.0}, {key, value}});
    return rate(results({changed(to_json(test::StepRun{}), "results", Json::array({step}))}), work);
  };
  CHECK(rate_of("input", "ready") == 5);
  CHECK(rate_of("input", "loader") == 0);
  CHECK(rate_of("input", "resident") == 0);
  CHECK(rate_of("launch", "graph") == 5);
  CHECK(rate_of("launch", "eager") == 0);
}

TEST_CASE("files of other kinds are passed over, one that is no JSON is named") {
  const TestFolder folder;
  const auto texts = {"{}",
                      "[1, 2]",
                      "7",
                      "null",
                      R"({"runs": 3})",
                      R"({"runs": [1, null, "x"]})",
                      R"({"kind": "side_by_side"})",
                      R"({"model": 3, "results": {"a": 1}, "ceilings": [], "rows": {}, "date": 5, "execution": 1})"};
  int n = 0;
  for (const char* text : texts) test::write_text(folder.file(std::to_string(n++) + ".json"), text);
  test::write_text(folder.file("notes.md"), "{");
  std::filesystem::create_directory(folder.file("sub.json"));
  StepResults found = read_step_results(folder.path());
  CHECK(found.steps.empty());
  CHECK(found.rates.empty());

  const std::string torn = folder.file("torn.json"), whole = to_text(to_json(test::StepRun{}));
  test::write_text(torn, whole.substr(0, whole.size() / 2));
  CHECK_THROWS_WITH(read_step_results(folder.path()), ContainsSubstring("torn.json"));
  CHECK_THROWS_WITH(read_step_results(torn), ContainsSubstring("torn.json"));
  test::write_text(torn, whole);
  CHECK(read_step_results(torn).steps.size() == 1);
  CHECK_THROWS_WITH(read_step_results(folder.file("nowhere")), ContainsSubstring("nowhere"));
}
