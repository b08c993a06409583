#include "engine/json.h"

#include <bit>
#include <cmath>
#include <limits>

#include "kernels/core/philox.h"
#include "tests/support/catch.h"

using engine::Json;
using engine::parse_json;
using engine::to_text;

namespace {

void refuses(const std::string& text, const std::string& words) {
  INFO(text.substr(0, 80));
  CHECK_THROWS_WITH(parse_json(text, "run/log.jsonl"), ContainsSubstring("run/log.jsonl") && ContainsSubstring(words));
}

}  // namespace

TEST_CASE("a value is written on one line, in the order of its keys") {
  const Json json = Json::object({{"step", 3},
                                  {"loss", 0.5},
                                  {"done", false},
                                  {"name", "a \"b\"\n\xc3\xa9"},
                                  {"shape", std::vector<std::int64_t>{2, 3}},
                                  {"mixed", Json::array({nullptr, 1e300, 2.0, Json::object()})}});
  CHECK(to_text(json) == R"({"step":3,"loss":0.5,"done":false,"name":"a \"b\"\n)"
                         "\xc3\xa9"
                         R"(","shape":[2,3],"mixed":[null,1e+300,2.0,{}]})");
  CHECK(to_text(parse_json(to_text(json), "here")) == to_text(json));
  CHECK(to_text(Json::array({NAN, -INFINITY, INFINITY})) == "[null,null,null]");
  CHECK(to_text("\xff!") == "\"\xef\xbf\xbd!\"");
}

TEST_CASE("numbers come back with the same bits and the same kind") {
  for (std::uint32_t i = 0; i < 2000; ++i) {
    const auto words = kernels::philox({.block = i, .subindex = 0, .sample = 0, .time = 0}, {.seed = 7, .purpose = 0});
    const double v = std::bit_cast<double>(std::uint64_t{words.w[0]} << 32 | words.w[1]);
    if (!std::isfinite(v)) continue;
    const double back = parse_json(to_text(v), "here").as_double();
    CHECK(std::bit_cast<std::uint64_t>(back) == std::bit_cast<std::uint64_t>(v));
  }
  for (const double v : {0.0, -0.0, 3.0, 0.1, 5e-324, 1.7976931348623157e308}) {
    const Json back = parse_json(to_text(v), "here");
    CHECK(back.kind == Json::Kind::number);
    CHECK(std::bit_cast<std::uint64_t>(back.number) == std::bit_cast<std::uint64_t>(v));
  }
  constexpr auto most = std::numeric_limits<std::int64_t>::max(), least = std::numeric_limits<std::int64_t>::min();
  CHECK(parse_json("9223372036854775807", "here").as_int() == most);
  CHECK(parse_json("-9223372036854775808", "here").as_int() == least);
  CHECK(parse_json("9223372036854775808", "here").as_double() == 9223372036854775808.0);
  CHECK_THROWS_AS(parse_json("9223372036854775808", "here").as_int(), kernels::Error);
  CHECK_THROWS_AS(Json(std::uint64_t{1} << 63), kernels::Error);
  CHECK(Json(std::uint64_t{0}).as_int() == 0);
}

TEST_CASE("access errors name the key") {
  const Json json = parse_json(R"({"run": {"step": "three", "rate": 1.5}})", "here");
  CHECK(json.at("run").at("rate").as_double() == 1.5);
  CHECK(json.find("none") == nullptr);
  CHECK_THROWS_WITH(json.at("run").at("loss"), ContainsSubstring("'run'") && ContainsSubstring("'loss' is missing"));
  CHECK_THROWS_WITH(json.at("run").at("step").as_int(),
                    ContainsSubstring("'step'") && ContainsSubstring("expected an integer, found a string"));
  CHECK_THROWS_WITH(json.at("run").at("rate").as_int(), ContainsSubstring("expected an integer, found a number"));
}

TEST_CASE("what is not JSON is refused, with its place") {
  refuses("", "not valid JSON");
  refuses("{\"a\": 1", "not valid JSON at byte 8");
  refuses("{\"a\": 1} x", "not valid JSON at byte 10");
  refuses(std::string("{}\0{}", 5), "byte 2: a zero byte");
  refuses("[1,]", "not valid JSON");
  refuses("\"\xc3\x28\"", "not valid JSON");
  refuses("1e999", "not valid JSON");
  refuses("NaN", "not valid JSON");
  refuses(R"({"a": {"b": 1, "c": 2, "b": 3}})", "'b' appears twice");
  CHECK_NOTHROW(parse_json(std::string(64, '[') + std::string(64, ']'), "here"));
  refuses(std::string(65, '[') + std::string(65, ']'), "deeper than 64");
  refuses(std::string(10'000'000, '['), "deeper than 64");
  std::string many = "[0";
  for (int i = 0; i < 600'000; ++i) many += ",0";
  refuses(many + "]", "more than 524288 values");
}
