// Pickles put together by hand, and the files that torch.save would put around them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/zip.h"

namespace test {

inline std::string little(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i);
  return out;
}

// Opcodes that push one value each.
inline std::string text(std::string_view t) { return "X" + little(t.size(), 4) + std::string(t); }
inline std::string whole(std::int64_t v) { return "\x8a\x08" + little(static_cast<std::uint64_t>(v), 8); }
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::string& items) { return "(" + items + "t"; }
inline std::string sizes(const std::vector<std::int64_t>& values) {
  std::string items;
  for (const std::int64_t v : values) items += whole(v);
  return tuple(items);
}
inline std::string dict(const std::string& keys_and_values) { return "}(" + keys_and_values + "u"; }

struct TensorBytes {
  std::string type = "FloatStorage", key = "0";
  std::int64_t storage = 8, offset = 0;
  std::vector<std::int64_t> shape{2}, stride{1};
};

inline std::string storage(const TensorBytes& t) {
  return tuple(text("storage") + global("torch", t.type) + text(t.key) + text("cpu") + whole(t.storage)) + "Q";
}
inline std::string tensor(const TensorBytes& t = {}) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple(storage(t) + whole(t.offset) + sizes(t.shape) + sizes(t.stride) + "\x89" + "}") + "R";
}

inline std::string pickle(const std::string& opcodes) { return "\x80\x02" + opcodes + "."; }

using Records = std::vector<std::pair<std::string, std::string>>;  // name, bytes

inline void write_records(const std::string& path, const Records& records) {
  std::vector<engine::ZipRecordToWrite> all;
  for (const auto& [name, bytes] : records) all.push_back({name, std::as_bytes(std::span(bytes))});
  engine::write_zip(path, all);
}

/// A file with this data.pkl and a storage "0" of the bytes 0 to 31.
inline void write_torch_file(const std::string& path, const std::string& data_pkl) {
  std::string values;
  for (int i = 0; i < 32; ++i) values += static_cast<char>(i);
  write_records(path, {{"a/data.pkl", data_pkl}, {"a/data/0", values}, {"a/version", "3\n"}});
}

}  // namespace test
