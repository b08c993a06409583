#include "engine/pth.h"

#include <sys/resource.h>

#include <filesystem>
#include <fstream>

#include "engine/files.h"
#include "engine/safetensors.h"
#include "kernels/core/build.h"
#include "kernels/core/check.h"
#include "kernels/core/philox.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/torch_pickle.h"

using namespace engine;

namespace {

std::string golden(const std::string& name) {
  return std::string(MAE_SOURCE_DIR) + "/tests/golden/pth/" + name + ".pth";
}

template <class T>
std::vector<T> read_values(const TensorFile& file, const std::string& name) {
  const StoredTensor* tensor = file.find(name);
  INFO(name);
  REQUIRE(tensor != nullptr);
  REQUIRE(size_of(tensor->type) == sizeof(T));
  std::vector<T> values(static_cast<std::size_t>(tensor->count()));
  file.read(*tensor, values.data());
  return values;
}

std::string bytes_of(const TensorFile& file, const StoredTensor& tensor) {
  std::string bytes(tensor.bytes(), '?');
  file.read(tensor, bytes.data());
  return bytes;
}

std::vector<std::string> names_of(const TensorFile& file) {
  std::vector<std::string> names;
  for (const StoredTensor& t : file.tensors()) names.push_back(t.name);
  return names;
}

using Sizes = std::vector<std::int64_t>;
using Names = std::vector<std::string>;
const Names small_model{
    "0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"};

void check_small_model(const TensorFile& file) {
  CHECK(names_of(file) == small_model);
  CHECK(std::string(file.format()) == "PyTorch");
  CHECK(file.find("0.weight")->shape == Sizes{2, 3});
  CHECK(read_values<float>(file, "0.weight") == std::vector<float>{0, 0.25f, 0.5f, 0.75f, 1, 1.25f});
  CHECK(read_values<float>(file, "1.running_var") == std::vector<float>{5, 5.25f});
  CHECK(file.find("1.num_batches_tracked")->shape.empty());
  CHECK(file.find("1.num_batches_tracked")->type == StoredType::i64);
  CHECK(read_values<std::int64_t>(file, "1.num_batches_tracked") == std::vector<std::int64_t>{6});
}

/// Opens and reads all of a file with this data.pkl.
void read_all(const std::string& path) {
  const auto file = open_tensor_file(path);
  for (const StoredTensor& t : file->tensors()) bytes_of(*file, t);
}

void refuses_file(const std::string& path, const std::string& words) {
  INFO(words);
  CHECK_THROWS_WITH(read_all(path), ContainsSubstring(path) && ContainsSubstring(words));
}

void refuses_pickle(const std::string& opcodes, const std::string& words) {
  const TestFolder folder;
  test::write_torch_file(folder.file("a.pth"), test::pickle(opcodes));
  refuses_file(folder.file("a.pth"), words);
}

std::string one(const test::TensorBytes& t) { return test::dict(test::text("w") + test::tensor(t)); }

/// A small file of ours: two tensors, and what beside them.
void save_small_file(const std::string& path) {
  const float w[] = {1, 2, 3, 4, 5, 6};
  const std::uint8_t mask[] = {7, 8, 9};
  write_pth(path, {{"w", StoredType::f32, {2, 3}, w}, {"mask", StoredType::u8, {3}, mask}}, {{"epoch", "3"}});
}

}  // namespace

// First of the file: the peak that it looks at must not be raised by another case.
TEST_CASE("a file that lies about its storages costs no memory") {
  if (!kernels::with_libzip) return;
  constexpr std::int64_t huge = std::int64_t{1} << 40;
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  refuses_pickle(one({.storage = huge}), "has a storage of 1099511627776 f32 values, 'a/data/0' has 32 bytes");
  refuses_pickle(one({.shape = {huge}}), "reaches beyond its storage of 8");
  refuses_pickle(one({.shape = {huge}, .stride = {0}}), "shape (1099511627776) repeats the values of a storage of 8");
  ::getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_maxrss - before.ru_maxrss < 20'000);  // KiB
}

TEST_CASE("a build without libzip says what to install") {
  if (kernels::with_libzip) return;
  refuses_file(golden("plain"), "this build cannot read ZIP");
}

TEST_CASE("a plain state dict is read") {
  if (!kernels::with_libzip) return;
  const PthFile file(golden("plain"));
  check_small_model(file);
  CHECK(file.metadata().empty());
  CHECK(file.skipped().empty());
}

TEST_CASE("the model of a training checkpoint is read, and the rest is listed") {
  if (!kernels::with_libzip) return;
  for (const char* name : {"training", "protocol5"}) {
    INFO(name);
    const PthFile file(golden(name));
    check_small_model(file);
    CHECK(file.metadata() == Metadata{{"epoch", "3"},
                                      {"loss", "0.125"},
                                      {"name", "mae_vit_b\xc3\xa9"},
                                      {"done", "true"},
                                      {"seed", "-1099511627776"}});
    CHECK(file.skipped() == Names{"optimizer", "scaler", "args", "dtype", "best"});
  }
}

TEST_CASE("tensors with strides, of one storage, come back row by row") {
  if (!kernels::with_libzip) return;
  const PthFile file(golden("views"));
  const auto base = [](std::int64_t row, std::int64_t column) { return 0.25f * static_cast<float>(6 * row + column); };
  std::vector<float> whole, transposed;
  for (int i = 0; i < 24; ++i) whole.push_back(base(i / 6, i % 6)), transposed.push_back(base(i % 4, i / 4));
  // in an order that jumps within the storage, and twice
  for (int i = 0; i < 2; ++i) {
    CHECK(read_values<float>(file, "column") == std::vector<float>{base(0, 4), base(1, 4), base(2, 4), base(3, 4)});
    CHECK(read_values<float>(file, "transposed") == transposed);
    CHECK(read_values<float>(file, "whole") == whole);
    CHECK(read_values<float>(file, "stepped") == std::vector<float>{base(0, 0), base(0, 3), base(2, 0), base(2, 3)});
    CHECK(read_values<float>(file, "part") ==
          std::vector<float>{base(1, 2), base(1, 3), base(1, 4), base(2, 2), base(2, 3), base(2, 4)});
  }
  CHECK(file.find("transposed")->shape == Sizes{6, 4});
  CHECK(file.find("one_size")->shape == Sizes{1, 3});
  CHECK(read_values<float>(file, "one_size") == std::vector<float>{7, 7.25f, 7.5f});
  std::vector<float> cube;  // (4, 2, 3) of (2, 3, 4)
  for (int i = 0; i < 24; ++i) cube.push_back(100 + 0.25f * static_cast<float>(i % 6 * 4 + i / 6));
  CHECK(read_values<float>(file, "cube") == cube);
  CHECK(read_values<std::uint8_t>(file, "bytes") ==
        std::vector<std::uint8_t>{0, 5, 10, 1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 14});
  CHECK(read_values<std::uint16_t>(file, "halves") ==  // 0, 0.5, 1, 0.25, 0.75, 1.25
        std::vector<std::uint16_t>{0, 0x3800, 0x3c00, 0x3400, 0x3a00, 0x3d00});
  CHECK(read_values<double>(file, "doubles") == std::vector<double>{0, 0.5, 1, 0.25, 0.75, 1.25});
}

TEST_CASE("every type that torch has a storage for is read") {
  if (!kernels::with_libzip) return;
  const PthFile file(golden("types"));
  const auto check = [&]<class T>(const char* name, StoredType type, std::vector<T> values) {
    CHECK(read_values<T>(file, name) == values);
    CHECK(file.find(name)->type == type);
  };
  const std::vector<double> reals{1, 1.25, 1.5, 1.75, 2, 2.25};
  check("float64", StoredType::f64, reals);
  check("float32", StoredType::f32, std::vector<float>(reals.begin(), reals.end()));
  check("float16", StoredType::f16, std::vector<std::uint16_t>{0x3c00, 0x3d00, 0x3e00, 0x3f00, 0x4000, 0x4080});
  check("bfloat16", StoredType::bf16, std::vector<std::uint16_t>{0x3f80, 0x3fa0, 0x3fc0, 0x3fe0, 0x4000, 0x4010});
  check("int64", StoredType::i64, std::vector<std::int64_t>{1, 2, 3, 4, 5, 6});
  check("int32", StoredType::i32, std::vector<std::int32_t>{1, 2, 3, 4, 5, 6});
  check("int16", StoredType::i16, std::vector<std::int16_t>{1, 2, 3, 4, 5, 6});
  check("int8", StoredType::i8, std::vector<std::int8_t>{1, 2, 3, 4, 5, 6});
  check("uint8", StoredType::u8, std::vector<std::uint8_t>{1, 2, 3, 4, 5, 6});
  check("bool", StoredType::boolean, std::vector<std::uint8_t>{1, 0, 1, 0, 1, 0});
  check("scalar", StoredType::f32, std::vector<float>{5});
  check("empty", StoredType::f32, std::vector<float>{});
  CHECK(file.find("empty")->shape == Sizes{0, 3});
}

TEST_CASE("parameters are tensors, and the prefix of distributed training is dropped") {
  if (!kernels::with_libzip) return;
  const PthFile file(golden("parameters"));
  CHECK(names_of(file) == Names{"a", "b"});
  CHECK(read_values<float>(file, "b") == std::vector<float>{1, 1.25f, 1.5f, 1.75f});
  CHECK(file.metadata() == Metadata{{"arch", "vit"}});
}

TEST_CASE("names within nested dicts are joined") {
  if (!kernels::with_libzip) return;
  const PthFile file(golden("nested"));
  CHECK(names_of(file) == Names{"encoder.0.weight", "decoder.7"});
  CHECK(file.metadata() == Metadata{{"encoder.kind", "vit"}});
  CHECK(file.skipped() == Names{"sizes"});
}

TEST_CASE("the state dict is found under the names that it is known by") {
  if (!kernels::with_libzip) return;
  const TestFolder folder;
  const std::string path = folder.file("a.pth"), w = test::text("w") + test::tensor();
  const auto names = [&](const std::string& content) {
    test::write_torch_file(path, test::pickle(test::dict(content)));
    return names_of(PthFile(path));
  };
  for (const char* member : {"model", "state_dict", "model_state_dict", "module"})
    CHECK(names(test::text("epoch") + "K\x03" + test::text(member) + test::dict(w)) == Names{"w"});
  // not the first of that name, but the first with a tensor in it
  CHECK(names(test::text("model") + test::dict(test::text("depth") + "K\x0c") + test::text("module") + test::dict(w)) ==
        Names{"w"});
  CHECK(names(test::text("model") + "N" + test::text("state_dict") + test::dict(test::text("a") + test::dict(w))) ==
        Names{"a.w"});
  CHECK(names(test::text("net") + test::dict(w) + test::text("model") + test::text("vit")) == Names{"net.w"});
  CHECK(names(test::text("model") + test::tensor() + w) == Names{"model", "w"});
  CHECK(names(test::text("module.a") + test::tensor() + w) == Names{"module.a", "w"});  // not common to all
}

TEST_CASE("what is no file of named tensors is refused with advice") {
  if (!kernels::with_libzip) return;
  refuses_file(golden("old"), "was written by PyTorch before 1.6");
  refuses_file(golden("script"), "is a TorchScript archive");
  refuses_pickle(test::tensor(), "holds a tensor, not a dict of tensors");
  refuses_pickle("]", "holds a list, not a dict of tensors");
  refuses_pickle("}", "holds no tensor under a name");
  refuses_pickle(test::dict(test::text("model") + test::dict(test::text("a") + "N")), "holds no tensor under a name");
  refuses_pickle(test::dict(test::text("a") + test::global("os", "system") + test::text("ls") + "\x85R"),
                 "would run os.system");
  refuses_pickle(test::dict("N" + test::tensor()), "has None for a key");
  refuses_pickle(test::dict(test::text(std::string(1001, 'n')) + test::tensor()), "is a name of more than 1000 bytes");
  const std::string w = test::text("w") + test::tensor();
  refuses_pickle(test::dict(w + w), "tensor 'w': is there twice");
  refuses_pickle(test::dict(test::text("a.w") + test::tensor() + test::text("a") + test::dict(w)),
                 "tensor 'a.w': is there twice");
}

TEST_CASE("dicts that hold themselves, or much too often, are refused") {
  if (!kernels::with_libzip) return;
  const std::string w = test::text("w") + test::tensor(), a = test::text("a"), b = test::text("b");
  refuses_pickle("}q\x01(" + w + a + "h\x01u", "dicts within dicts");
  std::string deep = test::dict(w);
  for (int i = 0; i < 65; ++i) deep = test::dict(a + deep);
  refuses_pickle(deep, "has dicts within dicts beyond 64 levels");
  std::string wide = test::dict(w) +
                     "q\x01"
                     "0";  // twice as many names with each level
  for (char level = 1; level < 40; ++level)
    wide += test::dict(a + "h" + level + b + "h" + level) + "q" + static_cast<char>(level + 1) + "0";
  refuses_pickle(wide + "h\x28", "holds dicts within dicts over and over");
  std::string bare = test::dict("") +
                     "q\x01"
                     "0";  // the same, without a tensor to find
  for (char level = 1; level < 40; ++level)
    bare += test::dict(a + "h" + level + b + "h" + level) + "q" + static_cast<char>(level + 1) + "0";
  refuses_pickle(bare + test::dict(test::text("model") + "h\x28"), "holds dicts within dicts over and over");
}

TEST_CASE("a tensor that does not lie in its storage is refused by name") {
  if (!kernels::with_libzip) return;
  constexpr std::int64_t half = std::int64_t{1} << 62;
  refuses_pickle(one({.storage = 9}), "tensor 'w': has a storage of 9 f32 values, 'a/data/0' has 32 bytes");
  refuses_pickle(one({.storage = 7}), "tensor 'w': has a storage of 7 f32 values");
  refuses_pickle(one({.storage = half + 8}), "tensor 'w': has a storage of");  // times 4 wraps around to 32
  refuses_pickle(one({.type = "LongStorage"}), "tensor 'w': has a storage of 8 i64 values");
  refuses_pickle(one({.key = "1"}), "tensor 'w': has its values in 'a/data/1', which is not in the file");
  refuses_pickle(one({.key = "../data.pkl"}), "which is not in the file");
  refuses_pickle(one({.offset = 7}),
                 "tensor 'w': shape (2) with strides (1) from value 7 on reaches beyond its storage");
  refuses_pickle(one({.offset = 9, .shape = {0}}), "from value 9 on reaches beyond");
  refuses_pickle(one({.offset = INT64_MAX}), "reaches beyond");
  refuses_pickle(one({.shape = {2}, .stride = {8}}), "reaches beyond");
  refuses_pickle(one({.shape = {2}, .stride = {INT64_MAX}}), "reaches beyond");
  refuses_pickle(one({.shape = {3, 3}, .stride = {half, half}}), "reaches beyond");
  refuses_pickle(one({.shape = {half, half, 0}, .stride = {1, 1, 1}}), "reaches beyond");
  refuses_pickle(one({.shape = {INT64_MAX, 3}, .stride = {0, 0}}), "reaches beyond");
  refuses_pickle(one({.shape = {3, 3}, .stride = {0, 1}}),
                 "tensor 'w': shape (3, 3) repeats the values of a storage of 8");
}

TEST_CASE("a tensor at the very end of its storage is read") {
  if (!kernels::with_libzip) return;
  const TestFolder folder;
  const std::string path = folder.file("a.pth");
  test::write_torch_file(
      path,
      test::pickle(one({.type = "ByteStorage", .storage = 32, .offset = 30, .shape = {2, 1}, .stride = {1, 99}})));
  const PthFile file(path);
  CHECK(read_values<std::uint8_t>(file, "w") == std::vector<std::uint8_t>{30, 31});
  const StoredTensor copy = file.tensors()[0];  // found by its name
  CHECK(bytes_of(file, copy) == "\x1e\x1f");
  CHECK_THROWS_WITH(bytes_of(file, {.name = "w", .type = StoredType::u8, .shape = {3}}),
                    ContainsSubstring("is not a tensor of this file"));
  test::write_torch_file(path, test::pickle(one({.type = "ByteStorage", .storage = 32, .offset = 32, .shape = {0}})));
  CHECK(bytes_of(PthFile(path), PthFile(path).tensors()[0]).empty());
}

TEST_CASE("a ZIP file that torch.save did not write is refused") {
  if (!kernels::with_libzip) return;
  const TestFolder folder;
  const std::string path = folder.file("a.pth"), pkl = test::pickle(one({})), values(32, 'v');
  const auto refuses_records = [&](const test::Records& records, const std::string& words) {
    test::write_records(path, records);
    refuses_file(path, words);
  };
  const test::Records good{{"a/data.pkl", pkl}, {"a/data/0", values}};
  const auto with = [&](const std::string& name, const std::string& bytes) {
    test::Records more = good;
    more.push_back({name, bytes});
    return more;
  };
  test::write_records(path, with("a/byteorder", "little"));
  CHECK_NOTHROW(read_all(path));
  refuses_records(with("a/byteorder", "big"), "its numbers are big-endian");
  refuses_records(with("a/byteorder", std::string(17, 'l')), "record 'a/byteorder' has 17 bytes, at most 16");
  refuses_records(with("a/data/0", values), "record 'a/data/0': is there twice");
  refuses_records(with("b/data.pkl", pkl), "has 2 records <name>/data.pkl");
  refuses_records({{"a/data/0", values}}, "has 0 records <name>/data.pkl");
  refuses_records({{"data.pkl", pkl}, {"data/0", values}}, "has 0 records <name>/data.pkl");
  refuses_records(with("a/constants.pkl", ""), "is a TorchScript archive");
  refuses_records(with("a/code/m.py", ""), "is a TorchScript archive");
  refuses_records({{"a/data.pkl", pkl.substr(0, 20)}, {"a/data/0", values}}, "is cut short");

  const auto put = [&](const std::string& bytes) {
    write_atomically(path, [&](FileWriter& writer) { writer.write(bytes); });
  };
  put("PK\3\4 and no more");
  refuses_file(path, "cannot be read as a ZIP file");
  test::write_records(path, good);
  std::string bytes = read_file(path);
  bytes[bytes.find("PK\1\2") + 10] = 8;  // the method of the first record in the directory: deflate
  put(bytes);
  refuses_file(path, "record 'a/data.pkl': is compressed");
}

TEST_CASE("a changed byte or a cut is noticed, or changes nothing") {
  if (!kernels::with_libzip) return;
  const TestFolder folder;
  const std::string path = folder.file("a.pth");
  save_small_file(path);
  const std::string good = read_file(path);
  REQUIRE(good.size() < 2000);
  const auto all_of = [](const TensorFile& file) {
    std::string all;
    for (const StoredTensor& t : file.tensors()) all += t.name + name_of(t.type) + bytes_of(file, t);
    for (const auto& [key, value] : file.metadata()) all += key + value;
    return all;
  };
  const std::string content = all_of(*open_tensor_file(path));
  int refused = 0, same = 0;
  const auto try_file = [&](const std::string& bytes) {
    std::filesystem::remove(path);  // without it, and by write_atomically, thousands of files would wait for the disk
    std::ofstream(path, std::ios::binary) << bytes;
    std::string found;
    try {
      found = all_of(PthFile(path));
    } catch (const kernels::Error&) {
      ++refused;
      return;
    }
    CHECK(found == content);
    ++same;
  };
  for (std::size_t i = 0; i < good.size(); ++i)
    for (const int change : {1, 0x80, 0xff}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ change);
      INFO("byte " << i);
      try_file(bad);
    }
  CHECK(refused > same);  // padding, times and versions say nothing
  same = 0;
  for (std::size_t bytes = 0; bytes < good.size(); ++bytes) try_file(good.substr(0, bytes));
  CHECK(same == 0);
}

TEST_CASE("what write_pth wrote comes back") {
  if (!kernels::with_libzip) return;
  const TestFolder folder;
  const std::string path = folder.file("a.pth");
  constexpr StoredType types[] = {StoredType::f64, StoredType::f32,    StoredType::bf16, StoredType::i32,
                                  StoredType::u8,  StoredType::f16,    StoredType::i64,  StoredType::i16,
                                  StoredType::i8,  StoredType::boolean};
  const Sizes shapes[] = {{}, {5}, {3, 7}, {2, 0, 3}, {1, 2, 1, 3, 1, 2, 1, 2}};
  std::vector<std::string> data;
  std::vector<TensorToWrite> tensors;
  for (const StoredType type : types)
    for (const Sizes& shape : shapes) {
      const StoredTensor t{.name = "tensor " + std::to_string(data.size()), .type = type, .shape = shape};
      std::string& bytes = data.emplace_back(t.bytes(), '\0');
      for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<char>(
            kernels::philox_word(i, {}, {.seed = static_cast<std::uint32_t>(data.size()), .purpose = 0}));
      tensors.emplace_back(t.name, t.type, t.shape, nullptr);
    }
  for (std::size_t i = 0; i < data.size(); ++i) tensors[i].data = data[i].data();
  const Metadata metadata{{"epoch", "3"}, {"caf\xc3\xa9", "\n"}};
  write_pth(path, tensors, metadata);

  const PthFile file(path);
  CHECK(file.metadata() == metadata);
  CHECK(file.skipped().empty());
  REQUIRE(file.tensors().size() == tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const StoredTensor& t = file.tensors()[i];
    CHECK((t.name == tensors[i].name && t.type == tensors[i].type && t.shape == tensors[i].shape));
    CHECK(bytes_of(file, t) == data[i]);
  }
  const std::string bytes = read_file(path);
  CHECK(bytes.find(data[1]) % 64 == 0);
  write_pth(path, {});
  refuses_file(path, "holds no tensor under a name");
}

TEST_CASE("write_pth refuses what the reader would") {
  const TestFolder folder;
  const std::string path = folder.file("a.pth");
  const float x[] = {1, 2, 3};
  const auto refused = [&](const std::vector<TensorToWrite>& tensors, const std::string& words,
                           const Metadata& m = {}) {
    INFO(words);
    CHECK_THROWS_WITH(write_pth(path, tensors, m), ContainsSubstring(path) && ContainsSubstring(words));
  };
  refused({{"a", StoredType::f32, {3}, x}, {"a", StoredType::f32, {3}, x}}, "'a' is there twice");
  for (const StoredType type : {StoredType::u16, StoredType::u32, StoredType::u64})
    refused({{"a", type, {1}, x}}, "which PyTorch has no storage for");
  refused({{"a", StoredType::f32, {-3}, x}}, "tensor 'a': has a negative size");
  refused({{"a", StoredType::f32, {std::int64_t{1} << 62, 4}, x}}, "overflows 64 bits");
  refused({{"a", StoredType::f32, {0, std::int64_t{1} << 62, 4}, x}}, "overflows 64 bits");
  refused({{"a", StoredType::f32, {3}, nullptr}}, "tensor 'a': has no data");
  refused({{"a", StoredType::f32, Sizes(9, 1), x}}, "9 dimensions");
  refused({}, "'k' is there twice", Metadata{{"k", "1"}, {"k", "2"}});
  refused({}, "'model' is there twice", Metadata{{"model", "1"}});
  CHECK(folder.count() == 0);
}

TEST_CASE("a save of .pth that fails in the middle leaves the old file readable") {
  if (!kernels::with_libzip) return;
  const TestFolder folder;
  const std::string path = folder.file("a.pth");
  save_small_file(path);
  const std::string before = read_file(path);
  for (const char* point : {"after write", "before fsync", "before rename"}) {
    static std::string struck;
    struck = point;
    save_fault = [](std::string_view p, const std::string&) {
      if (p == struck) throw std::runtime_error("struck");
    };
    CHECK_THROWS_WITH(save_small_file(path), "struck");
    save_fault = nullptr;
    CHECK(read_file(path) == before);
    CHECK(folder.count() == 1);
  }
}

TEST_CASE("more records than ZIP's first format can count are written and read") {
  if (!kernels::with_libzip) return;
  const TestFolder folder;
  const std::string path = folder.file("many.zip");
  std::vector<ZipRecordToWrite> records;
  const std::string values = "0123456789";
  for (int i = 0; i < 70'000; ++i)
    records.push_back(
        {"a/" + std::to_string(i), std::as_bytes(std::span(values)).first(static_cast<std::size_t>(i) % 10)});
  write_zip(path, records);
  const ZipFile file(path);
  REQUIRE(file.records().size() == records.size());
  const ZipRecord* record = file.find("a/69999");
  REQUIRE(record != nullptr);
  std::string back(record->bytes, '?');
  file.read(*record, 0, back.data(), back.size());
  CHECK(back == "012345678");
  CHECK(file.find("a/70000") == nullptr);
  CHECK_THROWS_WITH(file.read(*record, 5, back.data(), 5), ContainsSubstring("has no 5 bytes at 5"));
}

TEST_CASE("a safetensors file is opened through the same face") {
  const TestFolder folder;
  const std::string path = folder.file("a.pth");  // its name says nothing
  const std::uint16_t h[] = {1, 2};
  const std::int64_t n = 7;
  write_safetensors(path, {{"step", "3"}}, {{"h", StoredType::f16, {1, 2}, h}, {"n", StoredType::i64, {}, &n}});
  const auto file = open_tensor_file(path);
  CHECK(std::string(file->format()) == "safetensors");
  CHECK(file->path() == path);
  CHECK(file->metadata() == Metadata{{"step", "3"}});
  CHECK(read_values<std::uint16_t>(*file, "h") == std::vector<std::uint16_t>{1, 2});
  CHECK(read_values<std::int64_t>(*file, "n") == std::vector<std::int64_t>{7});
  CHECK_THROWS_WITH(bytes_of(*file, {.name = "x", .type = StoredType::u8, .shape = {}}),
                    ContainsSubstring("tensor 'x': is not a tensor"));
  refuses_file(folder.file("none"), "cannot open the file");
}
