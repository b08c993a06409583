// Json: the one JSON value of the program (log lines, checkpoint metadata, --json output).
//
// A plain struct, not a wrapper: nlohmann-json compiles slowly and stays inside json.cpp. An object is a list of values
// that each carry their key, so order is kept and an error can name the key of the value that it is about.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/core/check.h"

namespace engine {

struct Json {
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, array, object };

  Json() = default;
  Json(std::nullptr_t) {}
  /// Refuses integers above 2^63 - 1: as a double they would silently lose digits.
  template <std::integral T>
  Json(T v) : kind(std::same_as<T, bool> ? Kind::boolean : Kind::integer), integer(static_cast<std::int64_t>(v)) {
    if (v > 0 && integer <= 0) throw kernels::Error("integer above 2^63 - 1", "JSON", "write it as a string");
  }
  Json(double v) : kind(Kind::number), number(v) {}
  Json(std::string v) : kind(Kind::string), text(std::move(v)) {}
  Json(std::string_view v) : Json(std::string(v)) {}
  Json(const char* v) : Json(std::string(v)) {}
  template <class T>
  Json(const std::vector<T>& values) : kind(Kind::array) {
    for (const T& v : values) add({}, v);
  }

  static Json array(std::initializer_list<Json> values = {}) { return Json(std::vector<Json>(values)); }
  static Json object(std::initializer_list<std::pair<std::string_view, Json>> members = {});

  /// Appends to an object or array (key empty). The caller adds a key once; nothing looks for an earlier one.
  Json& add(std::string_view member_key, Json value);

  /// The member of that key, or null where there is none (or this is no object).
  const Json* find(std::string_view member_key) const;
  /// The same; throws, naming the key, where there is none.
  const Json& at(std::string_view member_key) const;

  /// The value as that type; throws, naming the key. as_double takes integers too, as_int no fractions.
  bool as_bool() const;
  std::int64_t as_int() const;
  double as_double() const;
  const std::string& as_string() const;
  const std::vector<Json>& as_array() const&;
  const std::vector<Json>& as_object() const&;
  std::vector<Json> as_array() && { return std::as_const(*this).as_array(); }  // for loops over a temporary's members
  std::vector<Json> as_object() && { return std::as_const(*this).as_object(); }

  std::string key;           // inside an object: the member's name
  Kind kind = Kind::null;    // says which of the fields below holds the value
  std::int64_t integer = 0;  // integer, boolean
  double number = 0;         // number: everything written with a fraction or exponent, or beyond 64 bits
  std::string text;          // string
  std::vector<Json> items;   // array, object
};

/// Parses one value. Throws kernels::Error naming `where` for text that is not JSON or not UTF-8, for a key given
/// twice, for more than 64 levels and for more than 2^19 values: memory stays below a fixed bound plus the text's own
/// size.
Json parse_json(std::string_view text, const std::string& where);

/// One compact line. A double has the fewest digits that read back to the same bits, and keeps ".0" so that it stays a
/// double; NaN and infinities, which JSON does not have, become null. Bytes that are not UTF-8 become U+FFFD.
std::string to_text(const Json& json);

}  // namespace engine
