// Tar shards. The archives are those of tests/fuzz/make_corpus.py, which Python's tarfile wrote, and some of our own.
#include <zlib.h>

#include <cstdio>

#include "kernels/core/check.h"
#include "mae/dataset.h"
#include "tests/support/catch.h"
#include "tests/support/temp_dir.h"

using namespace mae;
using Bytes = std::vector<std::byte>;

namespace {

std::string tar_file(const std::string& name) { return MAE_SOURCE_DIR "/tests/fuzz/corpus/tar/" + name; }

Bytes bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

struct Content {
  std::string name;
  Bytes bytes;
};

/// A ustar archive, with or without the empty blocks at its end.
Bytes tar_of(const std::vector<Content>& files, bool ended = true) {
  Bytes out;
  for (const Content& file : files) {
    char header[513] = {};
    std::snprintf(header, 100, "%s", file.name.c_str());
    std::snprintf(header + 100, 8, "%07o", 0644);
    std::snprintf(header + 124, 12, "%011zo", file.bytes.size());
    std::fill_n(header + 148, 8, ' ');
    header[156] = '0';
    std::snprintf(header + 257, 8, "ustar");
    header[263] = header[264] = '0';
    unsigned sum = 0;
    for (int i = 0; i < 512; ++i) sum += static_cast<unsigned char>(header[i]);
    std::snprintf(header + 148, 8, "%06o", sum);
    const auto* begin = reinterpret_cast<const std::byte*>(header);
    out.insert(out.end(), begin, begin + 512);
    out.insert(out.end(), file.bytes.begin(), file.bytes.end());
    out.resize((out.size() + 511) / 512 * 512);
  }
  if (ended) out.resize(out.size() + 1024);
  return out;
}

/// A .npy file of 1 x 1 pixels.
Bytes pixel(int value) {
  std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1), }\n";
  std::string file = std::string("\x93NUMPY\x01", 7) + '\0' + static_cast<char>(header.size()) + '\0' + header;
  return bytes_of(file + static_cast<char>(value));
}

int value_of(const Dataset& data, std::int64_t i) { return std::to_integer<int>(data.image(i).pixels[0]); }

void write_gzip(const std::string& path, const Bytes& plain) {
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, plain.data(), static_cast<unsigned>(plain.size()));
  gzclose(file);
}

}  // namespace

TEST_CASE("tar shards: images and labels of one key are a sample, the rest is counted") {
  const Dataset plain = open_dataset(tar_file("plain")), gzip = open_dataset(tar_file("gzip"));
  for (const Dataset& data : {plain, gzip}) {
    CHECK(data.format == "tar shards");
    CHECK(data.size == 3);
    CHECK(data.classes == std::vector<std::string>{"0", "1", "2", "3"});
    CHECK((data.label(0) == 3 && data.label(1) == 0 && data.label(2) == -1));
    CHECK(data.image(0).pixels.size() == 2 * 2 * 3);
    CHECK_THROWS_WITH(data.image(1), ContainsSubstring("a/2.npy"));
    CHECK(data.left_out == std::map<std::string, std::int64_t>{{".json", 1}});
    CHECK(data.file(2).ends_with("/3.png"));
  }
  CHECK(plain.image(2).pixels == gzip.image(2).pixels);
}

TEST_CASE("tar shards: long names, as pax and GNU tar write them") {
  for (const char* kind : {"pax", "gnu"}) {
    const Dataset data = open_dataset(tar_file(kind));
    CHECK(data.size == 1);
    CHECK(data.file(0).ends_with("/" + std::string(120, 'f') + "/\u00e9.png"));
    CHECK(data.image(0).pixels.size() == 2 * 2 * 3);
  }
}

TEST_CASE("tar shards: a folder, its splits by their names, and braces") {
  const support::TempDir dir;
  support::write_file(dir / "all/pets-train-00.tar", tar_of({{"0.npy", pixel(10)}, {"0.cls", bytes_of("1")}}));
  support::write_file(dir / "all/pets-train-01.tar", tar_of({{"0.npy", pixel(11)}, {"1.npy", pixel(12)}}));
  write_gzip(dir / "all/pets-val-00.tar.gz", tar_of({{"0.npy", pixel(20)}}));
  const Dataset train = open_dataset(dir / "all"), val = open_dataset(dir / "all:val");
  CHECK(train.size == 3);
  CHECK((value_of(train, 0) == 10 && value_of(train, 1) == 11 && value_of(train, 2) == 12));
  CHECK(val.size == 1);
  CHECK(value_of(val, 0) == 20);
  CHECK(other_splits(dir / "all") == std::vector<std::string>{"val"});

  const Dataset braces = open_dataset(dir / "all/pets-train-{00..01}.tar");
  CHECK(braces.size == 3);
  CHECK(braces.fingerprint == train.fingerprint);
  CHECK_THROWS_WITH(open_dataset(dir / "all/pets-train-{00..02}.tar"), ContainsSubstring("pets-train-02.tar"));

  // the data moved, the run is the same; a label changed, it is not
  std::filesystem::copy(dir / "all", dir / "moved");
  CHECK(open_dataset(dir / "moved").fingerprint == train.fingerprint);
  support::write_file(dir / "moved/pets-train-00.tar", tar_of({{"0.npy", pixel(10)}, {"0.cls", bytes_of("0")}}));
  CHECK(open_dataset(dir / "moved").fingerprint != train.fingerprint);

  // folders of splits, and words that are no split
  support::write_file(dir / "split/train/part-0.tar", tar_of({{"0.npy", pixel(1)}}));
  support::write_file(dir / "split/val/part-0.tar", tar_of({{"0.npy", pixel(2)}}));
  CHECK(value_of(open_dataset(dir / "split"), 0) == 1);
  CHECK(value_of(open_dataset(dir / "split:val"), 0) == 2);
  support::write_file(dir / "only/val-0.tar", tar_of({{"0.npy", pixel(3)}}));
  CHECK(value_of(open_dataset(dir / "only"), 0) == 3);
}

TEST_CASE("tar shards: hidden files and links break no sample, and names are the same where a shard is unpacked") {
  const support::TempDir dir;
  const Bytes plain = tar_of({{"a/._0.npy", pixel(1)},
                              {"a/0.npy", pixel(10)},
                              {"a/._0.cls", bytes_of("x")},
                              {"README", bytes_of("x")},
                              {"a/0.cls", bytes_of("2")},
                              {"/abs/1.npy", pixel(11)}});
  support::write_file(dir / "plain/s.tar", plain);
  std::filesystem::create_directory(dir / "gzip");
  write_gzip(dir / "gzip/s.tar.gz", plain);
  std::filesystem::create_directory(dir / "tgz");
  write_gzip(dir / "tgz/s.tgz", plain);
  const Dataset data = open_dataset(dir / "plain");
  CHECK(data.size == 2);
  CHECK((data.label(0) == 2 && data.label(1) == -1));
  CHECK(data.file(1) == dir / "plain/s.tar/abs/1.npy");
  CHECK(data.left_out == std::map<std::string, std::int64_t>{{"hidden", 2}, {"no extension", 1}});
  CHECK(open_dataset(dir / "gzip").fingerprint == data.fingerprint);
  CHECK(open_dataset(dir / "tgz").fingerprint == data.fingerprint);
  CHECK_THROWS_WITH(open_dataset(dir / "x-{9223372036854775807..9223372036854775807}.tar"),
                    ContainsSubstring("x-9223372036854775807.tar"));
  CHECK_THROWS_WITH(open_dataset(dir / "x-{1..2}.bin"), ContainsSubstring("does not exist"));
}

TEST_CASE("tar shards: cut and damaged files are refused by name") {
  const support::TempDir dir;
  const std::string path = dir / "a.tar";
  const Bytes whole = tar_of({{"0.npy", pixel(10)}, {"1.npy", pixel(11)}});
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{300}, std::size_t{1024}, std::size_t{1600}, whole.size() - 512}) {
    CAPTURE(size);
    support::write_file(path, std::span(whole).first(size));
    CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring(path) && ContainsSubstring("cut or damaged tar"));
  }
  support::write_file(path, tar_of({{"0.npy", pixel(10)}}, false));
  CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("two empty blocks"));
  // a hole where the second header was, and two shards in one file: what libarchive takes for the end
  const Bytes three = tar_of({{"0.npy", pixel(10)}, {"1.npy", pixel(11)}, {"2.npy", pixel(12)}});
  Bytes hole = three, both = whole;
  std::fill_n(hole.begin() + 1024, 512, std::byte{0});
  both.insert(both.end(), whole.begin(), whole.end());
  for (const Bytes& content : {hole, both}) {
    support::write_file(path, content);
    CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("goes on behind its end"));
    write_gzip(dir / "b.tgz", content);
    CHECK_THROWS_WITH(open_dataset(dir / "b.tgz"), ContainsSubstring("goes on behind its end"));
  }
  write_gzip(dir / "b.tgz", three);
  CHECK(open_dataset(dir / "b.tgz").size == 3);

  Bytes wrong = whole;
  wrong[1024 + 3] ^= std::byte{1};  // in the second header
  support::write_file(path, wrong);
  CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("cut or damaged tar"));

  support::write_file(path, tar_of({{"0.npy", pixel(10)}, {"0.cls", bytes_of("cat")}}));
  CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("a.tar/0.cls") && ContainsSubstring("is no label"));
  support::write_file(path, tar_of({{"notes.txt", bytes_of("none")}}));
  CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("holds no .jpg"));

  write_gzip(dir / "a.tgz", whole);
  Bytes gzip = read_bytes(dir / "a.tgz");
  CHECK(open_dataset(dir / "a.tgz").size == 2);
  gzip[gzip.size() - 6] ^= std::byte{4};  // in the checksum
  support::write_file(dir / "a.tgz", gzip);
  CHECK_THROWS_WITH(open_dataset(dir / "a.tgz"), ContainsSubstring("cut or damaged tar"));
  gzip.resize(gzip.size() / 2);
  support::write_file(dir / "a.tgz", gzip);
  CHECK_THROWS_WITH(open_dataset(dir / "a.tgz"), ContainsSubstring("a.tgz"));
}
