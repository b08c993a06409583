#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>

#include "kernels/core/check.h"
#include "mae/dataset.h"
#include "tests/support/catch.h"
#include "tests/support/noise.h"
#include "tests/support/temp_dir.h"

using namespace mae;
using kernels::DType;
using support::noise_bytes;
using support::TempDir;
using support::write_file;
using Bytes = std::vector<std::byte>;

namespace {

Bytes idx(int type, std::initializer_list<std::uint32_t> sizes, const Bytes& elements) {
  Bytes file{std::byte{0}, std::byte{0}, static_cast<std::byte>(type), static_cast<std::byte>(sizes.size())};
  for (const std::uint32_t size : sizes) {
    for (int shift = 24; shift >= 0; shift -= 8) file.push_back(static_cast<std::byte>(size >> shift));
  }
  file.insert(file.end(), elements.begin(), elements.end());
  return file;
}

Bytes labels_below(int classes, std::size_t count, std::uint32_t sample) {
  Bytes labels = noise_bytes(count, sample);
  for (std::byte& b : labels) b = static_cast<std::byte>(std::to_integer<int>(b) % classes);
  return labels;
}

Bytes gzip(const Bytes& plain, const std::string& scratch) {
  gzFile file = gzopen(scratch.c_str(), "wb");
  gzwrite(file, plain.data(), static_cast<unsigned>(plain.size()));
  gzclose(file);
  Bytes bytes = read_bytes(scratch);
  std::filesystem::remove(scratch);
  return bytes;
}

Bytes first(const Bytes& bytes, std::size_t count) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count)};
}

/// 7 images of 5 x 6 in both splits, labels only for the training split.
struct IdxFolder {
  TempDir dir;
  Bytes train = noise_bytes(7 * 30, 1), test = noise_bytes(3 * 30, 2), labels = labels_below(4, 7, 3);

  IdxFolder() {
    write_file(dir / "train-images-idx3-ubyte.gz", gzip(idx(8, {7, 5, 6}, train), dir / "scratch"));
    write_file(dir / "train-labels-idx1-ubyte", idx(8, {7}, labels));
    write_file(dir / "t10k-images-idx3-ubyte", idx(8, {3, 5, 6}, test));
  }
};

Bytes png_bytes(const TempDir& dir, int height, int width, int channels, std::uint32_t sample) {
  Image image = make_image(height, width, channels, DType::u8);
  image.pixels = noise_bytes(image.pixels.size(), sample);
  write_png(dir / "scratch", image);
  Bytes bytes = read_bytes(dir / "scratch");
  std::filesystem::remove(dir / "scratch");
  return bytes;
}

}  // namespace

TEST_CASE("IDX: images, labels and splits, packed or plain") {
  const IdxFolder folder;
  const Dataset train = open_dataset(folder.dir.string()), test = open_dataset(folder.dir.string() + ":test");
  CHECK(train.format == "IDX");
  CHECK(train.size == 7);
  CHECK((train.height == 5 && train.width == 6 && train.channels == 1 && train.dtype == DType::u8));
  for (std::int64_t i = 0; i < 7; ++i) {
    const auto at = folder.train.begin() + i * 30;
    CHECK(train.image(i).pixels == Bytes(at, at + 30));
    CHECK(train.label(i) == std::to_integer<int>(folder.labels[static_cast<std::size_t>(i)]));
  }
  CHECK(test.size == 3);
  CHECK(test.label(2) == -1);
  CHECK(test.classes.empty());
  CHECK(train.fingerprint != test.fingerprint);
  CHECK(open_dataset(folder.dir.string() + ":train").fingerprint == train.fingerprint);
  CHECK(open_dataset(folder.dir / "train-images-idx3-ubyte.gz").fingerprint == train.fingerprint);

  const Dataset colour = open_dataset(folder.dir.string(), {.channels = 3});
  CHECK(colour.channels == 3);
  CHECK(colour.image(1).pixels[3 * 7 + 2] == folder.train[30 + 7]);
}

TEST_CASE("IDX: the fingerprint is that of the content") {
  const IdxFolder folder;
  const std::uint64_t packed = open_dataset(folder.dir.string()).fingerprint;
  const TempDir other;
  write_file(other / "images", idx(8, {7, 5, 6}, folder.train));
  write_file(other / "labels", idx(8, {7}, folder.labels));
  CHECK(open_dataset(other / "images").fingerprint == packed);
  Bytes changed = folder.labels;
  changed.back() ^= std::byte{1};
  write_file(other / "labels", idx(8, {7}, changed));
  CHECK(open_dataset(other / "images").fingerprint != packed);
}

TEST_CASE("IDX: many channels of f32") {
  const TempDir dir;
  // 1.5f is 3f c0 00 00 in big endian.
  Bytes elements;
  for (int i = 0; i < 2 * 2 * 3 * 13; ++i) {
    for (const int b : {0x3f, 0xc0, 0, i}) elements.push_back(static_cast<std::byte>(b));
  }
  write_file(dir / "cubes", idx(0x0d, {2, 2, 3, 13}, elements));
  const Dataset data = open_dataset(dir / "cubes");
  CHECK((data.channels == 13 && data.dtype == DType::f32));
  CHECK(data.image(1).as<float>()[2] == 1.5f + static_cast<float>(2 * 3 * 13 + 2) * 0x1p-23f);
}

TEST_CASE("IDX: damaged files are refused by name") {
  const IdxFolder folder;
  const std::string plain = folder.dir / "cut-images", packed = folder.dir / "cut.gz";
  const Bytes whole = idx(8, {7, 5, 6}, folder.train), zipped = gzip(whole, folder.dir / "scratch");
  for (const std::size_t size : {std::size_t{4}, std::size_t{9}, std::size_t{16}, whole.size() / 2, whole.size() - 1}) {
    write_file(plain, first(whole, size));
    CHECK_THROWS_WITH(open_dataset(plain), ContainsSubstring(plain) && ContainsSubstring("cut or damaged"));
  }
  for (const std::size_t size :
       {std::size_t{5}, std::size_t{12}, zipped.size() / 2, zipped.size() - 8, zipped.size() - 1}) {
    write_file(packed, first(zipped, size));
    CAPTURE(size, zipped.size());
    CHECK_THROWS_WITH(open_dataset(packed), ContainsSubstring(packed) && ContainsSubstring("damaged"));
  }
  Bytes wrong = zipped;
  wrong[wrong.size() - 6] ^= std::byte{4};  // in the checksum
  write_file(packed, wrong);
  CHECK_THROWS_WITH(open_dataset(packed), ContainsSubstring(packed));
  write_file(plain, idx(8, {6, 5, 6}, folder.train));
  CHECK_THROWS_WITH(open_dataset(plain), ContainsSubstring("more bytes than its header promises"));
  write_file(plain, idx(8, {0xffffffff, 16384, 16384}, folder.train));
  CHECK_THROWS_WITH(open_dataset(plain), ContainsSubstring("impossible sizes"));
  write_file(plain, idx(8, {4000000000u, 5, 6}, folder.train));  // promises more than there is memory for
  CHECK_THROWS_WITH(open_dataset(plain), ContainsSubstring("cut or damaged"));
  write_file(plain, idx(0x0b, {7, 5, 3}, folder.train));
  CHECK_THROWS_WITH(open_dataset(plain), ContainsSubstring("u8 and f32 are read"));
  CHECK_THROWS_WITH(open_dataset(folder.dir / "train-labels-idx1-ubyte"), ContainsSubstring("holds no images"));
}

TEST_CASE("IDX: labels must be as many as images") {
  const IdxFolder folder;
  write_file(folder.dir / "train-labels-idx1-ubyte", idx(8, {6}, first(folder.labels, 6)));
  CHECK_THROWS_WITH(open_dataset(folder.dir.string()), ContainsSubstring("6 labels for 7 images"));
}

TEST_CASE("CIFAR-10: planes become pixels") {
  const TempDir dir;
  Bytes records = noise_bytes(4 * 3073, 5);
  for (std::size_t i = 0; i < 4; ++i) records[i * 3073] = static_cast<std::byte>(9 - i);
  write_file(dir / "data_batch_1.bin", first(records, 3 * 3073));
  write_file(dir / "data_batch_2.bin", Bytes(records.begin() + 3 * 3073, records.end()));
  write_file(dir / "test_batch.bin", first(records, 3073));
  const Dataset data = open_dataset(dir.string());
  CHECK(data.format == "CIFAR-10");
  CHECK(data.size == 4);
  CHECK((data.height == 32 && data.width == 32 && data.channels == 3 && data.classes.size() == 10));
  for (std::size_t i = 0; i < 4; ++i) {
    const Image image = data.image(static_cast<std::int64_t>(i));
    CHECK(data.label(static_cast<std::int64_t>(i)) == 9 - static_cast<int>(i));
    for (const std::size_t pixel : {0, 33, 1023}) {
      for (std::size_t c = 0; c < 3; ++c)
        CHECK(image.pixels[3 * pixel + c] == records[i * 3073 + 1 + c * 1024 + pixel]);
    }
  }
  CHECK(open_dataset(dir.string() + ":test").size == 1);

  const std::string cut = dir / "cut.bin";
  write_file(cut, first(records, 3073 + 100));
  CHECK_THROWS_WITH(open_dataset(cut), ContainsSubstring(cut) && ContainsSubstring("cut or damaged"));
  write_file(cut, noise_bytes(2 * 3073, 6));
  CHECK_THROWS_WITH(open_dataset(cut), ContainsSubstring(cut) && ContainsSubstring("has label"));
  write_file(cut, {});
  CHECK_THROWS_WITH(open_dataset(cut), ContainsSubstring(cut));
}

TEST_CASE("image folder: a TIFF beside class folders takes no classes away, nor colour from photographs") {
  const TempDir dir;
  const Bytes tiff = read_bytes(MAE_SOURCE_DIR "/tests/fuzz/corpus/tiff/grey8");
  write_file(dir / "a/1.png", png_bytes(dir, 6, 5, 3, 1));
  write_file(dir / "b/0.tif", tiff);
  write_file(dir / "overview.tif", tiff);
  const Dataset data = open_dataset(dir.string());
  CHECK(data.classes == std::vector<std::string>{"a", "b"});
  CHECK(data.size == 2);
  CHECK(data.channels == 3);
  CHECK(data.image(1).channels == 3);
  CHECK(data.left_out == std::map<std::string, std::int64_t>{{".tif", 1}});

  std::filesystem::remove_all(dir / "a");
  CHECK(open_dataset(dir.string()).channels == 1);  // TIFF alone keeps what it has
  std::filesystem::remove_all(dir / "b");
  CHECK(open_dataset(dir.string()).size == 1);
}

TEST_CASE("CIFAR-100: fine labels, told by the size of a record") {
  const TempDir dir;
  Bytes records = noise_bytes(3 * 3074, 5);
  for (std::size_t i = 0; i < 3; ++i) records[i * 3074 + 1] = static_cast<std::byte>(99 - i);
  write_file(dir / "train.bin", records);
  write_file(dir / "test.bin", first(records, 3074));
  const Dataset data = open_dataset(dir.string());
  CHECK(data.format == "CIFAR-100");
  CHECK(data.size == 3);
  CHECK((data.classes.size() == 100 && data.classes[0] == "apple" && data.classes[99] == "worm"));
  CHECK(std::is_sorted(data.classes.begin(), data.classes.end()));
  CHECK(data.label(2) == 97);
  CHECK(data.image(1).pixels[3 * 5 + 2] == records[3074 + 2 + 2 * 1024 + 5]);
  CHECK(open_dataset(dir.string() + ":test").size == 1);
  records[1] = std::byte{100};
  write_file(dir / "train.bin", records);
  CHECK_THROWS_WITH(open_dataset(dir.string()), ContainsSubstring("record 0 has label 100"));
}

TEST_CASE("image folder: classes in the order of their names") {
  const TempDir dir;
  for (const char* split : {"train", "val"}) {
    const std::string root = dir / (std::string(split) + "/");
    write_file(root + "dog/b.png", png_bytes(dir, 6, 5, 3, 1));
    write_file(root + "dog/deeper/a.PNG", png_bytes(dir, 7, 9, 1, 2));
    write_file(root + "cat/z.png", png_bytes(dir, 4, 4, 3, 3));
    write_file(root + "cat/notes.txt", noise_bytes(10, 4));
    std::filesystem::create_directory(root + "nothing");
  }
  write_file(dir / "val/dog/c.png", png_bytes(dir, 3, 3, 3, 5));

  const Dataset data = open_dataset(dir.string());
  CHECK(data.format == "image folder");
  CHECK(data.classes == std::vector<std::string>{"cat", "dog"});
  CHECK(data.size == 3);
  CHECK((data.label(0) == 0 && data.label(1) == 1 && data.label(2) == 1));
  CHECK((data.channels == 3 && data.height == 0));
  CHECK((data.image(0).height == 4 && data.image(2).height == 7 && data.image(2).channels == 3));
  CHECK(open_dataset(dir.string() + ":val").size == 4);
  CHECK(open_dataset(dir.string() + ":test").size == 4);
  CHECK(open_dataset(dir / "train").fingerprint == data.fingerprint);
  CHECK(open_dataset(dir / "val").fingerprint != data.fingerprint);
  CHECK(open_dataset(dir / "train", {.channels = 1}).image(1).channels == 1);

  const Dataset flat = open_dataset(dir / "train/cat");
  CHECK((flat.size == 1 && flat.label(0) == -1 && flat.classes.empty()));
}

TEST_CASE("image folder: train, val and test are three splits, and a class may be called train") {
  const TempDir dir;
  write_file(dir / "splits/train/a/1.png", png_bytes(dir, 6, 5, 3, 1));
  std::filesystem::create_directory(dir / "splits/annotations");
  CHECK(open_dataset(dir / "splits").classes == std::vector<std::string>{"a"});
  write_file(dir / "splits/val/a/1.png", png_bytes(dir, 7, 5, 3, 1));
  write_file(dir / "splits/test/a/1.png", png_bytes(dir, 8, 5, 3, 1));
  CHECK(open_dataset(dir / "splits").image(0).height == 6);
  CHECK(open_dataset(dir / "splits:val").image(0).height == 7);
  CHECK(open_dataset(dir / "splits:test").image(0).height == 8);
  CHECK(other_splits(dir / "splits") == std::vector<std::string>{"val", "test"});

  for (const char* name : {"train/a", "validation/a"})
    write_file(dir / ("words/" + std::string(name) + "/1.png"), png_bytes(dir, 6, 5, 3, 1));
  CHECK(open_dataset(dir / "words").folder == dir / "words/train");
  CHECK(open_dataset(dir / "words:val").folder == dir / "words/validation");
  write_file(dir / "alone/train/a/1.png", png_bytes(dir, 6, 5, 3, 1));
  write_file(dir / "alone/runs/b/pictures/1.png", png_bytes(dir, 6, 5, 3, 1));
  CHECK(open_dataset(dir / "alone").folder == dir / "alone/train");

  for (const char* name : {"bus", "car", "train"})
    write_file(dir / ("vehicles/" + std::string(name) + "/1.png"), png_bytes(dir, 6, 5, 3, 1));
  const Dataset vehicles = open_dataset(dir / "vehicles");
  CHECK(vehicles.classes == std::vector<std::string>{"bus", "car", "train"});
  CHECK(vehicles.size == 3);
}

TEST_CASE("image folder: a link to nothing is an image that cannot be read, a pipe is left out") {
  const TempDir dir;
  write_file(dir / "images/a/1.png", png_bytes(dir, 6, 5, 3, 1));
  std::filesystem::create_symlink("nowhere.png", dir / "images/a/2.png");
  REQUIRE(::mkfifo((dir / "images/a/3.png").c_str(), 0600) == 0);
  const Dataset data = open_dataset(dir / "images");
  CHECK(data.size == 2);
  CHECK_THROWS_WITH(data.image(1), ContainsSubstring("a/2.png") && ContainsSubstring("No such file"));
  CHECK(data.left_out.at("no regular file") == 1);
}

TEST_CASE("image folder: what cannot be used is said") {
  const TempDir dir;
  std::filesystem::create_directory(dir / "empty");
  CHECK_THROWS_WITH(open_dataset(dir / "empty"), ContainsSubstring("empty: holds no .jpg, .jpeg, .png"));
  CHECK_THROWS_WITH(open_dataset(dir / "absent"), ContainsSubstring("absent: does not exist"));

  const Bytes png = png_bytes(dir, 6, 5, 3, 1);
  write_file(dir / "images/a.png", png);
  write_file(dir / "images/b.png", first(png, png.size() - 20));
  const Dataset data = open_dataset(dir / "images");
  CHECK(data.image(0).height == 6);
  CHECK_THROWS_WITH(data.image(1), ContainsSubstring(dir / "images/b.png") && ContainsSubstring("cut or damaged PNG"));
  CHECK_THROWS_WITH(open_dataset(dir / "images/a.png"), ContainsSubstring("is not a data set"));
  CHECK_THROWS_WITH(open_dataset(dir / "images:test"), ContainsSubstring("has no split test"));
}

TEST_CASE("image folder: with loose images beside the folders nothing is a class, and all are read") {
  const TempDir dir;
  for (const char* name : {"b.png", "class/c.png", "class/deep/a.png", "z.png"})
    write_file(dir / name, png_bytes(dir, 6, 5, 3, 1));
  std::filesystem::remove(dir / "image.png");
  const Dataset data = open_dataset(dir.string());
  CHECK((data.size == 4 && data.classes.empty() && data.label(2) == -1));
}

TEST_CASE("image folder: a link back up is not followed round and round, one elsewhere is followed") {
  const TempDir dir, elsewhere;
  write_file(dir / "cat/a.png", png_bytes(elsewhere, 6, 5, 3, 1));
  write_file(elsewhere / "more/b.png", png_bytes(elsewhere, 6, 5, 3, 2));
  std::filesystem::create_directory_symlink(dir.string(), dir / "cat/up");
  std::filesystem::create_directory_symlink("../cat", dir / "cat/self");
  std::filesystem::create_directory_symlink(elsewhere / "more", dir / "cat/more");
  CHECK(open_dataset(dir.string()).size == 2);
}

TEST_CASE("image folder: the fingerprint of a run that was begun long ago is still found") {
  const TempDir dir;
  // its definition once more: FNV-1a of format, names, sizes and the first 4 KiB
  write_file(dir / "k/a.png", png_bytes(dir, 1, 1, 1, 1));
  const Dataset data = open_dataset(dir / "k");
  const Bytes file = read_bytes(dir / "k/a.png");
  std::uint64_t h = 0xcbf29ce484222325ull;
  const auto bytes = [&h](const void* p, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) h = (h ^ static_cast<const unsigned char*>(p)[i]) * 0x100000001b3ull;
  };
  const auto text = [&](const std::string& s) {
    bytes(s.data(), s.size());
    const std::uint64_t size = s.size();
    bytes(&size, 8);
  };
  text("image folder");
  text("a.png");
  const std::uint64_t size = file.size();
  bytes(&size, 8);
  char head[4096] = {};
  std::memcpy(head, file.data(), file.size());
  bytes(head, sizeof head);
  CHECK(data.fingerprint == h);
}

TEST_CASE("Fashion-MNIST as Debian packs it") {
  const std::string folder = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::is_directory(folder)) {
    WARN("dataset-fashion-mnist is not installed: not checked");
    return;
  }
  const Dataset data = open_dataset(folder + ":test");
  CHECK(data.size == 10000);
  CHECK((data.height == 28 && data.width == 28 && data.channels == 1));
  CHECK(data.classes.size() == 10);
  std::vector<int> counts(10);
  for (std::int64_t i = 0; i < data.size; ++i) ++counts[static_cast<std::size_t>(data.label(i))];
  CHECK(counts == std::vector<int>(10, 1000));
}
