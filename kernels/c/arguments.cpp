#include "kernels/c/arguments.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace kernels::c {
namespace {

// ---- tensors --------------------------------------------------------------------------------------------------------

enum DLPackDevice { on_host = 1, on_cuda = 2, on_pinned_host = 3, on_managed_cuda = 13 };  // DLPack's numbers

std::string name_of(const mae_device& device) {
  switch (device.type) {
    case on_host:
      return "cpu";
    case on_pinned_host:
      return "pinned memory of the host";
    case on_cuda:
    case on_managed_cuda:
      return "cuda:" + std::to_string(device.id);
    default:
      return "DLPack's device type " + std::to_string(device.type);
  }
}

/// A kernel on `device` can reach the memory.
bool reaches(const Device& device, const mae_device& memory) {
  if (device.kind != DeviceKind::cuda) return memory.type == on_host || memory.type == on_pinned_host;
  return memory.type == on_managed_cuda || (memory.type == on_cuda && memory.id == device.index);
}

std::optional<DType> dtype_from(const mae_dtype& dtype) {
  struct Known {
    int code, bits;
    DType dtype;
  };
  constexpr Known known[] = {{2, 64, DType::f64}, {2, 32, DType::f32}, {4, 16, DType::bf16}, {0, 32, DType::i32},
                             {1, 32, DType::u32}, {1, 16, DType::u16}, {1, 8, DType::u8}};
  for (const Known& k : known) {
    if (dtype.lanes == 1 && dtype.code == k.code && dtype.bits == k.bits) return k.dtype;
  }
  return std::nullopt;
}

std::string name_of(const mae_dtype& dtype) {
  constexpr const char* codes[] = {"int", "uint", "float", "handle", "bfloat", "complex", "bool"};
  const std::string code = dtype.code < std::size(codes) ? codes[dtype.code] : "code " + std::to_string(dtype.code);
  return code + std::to_string(dtype.bits) + (dtype.lanes == 1 ? "" : "x" + std::to_string(dtype.lanes));
}

Shape shape_of(const mae_tensor& tensor, const std::string& where) {
  if (tensor.ndim == 0) return {1};
  if (tensor.ndim < 0 || tensor.ndim > Shape::max_rank)
    throw Error("has " + std::to_string(tensor.ndim) + " dimensions, and a view up to 5", where, "reshape it");
  if (!tensor.shape) throw Error("has no shape: the pointer is null", where);
  Shape shape;
  shape.rank = tensor.ndim;
  for (int i = 0; i < tensor.ndim; ++i) {
    if (tensor.shape[i] <= 0) throw Error("dimension " + std::to_string(i) + " is not positive", where);
    shape.dims[static_cast<std::size_t>(i)] = tensor.shape[i];
  }
  return shape;
}

/// The distance of rows; nothing where strides are not those of contiguous rows at one distance.
std::optional<std::int64_t> row_stride_of(const mae_tensor& tensor, const Shape& shape) {
  if (!tensor.strides || tensor.ndim == 0) return shape.cols();
  const int last = shape.rank - 1;
  if (shape[last] > 1 && tensor.strides[last] != 1) return std::nullopt;
  std::optional<std::int64_t> row_stride;
  std::int64_t expected = 0;
  for (int i = last - 1; i >= 0; --i) {
    if (shape[i] == 1) continue;  // its stride is never walked
    if (!row_stride) expected = *(row_stride = tensor.strides[i]);
    if (tensor.strides[i] != expected) return std::nullopt;
    expected *= shape[i];
  }
  if (row_stride && *row_stride < shape.cols()) return std::nullopt;  // rows that overlap, or run backwards
  return row_stride.value_or(shape.cols());
}

std::string strides_text(const mae_tensor& tensor) {
  std::string text;
  for (int i = 0; i < tensor.ndim; ++i) text += (i ? ", " : "(") + std::to_string(tensor.strides[i]);
  return text + ")";
}

// ---- names ----------------------------------------------------------------------------------------------------------

template <class Slot>
std::string names_in(const std::vector<Slot>& slots) {
  std::vector<const char*> names;
  for (const Slot& slot : slots) names.push_back(slot.name);
  return names.empty() ? "it has none" : one_of(names);
}

/// The slot of a name that the caller gave; `taken` marks each, so that none is given twice.
template <class Slot>
const Slot& find(const std::vector<Slot>& slots, const char* name, std::vector<bool>& taken, const char* kernel,
                 const char* what) {
  if (!name) throw Error(std::string("the name of a ") + what + " is null", kernel);
  const auto slot =
      std::find_if(slots.begin(), slots.end(), [&](const Slot& s) { return s.name == std::string(name); });
  if (slot == slots.end()) throw Error(std::string("it has no ") + what + " \"" + name + "\"", kernel, names_in(slots));
  auto mark = taken.begin() + (slot - slots.begin());
  if (*mark) throw Error(std::string("the ") + what + " \"" + name + "\" is given twice", kernel);
  *mark = true;
  return *slot;
}

double value_of(const ScalarSlot& slot, const mae_scalar& given, const std::string& where) {
  const auto names = slot.choices;
  if (names.empty()) {
    if (given.text) throw Error("is a number, not \"" + std::string(given.text) + "\"", where);
    const bool fits = !slot.whole || (given.number >= slot.least && given.number <= slot.most &&
                                      given.number == std::floor(given.number));
    if (!fits) throw Error("is a whole number in the range of its type, not " + std::to_string(given.number), where);
    return given.number;
  }
  const auto found = std::find_if(names.begin(), names.end(),
                                  [&](const char* name) { return given.text && name == std::string(given.text); });
  if (found != names.end()) return static_cast<double>(found - names.begin());
  throw Error(given.text ? "there is no \"" + std::string(given.text) + "\"" : "is chosen by name, not by number",
              where, one_of(names));
}

}  // namespace

View view_of_tensor(const mae_tensor& tensor, const Device& device, const std::string& where) {
  if (!reaches(device, tensor.device)) {
    const std::string stream =
        device.kind == DeviceKind::cuda ? "cuda:" + std::to_string(device.index) : kernels::name_of(device.kind);
    throw Error("is in memory of " + name_of(tensor.device) + ", and the stream is on " + stream, where,
                "all tensors of a launch on one device");
  }
  const auto dtype = dtype_from(tensor.dtype);
  if (!dtype)
    throw Error("no kernel takes " + name_of(tensor.dtype), where, "one of f64, f32, bf16, i32, u32, u16, u8");
  const Shape shape = shape_of(tensor, where);
  const auto row_stride = row_stride_of(tensor, shape);
  if (!row_stride) {
    throw Error("strides " + strides_text(tensor) + " of shape " + to_string(shape) +
                    " are not those of contiguous rows at one distance",
                where, "a contiguous copy");
  }
  if (!tensor.data) throw Error("has no data: the pointer is null", where);
  auto* data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  if (reinterpret_cast<std::uintptr_t>(data) % size_of(*dtype) != 0)
    throw Error("its data does not stand at a multiple of its elements' size", where, "a copy of its own");
  return view_of(data, *dtype, shape, *row_stride);
}

void bind(const Slots& slots, const Request& request, const Device& device) {
  const std::string kernel = request.kernel;
  std::vector<bool> taken(slots.scalars.size());
  for (const mae_scalar& given : request.scalars) {
    const ScalarSlot& slot = find(slots.scalars, given.name, taken, request.kernel, "scalar");
    slot.store(slot.place, value_of(slot, given, kernel + ", " + slot.name));
  }
  taken.assign(slots.fields.size(), false);
  for (const mae_field& given : request.fields) {
    const FieldSlot& slot = find(slots.fields, given.name, taken, request.kernel, "field");
    if (given.tensor) *slot.view = view_of_tensor(*given.tensor, device, kernel + ", " + slot.name);
  }
}

}  // namespace kernels::c
