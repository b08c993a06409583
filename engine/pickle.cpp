#include "engine/pickle.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <unordered_map>

#include "engine/pickle_calls.h"
#include "engine/utf8.h"
#include "kernels/core/check.h"

namespace engine {
namespace {

using Kind = PickleValue::Kind;

constexpr std::int64_t max_opcodes = 1'000'000;
constexpr int newest_protocol = 5;

// The names are those of Python's pickletools.
enum Opcode : std::uint8_t {
  op_mark = '(',
  op_stop = '.',
  op_pop = '0',
  op_pop_mark = '1',
  op_binint = 'J',
  op_binint1 = 'K',
  op_binint2 = 'M',
  op_long1 = 0x8a,
  op_binfloat = 'G',
  op_none = 'N',
  op_newtrue = 0x88,
  op_newfalse = 0x89,
  op_binunicode = 'X',
  op_short_binunicode = 0x8c,
  op_binunicode8 = 0x8d,
  op_binbytes = 'B',
  op_short_binbytes = 'C',
  op_binbytes8 = 0x8e,
  op_empty_list = ']',
  op_append = 'a',
  op_appends = 'e',
  op_empty_tuple = ')',
  op_tuple = 't',
  op_tuple1 = 0x85,
  op_tuple2 = 0x86,
  op_tuple3 = 0x87,
  op_empty_dict = '}',
  op_setitem = 's',
  op_setitems = 'u',
  op_binget = 'h',
  op_long_binget = 'j',
  op_binput = 'q',
  op_long_binput = 'r',
  op_memoize = 0x94,
  op_global = 'c',
  op_stack_global = 0x93,
  op_reduce = 'R',
  op_newobj = 0x81,
  op_build = 'b',
  op_binpersid = 'Q',
  op_proto = 0x80,
  op_frame = 0x95,
};

class Unpickler {
 public:
  Unpickler(std::string_view bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  Pickle run() {
    for (std::int64_t opcodes = 1;; ++opcodes) {
      if (opcodes > max_opcodes) refuse(fmt::format("has more than {} opcodes", max_opcodes));
      begin_ = at_;
      const auto opcode = static_cast<std::uint8_t>(take(1)[0]);
      if (opcode == op_stop) return finish();
      if (!push_constant(opcode) && !change_container(opcode) && !use_memo(opcode) && !call(opcode))
        refuse(fmt::format("has the opcode 0x{:02x}, which torch.save does not write", opcode));
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw kernels::Error(fmt::format("pickle: byte {}: {}", begin_, what), where_, "the file is damaged or was forged");
  }

  std::string_view take(std::uint64_t bytes) {
    if (bytes > bytes_.size() - at_) refuse(fmt::format("is cut short: wants {} bytes more", bytes));
    const std::string_view taken = bytes_.substr(at_, bytes);
    at_ += bytes;
    return taken;
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) refuse("is cut short: a name does not end");
    const std::string_view taken = take(end - at_);
    take(1);
    return taken;
  }

  void push(PickleValue value) { stack_.push_back(add_value(pickle_, std::move(value))); }
  /// Nothing below the last mark may be taken.
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  PickleRef top() const {
    if (stack_.size() <= floor()) refuse("wants a value from an empty stack");
    return stack_.back();
  }
  PickleRef pop() {
    const PickleRef ref = top();
    stack_.pop_back();
    return ref;
  }
  /// All above the last mark, and the mark.
  std::vector<PickleRef> pop_marked() {
    if (marks_.empty()) refuse("wants a mark that is not there");
    std::vector<PickleRef> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()), stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  std::vector<PickleRef> pop_many(std::size_t count) {
    std::vector<PickleRef> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }
  void expect(PickleRef ref, Kind kind) const {
    if (const Kind found = pickle_.at(ref).kind; found != kind)
      refuse(fmt::format("finds {} where {} belongs", name_of(found), name_of(kind)));
  }

  void push_text(std::uint64_t bytes) {
    const std::string_view text = take(bytes);
    if (!is_utf8(text)) refuse("has a text that is not UTF-8");
    push({.kind = Kind::text, .text = std::string(text)});
  }
  void push_bytes(std::uint64_t bytes) { push({.kind = Kind::bytes, .text = std::string(take(bytes))}); }
  void push_integer(std::int64_t value) { push({.kind = Kind::integer, .integer = value}); }
  void push_long() {
    const auto bytes = number<std::uint8_t>();
    if (bytes > sizeof(std::int64_t)) refuse(fmt::format("has a whole number of {} bytes, at most 8 are read", bytes));
    const std::string_view digits = take(bytes);
    std::uint64_t value = bytes > 0 && static_cast<signed char>(digits.back()) < 0 ? ~std::uint64_t{0} : 0;
    std::memcpy(&value, digits.data(), bytes);
    push_integer(static_cast<std::int64_t>(value));
  }
  void push_float() {
    std::uint64_t bits = 0;  // big-endian, alone of all
    for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
    push({.kind = Kind::number, .number = std::bit_cast<double>(bits)});
  }

  bool push_constant(std::uint8_t opcode) {
    switch (opcode) {
      case op_proto:
        if (const int protocol = number<std::uint8_t>(); protocol > newest_protocol)
          refuse(fmt::format("has protocol {}, at most {} is read", protocol, newest_protocol));
        return true;
      case op_frame:
        number<std::uint64_t>();
        return true;  // says how far Python may read ahead
      case op_none:
        push({.kind = Kind::none});
        return true;
      case op_newtrue:
        push({.kind = Kind::boolean, .integer = 1});
        return true;
      case op_newfalse:
        push({.kind = Kind::boolean, .integer = 0});
        return true;
      case op_binint:
        push_integer(number<std::int32_t>());
        return true;
      case op_binint1:
        push_integer(number<std::uint8_t>());
        return true;
      case op_binint2:
        push_integer(number<std::uint16_t>());
        return true;
      case op_long1:
        push_long();
        return true;
      case op_binfloat:
        push_float();
        return true;
      case op_short_binunicode:
        push_text(number<std::uint8_t>());
        return true;
      case op_binunicode:
        push_text(number<std::uint32_t>());
        return true;
      case op_binunicode8:
        push_text(number<std::uint64_t>());
        return true;
      case op_short_binbytes:
        push_bytes(number<std::uint8_t>());
        return true;
      case op_binbytes:
        push_bytes(number<std::uint32_t>());
        return true;
      case op_binbytes8:
        push_bytes(number<std::uint64_t>());
        return true;
      default:
        return false;
    }
  }

  void append(const std::vector<PickleRef>& items) {
    expect(top(), Kind::list);
    std::vector<PickleRef>& list = pickle_.values[top()].items;
    list.insert(list.end(), items.begin(), items.end());
  }
  void set_items(const std::vector<PickleRef>& items) {
    expect(top(), Kind::dict);
    if (items.size() % 2 != 0) refuse("sets a key without a value");
    std::vector<PickleRef>& dict = pickle_.values[top()].items;
    dict.insert(dict.end(), items.begin(), items.end());
  }

  bool change_container(std::uint8_t opcode) {
    switch (opcode) {
      case op_mark:
        marks_.push_back(stack_.size());
        return true;
      case op_pop_mark:
        pop_marked();
        return true;
      case op_pop:
        pop();
        return true;
      case op_empty_list:
        push({.kind = Kind::list});
        return true;
      case op_empty_tuple:
        push({.kind = Kind::tuple});
        return true;
      case op_empty_dict:
        push({.kind = Kind::dict});
        return true;
      case op_tuple:
        push({.kind = Kind::tuple, .items = pop_marked()});
        return true;
      case op_tuple1:
        push({.kind = Kind::tuple, .items = pop_many(1)});
        return true;
      case op_tuple2:
        push({.kind = Kind::tuple, .items = pop_many(2)});
        return true;
      case op_tuple3:
        push({.kind = Kind::tuple, .items = pop_many(3)});
        return true;
      case op_append:
        append(pop_many(1));
        return true;
      case op_appends:
        append(pop_marked());
        return true;
      case op_setitem:
        set_items(pop_many(2));
        return true;
      case op_setitems:
        set_items(pop_marked());
        return true;
      default:
        return false;
    }
  }

  void put(std::uint32_t key) { memo_[key] = top(); }
  void get(std::uint32_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) refuse(fmt::format("wants memo entry {}, which is not there", key));
    stack_.push_back(found->second);
  }

  bool use_memo(std::uint8_t opcode) {
    switch (opcode) {
      case op_binput:
        put(number<std::uint8_t>());
        return true;
      case op_long_binput:
        put(number<std::uint32_t>());
        return true;
      case op_memoize:
        put(static_cast<std::uint32_t>(memo_.size()));
        return true;
      case op_binget:
        get(number<std::uint8_t>());
        return true;
      case op_long_binget:
        get(number<std::uint32_t>());
        return true;
      default:
        return false;
    }
  }

  void stack_global() {
    const PickleRef name = pop(), module = pop();
    expect(name, Kind::text);
    expect(module, Kind::text);
    push(global_value(pickle_.at(module).text, pickle_.at(name).text, where_));
  }
  void call_with_arguments() {
    const PickleRef arguments = pop(), function = pop();
    stack_.push_back(call_function(pickle_, pickle_.at(function), pickle_.at(arguments), where_));
  }
  /// Attributes: an OrderedDict may have some (a state dict's _metadata), and a Namespace is nothing else.
  void build() {
    const PickleRef attributes = pop();
    expect(attributes, Kind::dict);
    if (pickle_.at(top()).kind != Kind::opaque) expect(top(), Kind::dict);
  }

  bool call(std::uint8_t opcode) {
    switch (opcode) {
      case op_global: {
        const std::string_view module = line(), name = line();
        push(global_value(module, name, where_));
        return true;
      }
      case op_stack_global:
        stack_global();
        return true;
      case op_reduce:
      case op_newobj:
        call_with_arguments();
        return true;
      case op_build:
        build();
        return true;
      case op_binpersid:
        stack_.push_back(make_storage(pickle_, pickle_.at(pop()), where_));
        return true;
      default:
        return false;
    }
  }

  Pickle finish() {
    if (!marks_.empty() || stack_.size() != 1)
      refuse(fmt::format("ends with {} values on the stack instead of one", stack_.size()));
    if (at_ != bytes_.size()) refuse(fmt::format("has {} bytes after its end", bytes_.size() - at_));
    pickle_.root = stack_.back();
    return std::move(pickle_);
  }

  std::string_view bytes_;
  const std::string& where_;
  std::size_t at_ = 0, begin_ = 0;  // of the next byte, and of the opcode at work
  Pickle pickle_;
  std::vector<PickleRef> stack_;
  std::vector<std::size_t> marks_;  // sizes that the stack had
  std::unordered_map<std::uint32_t, PickleRef> memo_;
};

}  // namespace

const char* name_of(PickleValue::Kind kind) {
  constexpr const char* names[] = {"None",       "a truth value", "a whole number", "a number", "a text",
                                   "bytes",      "a list",        "a tuple",        "a dict",   "a tensor",
                                   "a constant", "a storage",     "a function"};
  return names[static_cast<int>(kind)];
}

Pickle parse_pickle(std::string_view bytes, const std::string& where) {
  if (bytes.size() > max_pickle_bytes)
    throw kernels::Error(fmt::format("the pickle has {} bytes, at most {} are read", bytes.size(), max_pickle_bytes),
                         where);
  return Unpickler(bytes, where).run();
}

}  // namespace engine
