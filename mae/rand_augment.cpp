#include "mae/rand_augment.h"

#include <algorithm>
#include <charconv>

#include "engine/number.h"
#include "kernels/core/check.h"
#include "mae/color.h"

namespace mae {
namespace {

constexpr double most = 10;  // of a magnitude

constexpr std::array<const char*, operator_count> operator_names{
    "AutoContrast", "Equalize",   "Invert",    "Rotate", "Posterize", "Solarize",      "SolarizeAdd",  "Color",
    "Contrast",     "Brightness", "Sharpness", "ShearX", "ShearY",    "TranslateXRel", "TranslateYRel"};

[[noreturn]] void refuse(std::string_view text, const std::string& fact) {
  throw kernels::Error(fact, "\"" + std::string(text) + "\"",
                       "write it like rand-m9-mstd0.5-inc1: m the magnitude, 0 to 10, mstd its deviation, n the number "
                       "of operators (2), inc1 always; or none");
}

template <class T>
T number_of(std::string_view text, std::string_view part, std::string_view digits, T low, T high) {
  const auto value = engine::parse_number<T>(digits);
  if (!value || *value < low || *value > high)
    refuse(text, "\"" + std::string(part) + "\": the number is missing or out of range");
  return *value;
}

/// The shortest decimal that reads back as x.
std::string shortest(double x) {
  std::array<char, 32> digits{};
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), x).ptr};
}

}  // namespace

const char* name_of(Operator op) { return operator_names[static_cast<std::size_t>(op)]; }

RandAugment parse_rand_augment(std::string_view text) {
  if (text.empty() || text == "none") return no_rand_augment;
  if (text.back() == '-') refuse(text, "it ends in the middle");
  RandAugment options{.magnitude = most, .deviation = 0};  // timm's, where the text is silent
  bool increasing = false;
  std::string_view rest = text;
  for (bool first = true; !rest.empty(); first = false) {
    const std::string_view part = rest.substr(0, rest.find('-'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    if (first) {
      if (part != "rand") refuse(text, "only RandAugment is known");
    } else if (part == "inc1") {
      increasing = true;
    } else if (part.starts_with("mstd")) {
      options.deviation = number_of<double>(text, part, part.substr(4), 0, 100);
    } else if (part.starts_with("m")) {
      options.magnitude = number_of<double>(text, part, part.substr(1), 0, most);
    } else if (part.starts_with("n")) {
      options.operations = number_of<int>(text, part, part.substr(1), 1, 16);
    } else {
      refuse(text, "\"" + std::string(part) + "\" is not a part of it that is known");
    }
  }
  if (!increasing) refuse(text, "only operators that grow stronger with the magnitude are there: inc1 is missing");
  return options;
}

std::string to_text(const RandAugment& o) {
  if (!o.on()) return "none";
  std::string text = "rand-m" + shortest(o.magnitude);
  if (o.operations != 2) text += "-n" + std::to_string(o.operations);
  if (o.deviation > 0) text += "-mstd" + shortest(o.deviation);
  return text + "-inc1";
}

DrawnOperator draw_operator(const RandAugment& options, int which, const DrawOf& draw) {
  const std::uint32_t subindex = static_cast<std::uint32_t>(which) + 256 * draw.view;
  const auto [w] = words(draw, kernels::Purpose::rand_augment, 0, subindex);
  const auto [sign] = words(draw, kernels::Purpose::rand_augment, 1, subindex);
  return {.op = static_cast<Operator>(below(operator_count, w[0])),
          .applied = kernels::uniform(w[1]) < options.probability,
          .negative = kernels::uniform(sign[0]) < 0.5,
          .magnitude = std::clamp(options.magnitude + options.deviation * normal(w[2], w[3]), 0.0, most)};
}

/// The order of multiplications is timm's: a level that falls on a whole number falls on the same one.
double argument_of(Operator op, double magnitude, bool negative) {
  const double level = magnitude / most, sign = negative ? -1 : 1;
  switch (op) {
    case Operator::rotate:
      return sign * (level * 30);
    case Operator::posterize:
      return 4 - static_cast<int>(level * 4);
    case Operator::solarize:
      return 256 - static_cast<int>(level * 256);
    case Operator::solarize_add:
      return static_cast<int>(level * 110);
    case Operator::color:
    case Operator::contrast:
    case Operator::brightness:
    case Operator::sharpness:
      return 1 + sign * (level * 0.9);
    case Operator::shear_x:
    case Operator::shear_y:
      return sign * (level * 0.3);
    case Operator::translate_x:
    case Operator::translate_y:
      return sign * (level * 0.45);
    case Operator::autocontrast:
    case Operator::equalize:
    case Operator::invert:
      break;
  }
  return 0;
}

void apply(const Editable& image, const DrawnOperator& drawn, const Fill& fill) {
  const double argument = argument_of(drawn.op, drawn.magnitude, drawn.negative);
  switch (drawn.op) {
    case Operator::autocontrast:
      return autocontrast(image);
    case Operator::equalize:
      return equalize(image);
    case Operator::invert:
      return invert(image);
    case Operator::rotate:
      return rotate(image, argument, fill);
    case Operator::posterize:
      return posterize(image, static_cast<int>(argument));
    case Operator::solarize:
      return solarize(image, static_cast<int>(argument));
    case Operator::solarize_add:
      return solarize_add(image, static_cast<int>(argument));
    case Operator::color:
      return adjust_color(image, argument);
    case Operator::contrast:
      return adjust_contrast(image, argument);
    case Operator::brightness:
      return adjust_brightness(image, argument);
    case Operator::sharpness:
      return adjust_sharpness(image, argument);
    case Operator::shear_x:
      return shear_x(image, argument, fill);
    case Operator::shear_y:
      return shear_y(image, argument, fill);
    case Operator::translate_x:
      return translate_x(image, argument, fill);
    case Operator::translate_y:
      return translate_y(image, argument, fill);
  }
}

void rand_augment(const Editable& image, const RandAugment& options, const DrawOf& draw) {
  for (int which = 0; which < options.operations; ++which) {
    const DrawnOperator drawn = draw_operator(options, which, draw);
    if (drawn.applied) apply(image, drawn, options.fill);
  }
}

}  // namespace mae
