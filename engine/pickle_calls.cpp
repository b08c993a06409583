#include "engine/pickle_calls.h"

#include <fmt/format.h>

#include <algorithm>

#include "kernels/core/check.h"

namespace engine {
namespace {

using Kind = PickleValue::Kind;

// What PickleValue::integer of a function says; from first_storage_type on, StoredType follows.
enum Function : std::int64_t {
  ordered_dict,
  rebuild_tensor,
  rebuild_parameter,
  make_size,
  make_namespace,
  make_device,
  first_storage_type
};

struct KnownName {
  std::string_view module, name;
  std::int64_t function;
};

constexpr std::int64_t storage_of(StoredType t) { return first_storage_type + static_cast<std::int64_t>(t); }

constexpr KnownName known_names[] = {
    {"collections", "OrderedDict", ordered_dict},
    {"torch._utils", "_rebuild_tensor_v2", rebuild_tensor},
    {"torch._utils", "_rebuild_parameter", rebuild_parameter},
    {"torch", "Size", make_size},
    {"torch", "device", make_device},
    {"argparse", "Namespace", make_namespace},
    {"torch", "FloatStorage", storage_of(StoredType::f32)},
    {"torch", "DoubleStorage", storage_of(StoredType::f64)},
    {"torch", "HalfStorage", storage_of(StoredType::f16)},
    {"torch", "BFloat16Storage", storage_of(StoredType::bf16)},
    {"torch", "LongStorage", storage_of(StoredType::i64)},
    {"torch", "IntStorage", storage_of(StoredType::i32)},
    {"torch", "ShortStorage", storage_of(StoredType::i16)},
    {"torch", "CharStorage", storage_of(StoredType::i8)},
    {"torch", "ByteStorage", storage_of(StoredType::u8)},
    {"torch", "BoolStorage", storage_of(StoredType::boolean)},
};

constexpr std::string_view torch_dtypes[] = {"float32",    "float64", "float16", "bfloat16", "int64", "int32",
                                             "int16",      "int8",    "uint8",   "bool",     "half",  "complex64",
                                             "complex128", "float",   "double",  "long",     "int"};

constexpr std::size_t most_sizes = 8, longest_key = 100;

/// For messages: at most 80 bytes, and none that a terminal would obey.
std::string printable(std::string_view text) {
  std::string out(text.substr(0, 80));
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return out;
}

/// Arguments of one call, asked for by place and type.
class Arguments {
 public:
  Arguments(const Pickle& pickle, const PickleValue& tuple, const char* function, const std::string& where)
      : pickle_(pickle), items_(tuple.items), function_(function), where_(where) {
    if (tuple.kind != Kind::tuple) refuse(fmt::format("is called with {} for arguments", name_of(tuple.kind)));
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw kernels::Error(fmt::format("pickle: {} {}", function_, what), where_, "the file is damaged or was forged");
  }
  void count(std::size_t least, std::size_t most) const {
    if (items_.size() < least || items_.size() > most)
      refuse(fmt::format("has {} arguments instead of {} to {}", items_.size(), least, most));
  }
  std::size_t count() const { return items_.size(); }
  PickleRef ref(std::size_t i, Kind kind) const {
    if (const Kind found = pickle_.at(items_[i]).kind; found != kind)
      refuse(fmt::format("has {} for argument {}, wanted {}", name_of(found), i + 1, name_of(kind)));
    return items_[i];
  }
  const PickleValue& get(std::size_t i, Kind kind) const { return pickle_.at(ref(i, kind)); }
  std::int64_t size(std::size_t i) const { return checked_size(get(i, Kind::integer)); }
  std::vector<std::int64_t> sizes(std::size_t i) const {
    const PickleValue& tuple = get(i, Kind::tuple);
    if (tuple.items.size() > most_sizes)
      refuse(fmt::format("makes a tensor of {} dimensions, at most {} are supported", tuple.items.size(), most_sizes));
    std::vector<std::int64_t> values;
    for (const PickleRef item : tuple.items) values.push_back(checked_size(pickle_.at(item)));
    return values;
  }

 private:
  std::int64_t checked_size(const PickleValue& value) const {
    if (value.kind != Kind::integer || value.integer < 0)
      refuse(fmt::format("has {} for a size, wanted a whole number from 0 on", name_of(value.kind)));
    return value.integer;
  }

  const Pickle& pickle_;
  const std::vector<PickleRef>& items_;
  const char* function_;
  const std::string& where_;
};

/// (storage, offset, sizes, strides, requires_grad, backward_hooks), and from torch 1.13 on sometimes metadata.
PickleRef rebuilt_tensor(Pickle& pickle, const Arguments& arguments) {
  arguments.count(6, 7);
  const PickleValue& storage = arguments.get(0, Kind::storage);
  PickledTensor tensor{.storage = static_cast<std::size_t>(storage.integer),
                       .offset = arguments.size(1),
                       .shape = arguments.sizes(2),
                       .stride = arguments.sizes(3)};
  if (tensor.shape.size() != tensor.stride.size())
    arguments.refuse(fmt::format("has {} sizes and {} strides", tensor.shape.size(), tensor.stride.size()));
  arguments.get(4, Kind::boolean);
  arguments.get(5, Kind::dict);
  PickleValue value{.kind = Kind::tensor, .integer = std::ssize(pickle.tensors)};
  pickle.tensors.push_back(std::move(tensor));
  return add_value(pickle, std::move(value));
}

}  // namespace

PickleRef add_value(Pickle& pickle, PickleValue value) {
  pickle.values.push_back(std::move(value));
  return static_cast<PickleRef>(pickle.values.size() - 1);
}

PickleValue global_value(std::string_view module, std::string_view name, const std::string& where) {
  for (const KnownName& known : known_names)
    if (module == known.module && name == known.name) return {.kind = Kind::function, .integer = known.function};
  if (module == "torch" && std::find(std::begin(torch_dtypes), std::end(torch_dtypes), name) != std::end(torch_dtypes))
    return {.kind = Kind::opaque};
  throw kernels::Error(
      fmt::format("would run {}.{}; only tensors and plain containers are read", printable(module), printable(name)),
      where, "where you trust the file, load it in PyTorch and torch.save its state dict alone");
}

PickleRef call_function(Pickle& pickle, const PickleValue& function, const PickleValue& tuple,
                        const std::string& where) {
  const auto with = [&](const char* name) { return Arguments(pickle, tuple, name, where); };
  if (function.kind != Kind::function) with(name_of(function.kind)).refuse("is no function");
  switch (function.integer) {
    case ordered_dict:
      with("OrderedDict").count(0, 0);
      return add_value(pickle, {.kind = Kind::dict});
    case make_namespace:
      with("Namespace").count(0, 0);
      return add_value(pickle, {.kind = Kind::opaque});
    case make_device:
      with("device").count(1, 2);
      return add_value(pickle, {.kind = Kind::opaque});
    case rebuild_tensor:
      return rebuilt_tensor(pickle, with("_rebuild_tensor_v2"));
    case make_size: {
      const Arguments arguments = with("Size");
      arguments.count(1, 1);
      return arguments.ref(0, Kind::tuple);
    }
    case rebuild_parameter: {  // (tensor, requires_grad, backward_hooks)
      const Arguments arguments = with("_rebuild_parameter");
      arguments.count(3, 3);
      arguments.get(1, Kind::boolean);
      arguments.get(2, Kind::dict);
      return arguments.ref(0, Kind::tensor);
    }
    default:
      with("a storage type").refuse("is no function");
  }
}

PickleRef make_storage(Pickle& pickle, const PickleValue& identity, const std::string& where) {
  const Arguments arguments(pickle, identity, "the persistent id", where);
  arguments.count(5, 5);  // ("storage", type, key, device, count)
  if (arguments.get(0, Kind::text).text != "storage") arguments.refuse("is of no storage");
  const std::int64_t type = arguments.get(1, Kind::function).integer - first_storage_type;
  if (type < 0) arguments.refuse("is of no storage type");
  const std::string& key = arguments.get(2, Kind::text).text;
  if (key.size() > longest_key) arguments.refuse(fmt::format("has a key of {} bytes", key.size()));
  arguments.get(3, Kind::text);
  PickleValue value{.kind = Kind::storage, .integer = std::ssize(pickle.storages)};
  pickle.storages.push_back({.key = key, .type = static_cast<StoredType>(type), .count = arguments.size(4)});
  return add_value(pickle, std::move(value));
}

}  // namespace engine
