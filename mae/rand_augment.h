// RandAugment (Cubuk et al., 2020) as timm 0.3.2 has it in "rand-m9-mstd0.5-inc1", the recipe of fine-tuning.
//
// Operators:  two of 15, drawn uniformly and with replacement; each is applied with probability 0.5.
// Magnitude:  m ~ N(9, 0.5), drawn anew for each operator, clipped to [0, 10]. The larger, the stronger ("inc1"):
//
//             AutoContrast, Equalize, Invert       without m
//             Rotate             +-3 m degrees            Color, Contrast, Brightness, Sharpness   factor 1 +- 0.09 m
//             Posterize          4 - int(0.4 m) bits      ShearX, ShearY                           +-0.03 m
//             Solarize           from 256 - int(25.6 m)   TranslateXRel, TranslateYRel             +-0.045 m of the
//             side SolarizeAdd        int(11 m) is added
//
// Draws:      Philox, key (seed, rand_augment), counter (element, subindex, sample, epoch); subindex = which of the two
//             + 256 view; element 0 the operator, 1 whether it is applied, 2 and 3 the magnitude, 4 the sign.
// Pixels:     mae/color.h, mae/affine.h: Pillow's bits.
#pragma once

#include <string>
#include <string_view>

#include "mae/affine.h"
#include "mae/draws.h"

namespace mae {

/// In timm's order; the numbers are what element 0 draws.
enum class Operator {
  autocontrast,
  equalize,
  invert,
  rotate,
  posterize,
  solarize,
  solarize_add,
  color,
  contrast,
  brightness,
  sharpness,
  shear_x,
  shear_y,
  translate_x,
  translate_y
};
inline constexpr int operator_count = 15;

const char* name_of(Operator op);  // timm's

struct RandAugment {
  int operations = 2;  // 0: off
  double magnitude = 9, deviation = 0.5;
  double probability = 0.5;  // of each operator
  Fill fill{124, 116, 104};  // beyond the border: fill_of(mean)

  bool on() const { return operations > 0; }
  bool operator==(const RandAugment&) const = default;
};

inline constexpr RandAugment no_rand_augment{.operations = 0};

/// From timm's words: "rand-m9-mstd0.5-inc1", "-n3" for three operators; "" and "none" are off. Throws kernels::Error
/// for parts that it does not know and for values out of range. Probability and fill keep their defaults.
RandAugment parse_rand_augment(std::string_view text);

/// What parse_rand_augment reads; "none" where it is off.
std::string to_text(const RandAugment& options);

struct DrawnOperator {
  Operator op = Operator::autocontrast;
  bool applied = false, negative = false;  // negative: of the two signs, where the operator has them
  double magnitude = 0;                    // 0 to 10

  bool operator==(const DrawnOperator&) const = default;
};

DrawnOperator draw_operator(const RandAugment& options, int which, const DrawOf& draw);

/// What a magnitude means to an operator: degrees, bits, levels, a factor, a share of the side. 0 where it has none.
double argument_of(Operator op, double magnitude, bool negative);

void apply(const Editable& image, const DrawnOperator& drawn, const Fill& fill);  // whether or not `applied` says so

/// Draws and applies all.
void rand_augment(const Editable& image, const RandAugment& options, const DrawOf& draw);

}  // namespace mae
