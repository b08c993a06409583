#include "engine/pth.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/pickle.h"
#include "kernels/core/check.h"

namespace engine {
namespace {

using Kind = PickleValue::Kind;

constexpr int deepest_dict = 64;
constexpr std::size_t longest_name = 1000;  // bytes
constexpr std::string_view distributed = "module.";
constexpr std::string_view state_dict_members[] = {"model", "state_dict", "model_state_dict", "module"};
constexpr const char* save_state_dict = "load it in PyTorch and torch.save({'model': model.state_dict()}, FILE)";

/// `<root>/`: the folder within the ZIP file that data.pkl lies in.
std::string root_of(const ZipFile& zip) {
  constexpr std::string_view end = "/data.pkl";
  std::vector<std::string_view> roots;
  for (const ZipRecord& record : zip.records()) {
    const std::string_view name = record.name;
    if (name.ends_with("/constants.pkl") || name.find("/code/") != std::string_view::npos)
      throw kernels::Error("is a TorchScript archive (torch.jit.save), which is a program", zip.path(),
                           save_state_dict);
    if (name.ends_with(end) && name.find('/') == name.size() - end.size())
      roots.push_back(name.substr(0, name.find('/') + 1));
  }
  if (roots.size() != 1)
    throw kernels::Error(fmt::format("has {} records <name>/data.pkl, torch.save writes one", roots.size()), zip.path(),
                         save_state_dict);
  return std::string(roots[0]);
}

std::string text_of(const ZipFile& zip, const ZipRecord& record, std::uint64_t most) {
  if (record.bytes > most)
    throw kernels::Error(fmt::format("record '{}' has {} bytes, at most {} are read", record.name, record.bytes, most),
                         zip.path());
  std::string text(record.bytes, '\0');
  zip.read(record, 0, text.data(), text.size());
  return text;
}

void check_byte_order(const ZipFile& zip, const std::string& root) {
  const ZipRecord* record = zip.find(root + "byteorder");
  if (record == nullptr || text_of(zip, *record, 16) == "little") return;
  throw kernels::Error("its numbers are big-endian, which is not supported", zip.path(), save_state_dict);
}

/// Values from the first to behind the last of a tensor that is not empty, from its offset on; false: above 2^63.
bool spanned(const PickledTensor& t, std::int64_t& values) {
  values = 1;
  for (std::size_t i = 0; i < t.shape.size(); ++i) {
    std::int64_t reach = 0;
    if (__builtin_mul_overflow(t.shape[i] - 1, t.stride[i], &reach) || __builtin_add_overflow(values, reach, &values))
      return false;
  }
  return true;
}

/// Without those of size 1, whose stride says nothing.
bool is_contiguous(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& stride) {
  std::int64_t expected = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && stride[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

/// Copies in row-major order what lies at strides, the last size by a loop of its own.
template <std::size_t Size>
void gather(const char* from, const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& stride,
            char* out) {
  const std::size_t last = shape.size() - 1;
  std::vector<std::int64_t> at(shape.size(), 0);
  for (std::int64_t offset = 0;;) {
    for (std::int64_t i = 0; i < shape[last]; ++i, out += Size)
      std::memcpy(out, from + (offset + i * stride[last]) * static_cast<std::int64_t>(Size), Size);
    std::size_t d = last;
    while (d > 0 && at[d - 1] == shape[d - 1] - 1) {
      --d;
      offset -= at[d] * stride[d];
      at[d] = 0;
    }
    if (d == 0) return;
    ++at[d - 1];
    offset += stride[d - 1];
  }
}

}  // namespace

/// Turns the pickle into the lists of a PthFile.
class StateDictReader {
 public:
  StateDictReader(PthFile& file, const Pickle& pickle, const std::string& root)
      : file_(file), pickle_(pickle), root_(root) {}

  void run() {
    const PickleValue& top = pickle_.at(pickle_.root);
    if (top.kind != Kind::dict) refuse({}, fmt::format("holds {}, not a dict of tensors", name_of(top.kind)));
    const PickleValue* state_dict = &top;
    std::string_view member;
    for (const std::string_view name : state_dict_members) {
      const PickleValue* found = find(top, name);
      if (found == nullptr || !has_tensor(*found)) continue;
      state_dict = found;
      member = name;
      break;
    }
    flatten(*state_dict, "", 0);
    if (file_.tensors_.empty()) refuse({}, "holds no tensor under a name");
    if (state_dict != &top) list_others(top, member);
    drop_common_prefix();
    refuse_twins();
  }

 private:
  [[noreturn]] void refuse(std::string_view tensor, const std::string& what,
                           const std::string& advice = save_state_dict) const {
    throw kernels::Error(what, tensor.empty() ? file_.path() : fmt::format("{}: tensor '{}'", file_.path(), tensor),
                         advice);
  }

  /// The last of that name, as Python's dict would have it.
  const PickleValue* find(const PickleValue& dict, std::string_view name) const {
    for (std::size_t i = dict.items.size(); i >= 2; i -= 2) {
      const PickleValue& key = pickle_.at(dict.items[i - 2]);
      if (key.kind == Kind::text && key.text == name) return &pickle_.at(dict.items[i - 1]);
    }
    return nullptr;
  }

  bool has_tensor(const PickleValue& value, int depth = 0) {
    if (value.kind == Kind::tensor) return depth > 0;
    if (value.kind != Kind::dict || depth > deepest_dict) return false;
    for (std::size_t i = 1; i < value.items.size(); i += 2) {
      count_visit();
      if (has_tensor(pickle_.at(value.items[i]), depth + 1)) return true;
    }
    return false;
  }

  /// Containers that are held many times could make a small file endless.
  void count_visit() {
    if (++visits_ > 4 * pickle_.values.size()) refuse({}, "holds dicts within dicts over and over");
  }

  std::string name_of_key(const PickleValue& key, const std::string& prefix) const {
    if (key.kind != Kind::text && key.kind != Kind::integer)
      refuse({}, fmt::format("'{}' has {} for a key, wanted a text or a whole number", prefix, name_of(key.kind)));
    if (prefix.size() + key.text.size() > longest_name)
      refuse({}, fmt::format("'{}...' is a name of more than {} bytes", key.text.substr(0, 40), longest_name));
    return prefix + (key.kind == Kind::text ? key.text : std::to_string(key.integer));
  }

  void flatten(const PickleValue& dict, const std::string& prefix, int depth) {
    if (depth > deepest_dict) refuse({}, fmt::format("has dicts within dicts beyond {} levels", deepest_dict));
    for (std::size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      count_visit();
      const std::string name = name_of_key(pickle_.at(dict.items[i]), prefix);
      const PickleValue& value = pickle_.at(dict.items[i + 1]);
      if (value.kind == Kind::tensor) add_tensor(name, pickle_.tensor(value));
      else if (value.kind == Kind::dict) flatten(value, name + ".", depth + 1);
      else add_other(name, value);
    }
  }

  void list_others(const PickleValue& top, std::string_view member) {
    for (std::size_t i = 0; i + 1 < top.items.size(); i += 2) {
      const std::string name = name_of_key(pickle_.at(top.items[i]), "");
      if (name != member) add_other(name, pickle_.at(top.items[i + 1]));
    }
  }

  void add_other(const std::string& name, const PickleValue& value) {
    std::string text;
    switch (value.kind) {
      case Kind::boolean:
        text = value.integer != 0 ? "true" : "false";
        break;
      case Kind::integer:
        text = std::to_string(value.integer);
        break;
      case Kind::number:
        text = fmt::format("{}", value.number);
        break;
      case Kind::text:
        text = value.text;
        break;
      default:
        file_.skipped_.push_back(name);
        return;
    }
    if (metadata_names_.insert(name).second) file_.metadata_.emplace_back(name, text);
  }

  void add_tensor(const std::string& name, const PickledTensor& tensor) {
    const PickledStorage& storage = pickle_.storages[tensor.storage];
    const std::string record_name = root_ + "data/" + storage.key;
    const ZipRecord* record = file_.zip_.find(record_name);
    if (record == nullptr) refuse(name, fmt::format("has its values in '{}', which is not in the file", record_name));
    std::uint64_t bytes = 0;
    if (__builtin_mul_overflow(static_cast<std::uint64_t>(storage.count), size_of(storage.type), &bytes) ||
        bytes != record->bytes)
      refuse(name, fmt::format("has a storage of {} {} values, '{}' has {} bytes", storage.count, name_of(storage.type),
                               record_name, record->bytes));
    check_layout(name, tensor, storage.count);
    file_.tensors_.push_back({.name = name, .type = storage.type, .shape = tensor.shape});
    file_.places_.push_back({.record = record, .offset = tensor.offset, .stride = tensor.stride});
  }

  void check_layout(const std::string& name, const PickledTensor& t, std::int64_t storage_count) const {
    std::int64_t count = 1, reach = 0;
    bool overflows = false;
    for (const std::int64_t size : t.shape) overflows |= __builtin_mul_overflow(count, size, &count);
    const bool empty = std::find(t.shape.begin(), t.shape.end(), 0) != t.shape.end();
    if (overflows || t.offset > storage_count || (!empty && (!spanned(t, reach) || reach > storage_count - t.offset)))
      refuse(name, fmt::format("shape ({}) with strides ({}) from value {} on reaches beyond its storage of {}",
                               fmt::join(t.shape, ", "), fmt::join(t.stride, ", "), t.offset, storage_count));
    if (!empty && count > storage_count)
      refuse(name,
             fmt::format("shape ({}) repeats the values of a storage of {}", fmt::join(t.shape, ", "), storage_count),
             "save tensor.contiguous() in its place");
  }

  void drop_common_prefix() {
    std::vector<StoredTensor>& tensors = file_.tensors_;
    if (!std::all_of(tensors.begin(), tensors.end(), [](const auto& t) { return t.name.starts_with(distributed); }))
      return;
    for (StoredTensor& t : tensors) t.name.erase(0, distributed.size());
  }

  void refuse_twins() const {
    std::set<std::string_view> names;
    for (const StoredTensor& t : file_.tensors_)
      if (!names.insert(t.name).second) refuse(t.name, "is there twice");
  }

  PthFile& file_;
  const Pickle& pickle_;
  const std::string& root_;
  std::set<std::string> metadata_names_;
  std::size_t visits_ = 0;
};

PthFile::PthFile(const std::string& path) : zip_(path) {
  const std::string root = root_of(zip_);
  check_byte_order(zip_, root);
  const std::string bytes = text_of(zip_, *zip_.find(root + "data.pkl"), max_pickle_bytes);
  StateDictReader(*this, parse_pickle(bytes, path), root).run();
}

void PthFile::read(const StoredTensor& tensor, void* destination) const {
  const Place& place = places_[place_of(tensor)];
  if (tensor.count() == 0) return;
  const std::uint64_t size = size_of(tensor.type), begin = static_cast<std::uint64_t>(place.offset) * size;
  if (is_contiguous(tensor.shape, place.stride)) {
    zip_.read(*place.record, begin, destination, tensor.bytes());
    return;
  }
  std::uint64_t span = 1;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i)
    span += static_cast<std::uint64_t>((tensor.shape[i] - 1) * place.stride[i]);
  std::vector<char> values(span * size);
  zip_.read(*place.record, begin, values.data(), values.size());
  const auto gather_all = size == 1 ? gather<1> : size == 2 ? gather<2> : size == 4 ? gather<4> : gather<8>;
  gather_all(values.data(), tensor.shape, place.stride, static_cast<char*>(destination));
}

bool is_old_pth(std::string_view begin) {
  return begin.starts_with(std::string_view("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15));
}

void refuse_old_pth(const std::string& path) {
  throw kernels::Error("was written by PyTorch before 1.6, or with its old format", path,
                       "load it in a current PyTorch and torch.save it again");
}

}  // namespace engine
