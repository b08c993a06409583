// write_pth: the pickle that torch.save writes, of protocol 2.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "engine/pth.h"
#include "kernels/core/check.h"

namespace engine {
namespace {

constexpr std::string_view state_dict_name = "model", pth_root = "archive/";
constexpr std::size_t most_dimensions = 8;

/// In the order of StoredType; null: torch has no storage of that type.
constexpr std::array<const char*, 13> storage_names = {
    "DoubleStorage", "FloatStorage", "BFloat16Storage", "IntStorage",   nullptr,       nullptr,      "ByteStorage",
    "HalfStorage",   "LongStorage",  nullptr,           "ShortStorage", "CharStorage", "BoolStorage"};

/// Opcodes by their letters in Python's pickletools.
class PickleWriter {
 public:
  PickleWriter& op(std::string_view opcodes) {
    bytes_ += opcodes;
    return *this;
  }
  PickleWriter& text(std::string_view t) { return op("X").fixed<std::uint32_t>(t.size()).op(t); }
  PickleWriter& global(std::string_view module, std::string_view name) {
    return op("c").op(module).op("\n").op(name).op("\n");
  }
  PickleWriter& empty_ordered_dict() { return global("collections", "OrderedDict").op(")R"); }
  PickleWriter& integer(std::int64_t v) {
    if (v <= std::numeric_limits<std::int32_t>::max()) return op("J").fixed<std::int32_t>(v);
    return op("\x8a\x08").fixed<std::int64_t>(v);
  }
  PickleWriter& tuple(const std::vector<std::int64_t>& values) {
    op("(");
    for (const std::int64_t v : values) integer(v);
    return op("t");
  }
  std::string take() { return std::move(bytes_); }

 private:
  template <class T, class V>
  PickleWriter& fixed(V value) {
    const auto narrow = static_cast<T>(value);
    return op({reinterpret_cast<const char*>(&narrow), sizeof narrow});
  }

  std::string bytes_;
};

/// count_of has found that they do not overflow.
std::vector<std::int64_t> row_major(const std::vector<std::int64_t>& shape) {
  std::vector<std::int64_t> stride(shape.size());
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0; step *= std::max<std::int64_t>(shape[i], 1)) stride[i] = step;
  return stride;
}

std::int64_t count_of(const TensorToWrite& t, const std::string& path) {
  const auto refuse = [&](const std::string& what, const std::string& advice = {}) {
    throw kernels::Error(what, fmt::format("{}: tensor '{}'", path, t.name), advice);
  };
  if (storage_names[static_cast<std::size_t>(t.type)] == nullptr)
    refuse(fmt::format("is {}, which PyTorch has no storage for", name_of(t.type)), "safetensors holds it");
  if (t.shape.size() > most_dimensions)
    refuse(fmt::format("has {} dimensions, at most {} are supported", t.shape.size(), most_dimensions));
  auto bytes = static_cast<std::int64_t>(size_of(t.type));
  for (const std::int64_t size : t.shape)
    if (size < 0 || __builtin_mul_overflow(bytes, std::max<std::int64_t>(size, 1), &bytes))
      refuse("has a negative size or overflows 64 bits");
  if (std::find(t.shape.begin(), t.shape.end(), 0) != t.shape.end()) return 0;
  if (t.data == nullptr) refuse("has no data to write");
  return bytes / static_cast<std::int64_t>(size_of(t.type));
}

void add_tensor(PickleWriter& pickle, const TensorToWrite& t, std::int64_t count, std::size_t key) {
  pickle.text(t.name).global("torch._utils", "_rebuild_tensor_v2").op("((").text("storage");
  pickle.global("torch", storage_names[static_cast<std::size_t>(t.type)]).text(std::to_string(key)).text("cpu");
  pickle.integer(count).op("tQ").integer(0).tuple(t.shape).tuple(row_major(t.shape));
  pickle.op("\x89").empty_ordered_dict().op("tR");
}

}  // namespace

void write_pth(const std::string& path, const std::vector<TensorToWrite>& tensors, const Metadata& metadata) {
  using namespace std::string_view_literals;
  const auto bytes_of = [](std::string_view text) { return std::as_bytes(std::span(text)); };
  std::set<std::string_view> names;
  const auto take_name = [&](std::string_view name) {
    if (!names.insert(name).second) throw kernels::Error(fmt::format("'{}' is there twice", name), path);
  };
  std::vector<ZipRecordToWrite> records(1);
  PickleWriter pickle;
  pickle.op("\x80\x02}("sv).text(state_dict_name).empty_ordered_dict().op("(");
  for (const TensorToWrite& t : tensors) {
    take_name(t.name);
    const std::int64_t count = count_of(t, path);
    const std::size_t key = records.size() - 1;
    add_tensor(pickle, t, count, key);
    records.push_back({fmt::format("{}data/{}", pth_root, key),
                       {static_cast<const std::byte*>(t.data), static_cast<std::size_t>(count) * size_of(t.type)}});
  }
  pickle.op("u");
  names = {state_dict_name};
  for (const auto& [name, value] : metadata) {
    take_name(name);
    pickle.text(name).text(value);
  }
  const std::string text = pickle.op("u.").take();
  records[0] = {fmt::format("{}data.pkl", pth_root), bytes_of(text)};
  records.push_back({fmt::format("{}byteorder", pth_root), bytes_of("little")});
  records.push_back({fmt::format("{}version", pth_root), bytes_of("3\n")});
  write_zip(path, records);
}

}  // namespace engine
