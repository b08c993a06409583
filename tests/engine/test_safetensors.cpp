#include "engine/safetensors.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstring>

#include "kernels/core/check.h"
#include "kernels/core/philox.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"

using namespace engine;
using kernels::DType;

namespace {

std::string random_bytes(std::size_t n, std::uint32_t seed) {
  std::string bytes(n, '\0');
  for (std::size_t i = 0; i < n; ++i)
    bytes[i] = static_cast<char>(kernels::philox_word(i, {}, {.seed = seed, .purpose = 0}));
  return bytes;
}

void put(const std::string& path, const std::string& bytes) {
  write_atomically(path, [&](FileWriter& writer) { writer.write(bytes); });
}

std::string prefix(std::uint64_t n) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(n >> 8 * i);
  return bytes;
}

std::string file_of(const std::string& header, std::size_t data_bytes) {
  return prefix(header.size()) + header + random_bytes(data_bytes, 5);
}

void refuses(const std::string& bytes, const std::string& words) {
  const TestFolder folder;
  const std::string path = folder.file("bad.safetensors");
  put(path, bytes);
  INFO(bytes.substr(0, 200));
  CHECK_THROWS_WITH(read_header(path), ContainsSubstring(path) && ContainsSubstring(words));
}

std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "F32") {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

}  // namespace

// First of the file: the peak that it looks at must not be raised by another case.
TEST_CASE("a lying header costs no memory") {
  // Only what the file really holds may be allocated: well below the 100 MB that this header claims.
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  refuses(prefix(99'999'999) + "{}", "cut short");
  refuses(file_of("{" + entry("a", "[1099511627776]", "[0,4398046511104]") + "}", 8), "cut short");
  ::getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_maxrss - before.ru_maxrss < 20'000);  // KiB
}

TEST_CASE("every dtype and rank comes back with its bytes") {
  const TestFolder folder;
  const std::string path = folder.file("all.safetensors");
  constexpr StoredType types[] = {StoredType::u8,     StoredType::f32, StoredType::bf16, StoredType::f64,
                                  StoredType::i32,    StoredType::u16, StoredType::u32,  StoredType::f16,
                                  StoredType::i64,    StoredType::u64, StoredType::i16,  StoredType::i8,
                                  StoredType::boolean};
  const std::vector<std::int64_t> shapes[] = {{}, {5}, {3, 7}, {2, 0, 3}, {1, 2, 1, 3, 1, 2, 1, 2}};
  std::vector<std::string> data;
  std::vector<TensorToWrite> tensors;
  for (const StoredType type : types)
    for (const auto& shape : shapes) {
      std::size_t bytes = engine::size_of(type);
      for (const auto size : shape) bytes *= static_cast<std::size_t>(size);
      data.push_back(random_bytes(bytes, static_cast<std::uint32_t>(data.size())));
    }
  for (std::size_t i = 0; i < data.size(); ++i)
    tensors.push_back({"tensor " + std::to_string(i), types[i / 5], shapes[i % 5], data[i].data()});
  const Metadata metadata = {{"format_version", "1"}, {"config", "{\"name\": \"a\\b\"}\n"}};
  write_safetensors(path, metadata, tensors);

  const SafetensorsFile file(path);
  CHECK(file.header().metadata == metadata);
  CHECK(file.header().data_offset % 8 == 0);
  REQUIRE(file.header().tensors.size() == tensors.size());
  for (std::size_t i = 0; i < data.size(); ++i) {
    INFO(tensors[i].name);
    const TensorEntry* found = file.find(tensors[i].name);
    REQUIRE(found != nullptr);
    CHECK((found->type == tensors[i].type && found->shape == tensors[i].shape));
    std::string back(data[i].size(), '?');
    file.read(*found, back.data());
    CHECK(back == data[i]);
    CHECK(found->begin % engine::size_of(found->type) == 0);
  }
  CHECK(file.find("tensor") == nullptr);
  char sink[64];
  CHECK_NOTHROW(file.read("tensor 6", DType::f32, {5}, sink));
  CHECK_THROWS_WITH(file.read("none", DType::f32, {5}, sink), ContainsSubstring(path + ": tensor 'none': is not in"));
  CHECK_THROWS_WITH(file.read("tensor 6", DType::f32, {6}, sink), ContainsSubstring("is F32 (5), wanted F32 (6)"));
  CHECK_THROWS_WITH(file.read("tensor 6", DType::u32, {5}, sink), ContainsSubstring("is F32 (5), wanted U32 (5)"));
}

TEST_CASE("the bytes of a small file are the expected ones") {
  const TestFolder folder;
  const std::string path = folder.file("tiny.safetensors");
  const float w[] = {1.0f, -2.0f};
  const std::uint8_t mask[] = {7, 8, 9};
  const double t = 0.5;
  const float bias = 3.0f;
  write_safetensors(path, {{"step", "12"}},
                    {{"mask", DType::u8, {3}, mask},
                     {"w", DType::f32, {1, 2}, w},
                     {"t", DType::f64, {}, &t},
                     {"bias", DType::f32, {1}, &bias}});
  std::string header =
      R"({"__metadata__":{"step":"12"},"t":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
      R"("bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"w":{"dtype":"F32","shape":[1,2],"data_offsets":[12,20]},)"
      R"("mask":{"dtype":"U8","shape":[3],"data_offsets":[20,23]}})";
  while (header.size() % 8 != 0) header += ' ';
  std::string expected = prefix(header.size()) + header;
  expected += std::string("\0\0\0\0\0\0\xe0\x3f", 8) + std::string("\0\0\x40\x40", 4);  // 0.5 as f64, 3 as f32
  expected += std::string("\0\0\x80\x3f\0\0\0\xc0", 8) + "\x07\x08\x09";                // 1 and -2 as f32
  CHECK(read_file(path) == expected);

  write_safetensors(path, {}, {});
  CHECK(read_file(path) == prefix(8) + "{}      ");
  CHECK(read_header(path).tensors.empty());
}

// As another program may write it: other key order, metadata last, spaces between the parts, tensors not in byte order.
TEST_CASE("a file of another writer is read") {
  const TestFolder folder;
  const std::string path = folder.file("python.safetensors");
  const std::string header =
      R"({"b": {"shape": [2], "data_offsets": [4, 8], "dtype": "U16"}, "a.weight": )"
      R"({"dtype": "BF16", "data_offsets": [0, 4], "shape": [2, 1]}, "__metadata__": {"format": "pt"}}   )";
  put(path, prefix(header.size()) + header + std::string("\x80\x3f\x00\xc0\x01\x00\xff\xff", 8));
  const SafetensorsFile file(path);
  CHECK(file.header().metadata == Metadata{{"format", "pt"}});
  CHECK(file.header().tensors.at(0).name == "a.weight");
  CHECK(file.header().tensors.at(0).shape == std::vector<std::int64_t>{2, 1});
  std::uint16_t b[2] = {}, a[2] = {};
  file.read("b", DType::u16, {2}, b);
  file.read("a.weight", DType::bf16, {2, 1}, a);
  CHECK((b[0] == 1 && b[1] == 65535));
  CHECK((a[0] == 0x3f80 && a[1] == 0xc000));
}

TEST_CASE("a file that breaks a rule of lengths is refused") {
  const std::string good = "{" + entry("a", "[2]", "[0,8]") + "}";
  CHECK_NOTHROW([&] {
    const TestFolder folder;
    put(folder.file("good"), file_of(good, 8));
    read_header(folder.file("good"));
  }());
  refuses("", "0 bytes are too few");
  refuses("1234567", "7 bytes are too few");
  refuses(prefix(std::uint64_t{1} << 60) + good, "at most 100000000");
  refuses(prefix(~std::uint64_t{0}) + good, "at most 100000000");
  refuses(prefix(100'000'001) + good, "at most 100000000");
  refuses(prefix(100'000'000) + good, "cut short: the header has 100000000 bytes");
  refuses(prefix(good.size() + 1) + good, "cut short: the header");
  refuses(file_of(good, 7), "cut short: the tensors need 8 bytes of data, the file has 7");
  refuses(file_of(good, 9), "1 bytes after the last tensor");
}

TEST_CASE("a header that is not the JSON of the format is refused") {
  refuses(file_of("", 0), "does not begin with '{'");
  refuses(file_of(" {}", 0), "does not begin with '{'");
  refuses(file_of("\xef\xbb\xbf{}", 0), "does not begin with '{'");
  refuses(file_of("[]", 0), "does not begin with '{'");
  refuses(file_of("{\"a\":", 0), "not valid JSON");
  refuses(file_of(std::string("{}\0{}", 5), 0), "a zero byte");
  refuses(file_of("{\"\xff\":1}", 0), "not valid JSON");
  refuses(file_of("{" + entry("a", "[1]", "[0,4]") + "," + entry("a", "[1]", "[4,8]") + "}", 8), "'a' appears twice");
  refuses(file_of(R"({"__metadata__":[]})", 0), "__metadata__ is not");
  refuses(file_of(R"({"__metadata__":{"step":3}})", 0), "__metadata__ 'step' is not a string");
  refuses(file_of(R"({"a":3})", 0), "tensor 'a': is described by");
  refuses(file_of(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4), "tensor 'a': has no string 'dtype'");
  refuses(file_of(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4), "tensor 'a': has no list 'shape'");
  refuses(file_of(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "tensor 'a': has no list 'data_offsets'");
  refuses(file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"zip":1}})", 4), "tensor 'a': has a field");
}

TEST_CASE("a tensor that breaks a rule is refused by name") {
  const auto one = [](const std::string& shape, const std::string& offsets, const std::string& dtype = "F32") {
    return file_of("{" + entry("a", shape, offsets, dtype) + "}", 8);
  };
  refuses(one("[4]", "[0,8]", "F8_E4M3"), "tensor 'a': has dtype F8_E4M3, which is not supported here");
  refuses(one("[4]", "[0,8]", "FLOAT"), "tensor 'a': has dtype 'FLOAT', which safetensors does not have");
  refuses(one("[-2]", "[0,8]"), "tensor 'a': has a value in 'shape'");
  refuses(one("[2.0]", "[0,8]"), "tensor 'a': has a value in 'shape'");
  refuses(one("[2]", "[0,18446744073709551615]"), "tensor 'a': has a value in 'data_offsets'");
  refuses(one("[2]", "[8]"), "tensor 'a': has 1 data_offsets instead of 2");
  refuses(one("[2]", "[8,0]"), "tensor 'a': ends at byte 0, before its begin 8");
  refuses(one("[1]", "[0,8]"), "tensor 'a': F32 (1) needs 4 bytes, its data_offsets span 8");
  refuses(one("[1,1,1,1,1,1,1,1,2]", "[0,8]"), "tensor 'a': has 9 dimensions");
  // 2^31 * 2^31 * 4 = 2^64 would wrap around to the 0 bytes that the offsets claim
  refuses(file_of("{" + entry("a", "[2147483648,2147483648]", "[0,0]") + "}", 0),
          "tensor 'a': shape (2147483648, 2147483648) has a negative size or overflows");
  // a size of 0 hides no overflow of those before it
  refuses(file_of("{" + entry("a", "[4611686018427387904,4,0]", "[0,0]", "U8") + "}", 0), "overflows");
  refuses(one("[2305843009213693951]", "[0,9223372036854775804]"), "cut short: the tensors need 9223372036854775804");
}

TEST_CASE("holes and overlaps are refused by name") {
  const auto two = [](const std::string& first, const std::string& second) {
    return file_of("{" + entry("b", "[2]", second) + "," + entry("a", "[2]", first) + "}", 20);
  };
  refuses(two("[4,12]", "[12,20]"), "tensor 'a': begins at byte 4, which leaves a hole after 0");
  refuses(two("[0,8]", "[12,20]"), "tensor 'b': begins at byte 12, which leaves a hole after 8");
  refuses(two("[0,8]", "[4,12]"), "tensor 'b': begins at byte 4 and overlaps the tensor that ends at 8");
  refuses(two("[0,8]", "[0,8]"), "begins at byte 0 and overlaps");
}

TEST_CASE("the writer refuses what the reader would") {
  const TestFolder folder;
  const std::string path = folder.file("state.safetensors");
  const float x[] = {1, 2, 3};
  const auto refused = [&](const std::vector<TensorToWrite>& tensors, const std::string& words,
                           const Metadata& m = {}) {
    CHECK_THROWS_WITH(write_safetensors(path, m, tensors), ContainsSubstring(path) && ContainsSubstring(words));
  };
  refused({{"a", DType::f32, {3}, x}, {"a", DType::f32, {3}, x}}, "'a' appears twice");
  refused({{"a", DType::f32, {-3}, x}}, "tensor 'a': shape (-3) has a negative size");
  refused({{"a", DType::f32, {3}, nullptr}}, "tensor 'a': has no data");
  refused({{"a", DType::f32, std::vector<std::int64_t>(9, 1), x}}, "9 dimensions");
  refused({{"__metadata__", DType::f32, {3}, x}}, "keeps for itself");
  refused({{"a", DType::f32, {std::int64_t{1} << 40, std::int64_t{1} << 40}, x}}, "overflows 64 bits");
  refused({}, "'k' appears twice", Metadata{{"k", "1"}, {"k", "2"}});
  CHECK(folder.count() == 0);
}

TEST_CASE("a save that fails in the middle leaves the old file readable") {
  const TestFolder folder;
  const std::string path = folder.file("state.safetensors");
  const float before[] = {1, 2, 3}, after[] = {4, 5, 6};
  write_safetensors(path, {}, {{"a", DType::f32, {3}, before}});
  for (const char* point : {"after write", "before fsync", "before rename"}) {
    static std::string struck;
    struck = point;
    save_fault = [](std::string_view p, const std::string&) {
      if (p == struck) throw std::runtime_error("struck");
    };
    CHECK_THROWS_WITH(write_safetensors(path, {}, {{"a", DType::f32, {3}, after}}), "struck");
    save_fault = nullptr;
    float back[3] = {};
    SafetensorsFile(path).read("a", DType::f32, {3}, back);
    CHECK(std::memcmp(back, before, sizeof(back)) == 0);
    CHECK(folder.count() == 1);
  }
}
