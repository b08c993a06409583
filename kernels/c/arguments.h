// An argument struct by the names of its members: where each view and each scalar stands, and how a call's values get
// there. What a struct has is found by its own `fields` and `scalars`.
#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/c/mae_kernels.h"
#include "kernels/core/launch.h"

namespace kernels::c {

struct FieldSlot {
  const char* name;
  View* view;
  Role role;
};

struct ScalarSlot {
  const char* name;
  double value;  // as it stands
  void* place;
  void (*store)(void* place, double value);
  bool whole = false;
  double least = 0, most = 0;                 // of a whole number
  std::span<const char* const> choices = {};  // of an enum; its value is a place in there
};

/// They point into the struct, which must stay where it is.
struct Slots {
  std::vector<FieldSlot> fields;
  std::vector<ScalarSlot> scalars;
};

template <class T>
ScalarSlot slot_of(const char* name, T& scalar) {
  ScalarSlot slot{.name = name, .value = static_cast<double>(scalar), .place = &scalar, .store = [](void* p, double v) {
                    *static_cast<T*>(p) = static_cast<T>(v);
                  }};
  if constexpr (std::is_enum_v<T>) {
    static constexpr auto names = names_of(T{});
    slot.choices = names;
  } else if constexpr (std::is_integral_v<T>) {
    constexpr double exact = 1LL << 53;  // whole numbers up to here are doubles
    slot.whole = true;
    slot.least = std::max(static_cast<double>(std::numeric_limits<T>::min()), -exact);
    slot.most = std::min(static_cast<double>(std::numeric_limits<T>::max()), exact);
  }
  return slot;
}

template <class Args>
Slots slots_of(Args& args) {
  Slots slots;
  Args::fields(args, [&](const char* name, View& view, Role role) { slots.fields.push_back({name, &view, role}); });
  for_each_scalar(args, [&](const char* name, auto& scalar) { slots.scalars.push_back(slot_of(name, scalar)); });
  return slots;
}

/// The arguments of one launch, as they came.
struct Request {
  const char* kernel = "";
  std::string row;
  std::span<const mae_field> fields;
  std::span<const mae_scalar> scalars;
};

/// Throws Error, with the kernel's name and that of the argument.
void bind(const Slots& slots, const Request& request, const Device& device);

/// The view of a tensor on `device`. Throws Error, in the name of `where`, for what a View cannot say.
View view_of_tensor(const mae_tensor& tensor, const Device& device, const std::string& where);

/// "one of fast, reference"
template <class Names>
std::string one_of(const Names& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "one of " : ", ") + std::string(name);
  return text;
}

}  // namespace kernels::c
