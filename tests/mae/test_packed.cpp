// Packed data sets: what was packed comes back, in the order and with the labels of the source, and what was changed
// since is refused by name.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>

#include "engine/files.h"
#include "mae/dataset_formats.h"
#include "mae/pack.h"
#include "mae/packed.h"
#include "mae/survey.h"
#include "tests/support/catch.h"
#include "tests/support/folder.h"
#include "tests/support/noise.h"

using namespace mae;
using kernels::DType;
namespace fs = std::filesystem;

namespace {

/// Noise of different sizes, with labels, classes and orientations; the samples in `damaged` cannot be read.
Dataset noise_data(std::int64_t size, DType dtype, int channels = 3, const std::set<std::int64_t>& damaged = {}) {
  Dataset data;
  data.path = data.format = "noise";
  data.size = size;
  data.channels = channels;
  data.dtype = dtype;
  data.classes = {"cat", "dog \"\\\n", "é"};
  data.fingerprint = 0xfedcba9876543210;
  data.image = [=](std::int64_t i) {
    if (damaged.contains(i)) throw kernels::Error("is broken", "file " + std::to_string(i), "mend it");
    Image image = make_image(9 + static_cast<int>(i % 4), 8 + static_cast<int>(i % 5), channels, dtype);
    image.pixels = support::noise_bytes(image.pixels.size(), static_cast<std::uint32_t>(i));
    image.orientation = 1 + static_cast<int>(i % 8);
    return image;
  };
  data.label = [](std::int64_t i) { return static_cast<int>(i * 7 % 4) - 1; };
  return data;
}

bool same(const Image& a, const Image& b) {
  return a.height == b.height && a.width == b.width && a.channels == b.channels && a.dtype == b.dtype &&
         a.orientation == b.orientation && a.pixels == b.pixels;
}

/// All files of a folder by name.
std::map<std::string, std::string> files_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename().string()] = engine::read_file(entry.path().string());
  return files;
}

void write(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

void flip(const std::string& path, std::size_t at) {
  std::string content = engine::read_file(path);
  content.at(at) = static_cast<char>(content[at] ^ 0x10);
  write(path, content);
}

std::string refusal(const std::string& folder) {
  try {
    open_dataset(folder);
    return "none";
  } catch (const kernels::Error& error) {
    return error.what();
  }
}

/// 20 images in some shards.
struct Packing {
  TestFolder parent;
  Dataset source = noise_data(20, DType::u8);
  std::string folder = parent.file("packed");
  Packing() { pack(source, folder, {.shard_bytes = 1500, .workers = 1}); }
  std::string file(const std::string& name) const { return folder + "/" + name; }
};

}  // namespace

TEST_CASE("what was packed comes back, in all types") {
  for (const DType dtype : {DType::u8, DType::u16, DType::f32}) {
    INFO(name_of(dtype));
    const TestFolder parent;
    const std::string folder = parent.file("new/packed");
    const Dataset source = noise_data(23, dtype, dtype == DType::u8 ? 3 : 13);
    const Packed packed = pack(source, folder, {.shard_bytes = 20000, .workers = 2});
    CHECK(packed.images == 23);
    CHECK(packed.left_out.empty());
    std::uint64_t bytes = 0;
    const auto files = files_of(folder);
    for (const auto& [name, content] : files) bytes += content.size();
    CHECK(packed.shards == files.size() - 2);
    CHECK((packed.shards > 1) == (dtype != DType::u8));
    CHECK(packed.bytes == bytes);

    const Dataset data = open_dataset(folder);
    CHECK(data.format == "packed");
    REQUIRE(data.size == 23);
    CHECK(data.channels == source.channels);
    CHECK(data.dtype == dtype);
    CHECK(data.height == 0);
    CHECK(data.classes == source.classes);
    for (std::int64_t i = 0; i < data.size; ++i) {
      CHECK(same(data.image(i), source.image(i)));
      CHECK(data.label(i) == source.label(i));
      const ImageView view = data.view(i);
      CHECK(reinterpret_cast<std::uintptr_t>(view.pixels) % packed_bound == 0);
      CHECK(same(upright(copy_of(view)), upright(copy_of(view_of(source.image(i))))));
    }
  }
}

TEST_CASE("batches of packed images are those of their source") {
  const TestFolder parent;
  const Dataset source = noise_data(47, DType::u8);
  pack(source, parent.file("packed"), {.shard_bytes = 5000, .workers = 2});
  const Dataset packed = open_dataset(parent.file("packed"));
  for (const Augmentation& augmentation : {Augmentation{}, no_augmentation}) {
    const LoaderOptions options{
        .seed = 3, .batch = 20, .height = 8, .width = 6, .augmentation = augmentation, .workers = 0};
    Loader a(source, options), b(packed, options);
    for (const std::int64_t step : {0, 1, 2, 9}) {
      const Batch x = a.get(step), y = b.get(step);
      CHECK(x.pixels == y.pixels);
      CHECK(x.draws == y.draws);
      CHECK(x.labels == y.labels);
    }
  }
}

TEST_CASE("the bytes do not depend on workers, and the fingerprint not on shards") {
  const TestFolder parent;
  const Dataset source = noise_data(200, DType::u8, 3, {5, 77});
  const auto packed = [&](const char* name, PackOptions options) {
    pack(source, parent.file(name), options);
    return files_of(parent.file(name));
  };
  const auto one = packed("one", {.shard_bytes = 4000, .workers = 1});
  CHECK(one.size() > 10);
  CHECK((packed("three", {.shard_bytes = 4000, .workers = 3}) == one));
  CHECK((packed("large", {.shard_bytes = 1000000, .workers = 3}) != one));
  const auto print = [&](const char* name) { return open_dataset(parent.file(name)).fingerprint; };
  CHECK(print("one") == print("large"));
  packed("small", {.size = 8});
  CHECK(print("one") != print("small"));
}

TEST_CASE("with a size, images are shrunk as the loader shrinks them and never enlarged") {
  const TestFolder parent;
  const Dataset source = noise_data(20, DType::u8);  // 9 to 12 high, 8 to 12 wide
  pack(source, parent.file("packed"), {.size = 10});
  const Dataset data = open_dataset(parent.file("packed"));
  int shrunk = 0;
  for (std::int64_t i = 0; i < 20; ++i) {
    const Image image = data.image(i), whole = source.image(i);
    if (std::min(whole.height, whole.width) <= 10) {
      CHECK(same(image, whole));
      continue;
    }
    ++shrunk;
    CHECK(std::min(image.height, image.width) == 10);
    CHECK(std::max(image.height, image.width) ==
          10 * std::max(whole.height, whole.width) / std::min(whole.height, whole.width));
    CHECK(image.orientation == whole.orientation);
    CHECK(image.pixels ==
          apply(whole, {.height = whole.height, .width = whole.width}, image.height, image.width).pixels);
  }
  CHECK(shrunk == 4);
}

TEST_CASE("an orientation is kept, and obeyed by who asks for it") {
  const Packing p;
  const Dataset data = open_dataset(p.folder, {.orientation = Orientation::upright});
  CHECK(data.fingerprint != open_dataset(p.folder).fingerprint);
  CHECK(!data.view);
  for (std::int64_t i = 0; i < data.size; ++i) CHECK(same(data.image(i), upright(p.source.image(i))));
  const Dataset grey = open_dataset(p.folder, {.channels = 1});
  CHECK(!grey.view);
  CHECK(grey.image(3).pixels == with_channels(p.source.image(3), 1, "").pixels);
}

TEST_CASE("images that cannot be read are left out and named, up to a share") {
  const TestFolder parent;
  const Dataset source = noise_data(100, DType::u8, 3, {0, 42});
  const Packed packed = pack(source, parent.file("packed"), {.max_damaged = 0.02});
  CHECK(packed.images == 98);
  REQUIRE(packed.left_out.size() == 2);
  CHECK(packed.left_out[1].sample == 42);
  CHECK(packed.left_out[1].error.where() == "file 42");
  const Dataset data = open_dataset(parent.file("packed"));
  CHECK(same(data.image(0), source.image(1)));
  CHECK(same(data.image(41), source.image(43)));
  CHECK(data.label(41) == source.label(43));
  CHECK_THROWS_WITH(pack(source, parent.file("other"), {.max_damaged = 0.01}),
                    ContainsSubstring("2 of 100") && ContainsSubstring("file 42"));
  CHECK(!fs::exists(parent.file("other")));
  CHECK_THROWS_WITH(pack(noise_data(2, DType::u8, 3, {0, 1}), parent.file("other"), {.max_damaged = 1}),
                    ContainsSubstring("none of the images"));
}

TEST_CASE("a folder that is not empty is refused, and work that ends early leaves nothing") {
  const TestFolder parent;
  const Dataset source = noise_data(50, DType::u8);
  write(parent.file("mine"), "keep");
  CHECK_THROWS_WITH(pack(source, parent.path(), {}), ContainsSubstring("not empty"));
  CHECK(parent.count() == 1);
  const PackOptions stopping{.shard_bytes = 1500, .progress = [](const Packed& so_far) {
                               if (so_far.images == 30) throw std::runtime_error("stop");
                             }};
  CHECK_THROWS_WITH(pack(source, parent.file("new"), stopping), ContainsSubstring("stop"));
  CHECK(!fs::exists(parent.file("new")));
  fs::create_directory(parent.file("empty"));
  CHECK_THROWS_WITH(pack(source, parent.file("empty"), stopping), ContainsSubstring("stop"));
  CHECK(fs::is_empty(parent.file("empty")));
  Dataset failing = source;
  failing.image = [](std::int64_t i) -> Image { throw std::runtime_error(i == 0 ? "no memory" : "other"); };
  CHECK_THROWS_WITH(pack(failing, parent.file("new"), {.workers = 3}), ContainsSubstring("no memory"));
}

TEST_CASE("every byte of the index counts") {
  const Packing p;
  const std::string whole = engine::read_file(p.file("index.json"));
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    write(p.file("index.json"), changed);
    INFO(changed);
    CHECK_THAT(refusal(p.folder), ContainsSubstring("index.json"));
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{20}, whole.size() - 1}) {
    write(p.file("index.json"), whole.substr(0, size));
    CHECK_THAT(refusal(p.folder), ContainsSubstring("index.json"));
  }
  write(p.file("index.json"), whole);
  CHECK(refusal(p.folder) == "none");
}

TEST_CASE("a newer version is refused with advice") {
  const Packing p;
  std::string text = engine::read_file(p.file("index.json"));
  const std::string key = "\"format_version\":1,";
  text.replace(text.find(key), key.size(), "\"format_version\":2,");
  write(p.file("index.json"), text);
  try {
    open_dataset(p.folder);
    FAIL("it was opened");
  } catch (const kernels::Error& error) {
    CHECK_THAT(error.fact(), ContainsSubstring("version 2; this program reads 1"));
    CHECK_THAT(error.advice(), ContainsSubstring("newer mae.cu"));
  }
}

TEST_CASE("files that are cut, changed or missing are named") {
  const Packing p;
  REQUIRE(files_of(p.folder).size() > 5);
  const auto refused_without = [&](const std::string& name, const std::string& expected) {
    const std::string whole = engine::read_file(p.file(name));
    fs::remove(p.file(name));
    CHECK_THAT(refusal(p.folder), ContainsSubstring(name) && ContainsSubstring(expected));
    if (name != "index.json") {
      write(p.file(name), whole.substr(0, whole.size() - 1));
      CHECK_THAT(refusal(p.folder), ContainsSubstring(name) && ContainsSubstring("cut"));
      write(p.file(name), whole + "0");
      CHECK_THAT(refusal(p.folder), ContainsSubstring(name));
    }
    write(p.file(name), whole);
  };
  refused_without("index.json", "did not end");
  refused_without("images.table", "missing");
  refused_without("shard-00000.bin", "missing");
  refused_without("shard-00002.bin", "missing");
  for (const std::size_t at : {0u, 100u, 479u}) {
    flip(p.file("images.table"), at);
    CHECK_THAT(refusal(p.folder), ContainsSubstring("images.table") && ContainsSubstring("checksum"));
    flip(p.file("images.table"), at);
  }
  CHECK(refusal(p.folder) == "none");
}

TEST_CASE("a table whose checksum is right and whose entries lie is refused") {
  const Packing p;
  const std::string whole = engine::read_file(p.file("images.table"));
  const PackedIndex index = parse_packed_index(engine::read_file(p.file("index.json")), "index");
  const auto refused = [&](const std::function<void(PackedEntry&)>& change) {
    std::string table = whole;
    PackedEntry entry;
    std::memcpy(&entry, &table[3 * sizeof entry], sizeof entry);
    change(entry);
    std::memcpy(&table[3 * sizeof entry], &entry, sizeof entry);
    PackedIndex forged = index;
    forged.table_crc32 = static_cast<std::uint32_t>(checksum(std::as_bytes(std::span(table))));
    write(p.file("images.table"), table);
    write(p.file("index.json"), to_text(forged));
    return refusal(p.folder) != "none";
  };
  CHECK(!refused([](PackedEntry& e) { e.crc32 += 1; }));  // seen when the image is read
  CHECK(refused([](PackedEntry& e) { e.offset += 1; }));
  CHECK(refused([](PackedEntry& e) { e.offset = 1 << 20; }));
  CHECK(refused([](PackedEntry& e) { e.offset = ~std::uint64_t{63}; }));
  CHECK(refused([](PackedEntry& e) { e.height = 0; }));
  CHECK(refused([](PackedEntry& e) { e.width = 10000; }));
  CHECK(refused([](PackedEntry& e) { e.width = 65535; }));
  CHECK(refused([](PackedEntry& e) { e.label = 3; }));
  CHECK(refused([](PackedEntry& e) { e.label = -2; }));
  CHECK(refused([](PackedEntry& e) { e.orientation = 9; }));
  CHECK(refused([](PackedEntry& e) { e.shard = 999; }));
}

TEST_CASE("a changed pixel is found by whoever reads everything, and named by shard and sample") {
  const Packing p;
  flip(p.file("shard-00001.bin"), 5);
  const Dataset data = open_dataset(p.folder);
  std::vector<std::uint32_t> all(20);
  for (std::uint32_t i = 0; i < 20; ++i) all[i] = i;
  const Survey seen = survey(data, all, {.workers = 1});
  CHECK(seen.images == 19);
  REQUIRE(seen.unreadable.size() == 1);
  CHECK_THAT(seen.unreadable[0].error.where(), ContainsSubstring("shard-00001.bin"));
  CHECK_THAT(seen.unreadable[0].error.fact(),
             ContainsSubstring("sample " + std::to_string(seen.unreadable[0].sample) + " "));
}

TEST_CASE("packed splits of one folder are found as other splits are") {
  const TestFolder parent;
  const Dataset train = noise_data(20, DType::u8), val = noise_data(6, DType::u8);
  pack(train, parent.file("train"), {});
  CHECK(open_dataset(parent.path()).size == 20);
  CHECK(other_splits(parent.path()).empty());
  pack(val, parent.file("val"), {});
  CHECK(open_dataset(parent.path()).size == 20);
  CHECK(open_dataset(parent.path() + ":val").size == 6);
  CHECK(open_dataset(parent.path() + ":test").size == 6);
  CHECK(other_splits(parent.path()) == std::vector<std::string>{"val"});
  CHECK_THROWS_WITH(open_dataset(parent.file("train:val")), ContainsSubstring("no split val"));
}
