// Python's pickles, as far as torch.save needs them for tensors and plain containers, read without running anything.
//
// A pickle is a program for a stack machine, and "call os.system" is one of its words. Here a call is a case of a
// switch: the names in engine/pickle_calls.cpp are all there are, and any other is refused by name. Every operand is
// checked for its type. The values lie in one list and refer to each other by place, so that a container that holds
// itself is no leak, and nesting costs no stack. What may be asked for is bounded: 64 MiB, a million opcodes, and with
// them values and memo entries, whole numbers of 64 bits. Memory stays below 200 bytes an opcode plus the pickle's own
// size.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "engine/stored_type.h"

namespace engine {

inline constexpr std::size_t max_pickle_bytes = std::size_t{64} << 20;

using PickleRef = std::uint32_t;  // a place in Pickle::values

struct PickleValue {
  enum class Kind : std::uint8_t {
    none,
    boolean,
    integer,
    number,
    text,
    bytes,
    list,
    tuple,
    dict,
    tensor,
    opaque,    // an argparse.Namespace with all that it holds, a torch.device, a torch.dtype
    storage,   // a part of a tensor, as the next
    function,  // a name that a pickle may call
  };

  Kind kind = Kind::none;        // says which of the fields below holds the value
  std::int64_t integer = 0;      // integer, boolean; tensor, storage and function: see Pickle
  double number = 0;             // number
  std::string text;              // text (UTF-8), bytes
  std::vector<PickleRef> items;  // list, tuple; dict: key, value, key, value...
};

/// torch's storage: `count` values in the record `key` of the file.
struct PickledStorage {
  std::string key;
  StoredType type;
  std::int64_t count;
};

/// Nothing is checked but that counts are not negative: a tensor may reach beyond its storage.
struct PickledTensor {
  std::size_t storage;                      // its place in Pickle::storages
  std::int64_t offset;                      // values
  std::vector<std::int64_t> shape, stride;  // equally many, at most 8
};

struct Pickle {
  std::deque<PickleValue> values;
  std::vector<PickledStorage> storages;
  std::vector<PickledTensor> tensors;
  PickleRef root = 0;

  const PickleValue& at(PickleRef ref) const { return values[ref]; }
  const PickledTensor& tensor(const PickleValue& value) const {
    return tensors[static_cast<std::size_t>(value.integer)];
  }
};

/// "a dict", "a tensor"
const char* name_of(PickleValue::Kind kind);

/// Throws kernels::Error, naming `where`.
Pickle parse_pickle(std::string_view bytes, const std::string& where);

}  // namespace engine
