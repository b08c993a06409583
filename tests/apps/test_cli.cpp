#include "apps/cli.h"

#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/device_options.h"
#include "apps/kernel_list.h"
#include "apps/table.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/safetensors.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"

using engine::Json;

namespace {

/// What a stream of this process is written while this stands; read() ends it.
class Captured {
 public:
  Captured(std::FILE* stream, const std::string& path) : stream_(stream), path_(path) {
    std::fflush(stream_);
    saved_ = ::dup(::fileno(stream_));
    std::FILE* file = std::fopen(path.c_str(), "w");
    ::dup2(::fileno(file), ::fileno(stream_));
    std::fclose(file);
  }
  ~Captured() { restore(); }
  std::string read() {
    restore();
    return engine::read_file(path_);
  }

 private:
  void restore() {
    if (saved_ < 0) return;
    std::fflush(stream_);
    ::dup2(saved_, ::fileno(stream_));
    ::close(saved_);
    saved_ = -1;
  }
  std::FILE* stream_;
  std::string path_;
  int saved_ = -1;
};

struct Outcome {
  int code;
  std::string out, error;
};

Outcome mae(std::vector<std::string> words) {
  const TestFolder folder;
  words.insert(words.begin(), "mae");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  Captured out(stdout, folder.file("out")), error(stderr, folder.file("error"));
  const int code = apps::run(static_cast<int>(argv.size()), argv.data());
  return {code, out.read(), error.read()};
}

}  // namespace

TEST_CASE("errors are at most three lines and have their exit code") {
  const Outcome command = mae({"pln"});
  CHECK(command.code == apps::bad_usage);
  CHECK(command.error == "error: there is no such command\nwhere: pln\ntry: mae plan\n");
  CHECK(command.out.empty());
  CHECK(mae({}).error == "error: a command is missing\nwhere: mae\ntry: mae --help lists the commands\n");

  const Outcome flag = mae({"plan", "--bacth", "3"});
  CHECK(flag.code == apps::bad_usage);
  CHECK(flag.error == "error: there is no such flag\nwhere: --bacth\ntry: --batch\n");

  const Outcome model = mae({"plan", "--patch", "15"});
  CHECK(model.code == apps::bad_input);
  CHECK_THAT(model.error,
             ContainsSubstring("error: a patch of 15 does not divide") && ContainsSubstring("where: patch"));

  const Outcome file = mae({"inspect", "/nowhere/a.safetensors"});
  CHECK(file.code == apps::bad_input);
  CHECK_THAT(file.error, ContainsSubstring("where: /nowhere/a.safetensors"));
  CHECK(mae({"plan", "--config", "/nowhere/a.toml"}).code == apps::bad_input);
  CHECK(apps::error_text(kernels::Error("a\nb", "", "")) == "error: a b\n");
}

TEST_CASE("help and version are asked for, so they go to standard output") {
  for (const char* word : {"--help", "-h", "help"}) {
    const Outcome help = mae({word});
    CHECK(help.code == apps::done);
    CHECK_THAT(help.out, ContainsSubstring("plan") && ContainsSubstring("inspect") && ContainsSubstring("example"));
  }
  CHECK_THAT(mae({"--version"}).out, ContainsSubstring("mae 0."));
  for (const char* command : {"plan", "devices", "inspect"}) {
    const Outcome help = mae({command, "--help"});
    CHECK(help.code == apps::done);
    CHECK(help.error.empty());
    CHECK_THAT(help.out, ContainsSubstring("usage: mae ") && ContainsSubstring("example\n  mae "));
  }
}

TEST_CASE("a forced row must exist on the device") {
  const auto refusal = [](const char* row) {
    kernels::Stream stream(kernels::devices().front(), kernels::StreamMode::dry);
    apps::DeviceOptions options;
    options.rows = {row};
    try {
      apps::force_rows(stream, options);
    } catch (const apps::UsageError& error) {
      return apps::error_text(error);
    }
    const std::string* forced = stream.forced("layernorm_forward");
    return forced ? "forced " + *forced : std::string("nothing");
  };
  CHECK(refusal("layernorm_forward=reference") == "forced reference");
  CHECK(refusal("layernorm_forward=slow") ==
        "error: layernorm_forward has no row \"slow\" on cpu\nwhere: --row layernorm_forward=slow\n"
        "try: one of fast, widened, reference\n");
  CHECK(refusal("layernorm_forwad=fast") ==
        "error: there is no kernel \"layernorm_forwad\"\nwhere: --row layernorm_forwad=fast\n"
        "try: layernorm_forward=fast\n");
  CHECK_THAT(refusal("fast"), ContainsSubstring("KERNEL=ROW"));
}

TEST_CASE("devices lists the CPU and every kernel, as text and as JSON") {
  const Outcome text = mae({"devices"}), json = mae({"devices", "--json"});
  CHECK(text.code == apps::done);
  const Json all = engine::parse_json(json.out, "mae devices --json");
  CHECK(all.at("devices").as_array().at(0).at("name").as_string() == "cpu");
  CHECK(all.at("devices").as_array().at(0).at("memory").as_int() > 0);
  REQUIRE(all.at("kernels").as_array().size() == apps::kernel_list().size());
  for (const Json& kernel : all.at("kernels").as_array()) {
    CHECK_THAT(text.out, ContainsSubstring(kernel.at("kernel").as_string()));
    CHECK(!kernel.at("cpu").as_array().empty());
  }
  if (!all.at("why_no_cuda").as_string().empty()) CHECK_THAT(text.out, ContainsSubstring("no CUDA device: "));
}

TEST_CASE("inspect says what a checkpoint holds") {
  const TestFolder folder;
  const std::string path = folder.file("a.safetensors");
  const std::vector<float> values(64, 0.5f);
  const auto tensor = [&](const char* name, std::vector<std::int64_t> shape) {
    return engine::TensorToWrite{name, kernels::DType::f32, std::move(shape), values.data()};
  };
  std::vector<engine::TensorToWrite> tensors{tensor("blocks.10.norm1.weight", {8}),
                                             tensor("blocks.9.mlp.fc1.weight", {8, 4}), tensor("cls_token", {1, 1, 4})};
  engine::write_safetensors(path, {{"format", "mae.cu"}, {"step", "17"}, {"config.dim", "4"}}, tensors);
  const Outcome encoder = mae({"inspect", path});
  CHECK(encoder.code == apps::done);
  CHECK_THAT(encoder.out, ContainsSubstring("encoder only, no optimizer state") && ContainsSubstring("config.dim"));
  CHECK(encoder.out.find("blocks.9.mlp") < encoder.out.find("blocks.10.norm1"));

  tensors.push_back(tensor("mask_token", {1, 1, 5}));
  tensors.push_back(tensor("decoder_pred.bias", {7}));
  tensors.push_back(tensor("optimizer.moment1.cls_token", {1, 1, 4}));
  engine::write_safetensors(path, {{"format", "mae.cu"}, {"step", "17"}}, tensors);
  CHECK_THAT(mae({"inspect", path}).out, ContainsSubstring("encoder and decoder, with optimizer state"));
  CHECK_THAT(mae({"inspect", path, "--no-tensors"}).out, !ContainsSubstring("decoder_pred.bias"));
  const Json json = engine::parse_json(mae({"inspect", "--json", path}).out, "mae inspect --json");
  CHECK(json.at("metadata").at("step").as_string() == "17");
  CHECK(json.at("values").at("encoder").as_int() == 8 + 32 + 4);
  CHECK(json.at("values").at("decoder").as_int() == 12);
  CHECK(json.at("values").at("optimizer").as_int() == 4);
  CHECK(json.at("tensors").as_array().size() == 6);
  CHECK(json.at("checksum_holds").kind == Json::Kind::null);
}

TEST_CASE("inspect says whether the checksum holds") {
  const TestFolder folder;
  const std::string path = folder.file("a.safetensors");
  const std::vector<float> values(8, 0.5f);
  engine::write_safetensors(path, {}, {{"a", kernels::DType::f32, {8}, values.data()}}, engine::Checksum::crc32);
  CHECK_THAT(mae({"inspect", path}).out, ContainsSubstring("checksum holds"));
  std::string bytes = engine::read_file(path);
  bytes.back() ^= 1;
  engine::write_atomically(path, [&](engine::FileWriter& file) { file.write(bytes); });
  const Outcome damaged = mae({"inspect", path});
  CHECK(damaged.code == apps::bad_input);
  CHECK_THAT(damaged.error, ContainsSubstring("the checksum in its metadata does not hold"));
}

TEST_CASE("numbers and tables for people") {
  CHECK(apps::thousands(std::int64_t{0}) == "0");
  CHECK(apps::thousands(std::int64_t{999}) == "999");
  CHECK(apps::thousands(std::int64_t{-1000}) == "-1,000");
  CHECK(apps::thousands(std::int64_t{657074508}) == "657,074,508");
  CHECK(apps::thousands(12345.678, 2) == "12,345.68");
  CHECK(apps::thousands(999999.996, 2) == "1,000,000.00");
  CHECK(apps::thousands(-0.25, 1) == "-0.2");
  CHECK(apps::bytes_text(999) == "999 B");
  CHECK(apps::bytes_text(26424772632.0) == "26.42 GB");
  CHECK(apps::aligned({{"a", "bbb"}, {"cc", "1"}}, "lr") == "a   bbb\ncc    1\n");
}

TEST_CASE("names from files cannot steer the terminal") {
  CHECK(apps::printable("a\x1b[2J\x7f\tb") == "a?[2J??b");
  CHECK(apps::shortened("twelve bytes", 12) == "twelve bytes");
  CHECK(apps::shortened("twelve bytes", 11) == "twelve b...");
  CHECK(apps::shortened("four \u00e4\u00f6\u00fc", 10) == "four \u00e4...");  // not inside of a letter
  CHECK(apps::aligned({{"h"}, {"x\x1b"}}, "l") == "h\nx?\n");
  CHECK_THAT(apps::error_text(kernels::Error("bad", "na\x1bme")), ContainsSubstring("na?me"));
}
