#include "engine/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace engine {
namespace {

constexpr std::size_t max_depth = 64;
constexpr std::size_t max_values = std::size_t{1} << 19;

/// Receives the events of nlohmann's parser, which keeps its own stack: no recursion, whatever the nesting.
class Builder {
 public:
  explicit Builder(const std::string& where) : where_(where) {}
  Json take() { return std::move(root_); }

  bool null() { return put({}); }
  bool boolean(bool v) { return put(v); }
  bool number_integer(std::int64_t v) { return put(v); }
  bool number_unsigned(std::uint64_t v) {
    return std::in_range<std::int64_t>(v) ? put(v) : put(static_cast<double>(v));
  }
  bool number_float(double v, const std::string&) { return put(v); }
  bool string(std::string& v) { return put(std::move(v)); }
  bool binary(nlohmann::json::binary_t&) { return refuse("binary values are not JSON"); }
  bool key(std::string& v) {
    key_ = std::move(v);
    return true;
  }
  bool start_object(std::size_t) { return open(Json::object()); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_object() {
    refuse_twins(open_.back());
    return end_array();
  }
  bool end_array() {
    Json done = std::move(open_.back());
    open_.pop_back();
    return attach(std::move(done));
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& e) {
    std::string reason = e.what();  // "[json.exception...] parse error at ...: reason", and may quote megabytes
    reason = reason.substr(std::min(reason.size(), reason.find("] ") + 2), 160);
    return refuse(fmt::format("not valid JSON at byte {}: {}", position, reason));
  }

 private:
  bool refuse(const std::string& what) const { throw kernels::Error(what, where_); }

  Json& named(Json& value) {
    if (++values_ > max_values) refuse(fmt::format("JSON of more than {} values", max_values));
    value.key = std::exchange(key_, {});
    return value;
  }
  bool put(Json value) { return attach(std::move(named(value))); }
  bool open(Json value) {
    if (open_.size() == max_depth) refuse(fmt::format("JSON nested deeper than {} levels", max_depth));
    open_.push_back(std::move(named(value)));
    return true;
  }
  bool attach(Json value) {
    if (open_.empty()) root_ = std::move(value);
    else open_.back().items.push_back(std::move(value));
    return true;
  }
  void refuse_twins(const Json& object) const {
    std::vector<std::string_view> keys;
    for (const Json& member : object.items) keys.push_back(member.key);
    std::sort(keys.begin(), keys.end());
    const auto twin = std::adjacent_find(keys.begin(), keys.end());
    if (twin != keys.end()) refuse(fmt::format("JSON key '{}' appears twice", *twin));
  }

  const std::string& where_;
  Json root_;
  std::vector<Json> open_;  // containers begun and not ended, outermost first
  std::string key_;
  std::size_t values_ = 0;
};

const char* name_of(Json::Kind kind) {
  constexpr const char* names[] = {"null", "a boolean", "an integer", "a number", "a string", "an array", "an object"};
  return names[static_cast<int>(kind)];
}

const Json& expect(const Json& json, Json::Kind kind) {
  if (json.kind == kind) return json;
  throw kernels::Error(fmt::format("expected {}, found {}", name_of(kind), name_of(json.kind)),
                       json.key.empty() ? "JSON" : fmt::format("JSON key '{}'", json.key));
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string digits(double v) {
  if (!std::isfinite(v)) return "null";
  std::string text = fmt::format("{}", v);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

void append(std::string& out, const Json& json) {
  switch (json.kind) {
    case Json::Kind::null:
      out += "null";
      return;
    case Json::Kind::boolean:
      out += json.integer != 0 ? "true" : "false";
      return;
    case Json::Kind::integer:
      out += std::to_string(json.integer);
      return;
    case Json::Kind::number:
      out += digits(json.number);
      return;
    case Json::Kind::string:
      out += quoted(json.text);
      return;
    case Json::Kind::array:
    case Json::Kind::object:
      break;
  }
  const bool object = json.kind == Json::Kind::object;
  out += object ? '{' : '[';
  for (std::size_t i = 0; i < json.items.size(); ++i) {
    if (i > 0) out += ',';
    if (object) out += quoted(json.items[i].key) + ':';
    append(out, json.items[i]);
  }
  out += object ? '}' : ']';
}

}  // namespace

Json Json::object(std::initializer_list<std::pair<std::string_view, Json>> members) {
  Json json;
  json.kind = Kind::object;
  for (const auto& [name, value] : members) json.add(name, value);
  return json;
}

Json& Json::add(std::string_view member_key, Json value) {
  value.key = member_key;
  items.push_back(std::move(value));
  return *this;
}

const Json* Json::find(std::string_view member_key) const {
  if (kind != Kind::object) return nullptr;
  for (const Json& member : items)
    if (member.key == member_key) return &member;
  return nullptr;
}

const Json& Json::at(std::string_view member_key) const {
  expect(*this, Kind::object);
  if (const Json* member = find(member_key)) return *member;
  throw kernels::Error(fmt::format("key '{}' is missing", member_key),
                       key.empty() ? "JSON" : fmt::format("JSON key '{}'", key));
}

bool Json::as_bool() const { return expect(*this, Kind::boolean).integer != 0; }
std::int64_t Json::as_int() const { return expect(*this, Kind::integer).integer; }
double Json::as_double() const {
  return kind == Kind::integer ? static_cast<double>(integer) : expect(*this, Kind::number).number;
}
const std::string& Json::as_string() const { return expect(*this, Kind::string).text; }
const std::vector<Json>& Json::as_array() const& { return expect(*this, Kind::array).items; }
const std::vector<Json>& Json::as_object() const& { return expect(*this, Kind::object).items; }

Json parse_json(std::string_view text, const std::string& where) {
  // nlohmann's parser takes a zero byte for the end of the text and would not see what follows it.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos)
    throw kernels::Error(fmt::format("not valid JSON at byte {}: a zero byte", zero), where);
  Builder builder(where);
  nlohmann::json::sax_parse(text, &builder);
  return builder.take();
}

std::string to_text(const Json& json) {
  std::string out;
  append(out, json);
  return out;
}

}  // namespace engine
