// Tables of any number of labels a sample, parts of data sets, and arrays that are written.
#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include "kernels/core/check.h"
#include "mae/dataset.h"
#include "mae/npy_writer.h"
#include "mae/probe.h"
#include "mae/table_labels.h"
#include "tests/support/catch.h"
#include "tests/support/idx_file.h"
#include "tests/support/noise.h"
#include "tests/support/npy_file.h"
#include "tests/support/temp_dir.h"

using namespace mae;
using kernels::DType;
using support::TempDir;
using Targets = std::vector<std::int8_t>;

namespace {

void write_text(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

void write_image(const std::string& path, int height) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  Image image = make_image(height, 5, 3, DType::u8);
  image.pixels = support::noise_bytes(image.pixels.size(), static_cast<std::uint32_t>(height));
  write_png(path, image);
}

/// DIR/images/{a,b,c}.png and one more below.
struct Images {
  TempDir dir;
  std::string labels = dir / "labels.csv";
  Images() {
    int height = 3;
    for (const char* name : {"a", "b", "c", "d/e"})
      write_image(dir / ("images/" + std::string(name) + ".png"), ++height);
  }
  Dataset data() const { return open_dataset(dir / "images"); }
  MultiLabels load(const std::string& text, EmptyClasses empty = EmptyClasses::refuse) const {
    write_text(labels, text);
    return load_multi_labels(labels, data(), empty);
  }
};

const std::string table =
    "mass,path,split,\"fluid, left\"\n"
    "1,c.png,train,0\n"
    "-1,a.png,train,1\n"
    "0.0,d/e.png,val,1.0\n"
    "1,nowhere.png,val,0\n"
    "0,b.png,train,\n";

}  // namespace

TEST_CASE("a table of labels: rows find their samples by path, in any order, other files are passed over") {
  const Images images;
  const MultiLabels labels = images.load(table);
  CHECK(labels.classes == std::vector<std::string>{"mass", "fluid, left"});
  CHECK(labels.targets == Targets{-1, 1, 0, -1, 1, 0, 0, 1});  // a, b, c, d/e

  write_text(images.dir / "elsewhere/labels.csv", table);  // relative to the data set's folder
  CHECK(load_multi_labels(images.dir / "elsewhere/labels.csv", images.data()).targets == labels.targets);
  write_text(images.dir / "images/labels.csv", table);  // to its own
  CHECK(load_multi_labels(images.dir / "images/labels.csv", images.data()).targets == labels.targets);
  const std::string absolute = images.dir / "images/../images/";
  CHECK(images.load("path,x\n" + absolute + "a.png,1\n" + absolute + "b.png,0\nimages/c.png,1\nimages/d/e.png,1\n")
            .targets == Targets{1, 0, 1, 1});
}

TEST_CASE("a table of labels serves the image table that it is, and lists") {
  const Images images;
  write_text(images.dir / "images/table.csv", table.substr(0, table.find("1,nowhere")) + "0,b.png,train,\n");
  const std::string path = images.dir / "images/table.csv";
  const MultiLabels train = load_multi_labels(path, open_dataset(path));
  CHECK(train.targets == Targets{1, 0, -1, 1, 0, -1});  // c, a, b
  CHECK_THROWS_WITH(load_multi_labels(path, open_dataset(path + ":val")),
                    ContainsSubstring("table.csv: no sample is a positive of: mass"));
  CHECK(load_multi_labels(path, open_dataset(path + ":val"), EmptyClasses::allow).targets == Targets{0, 1});
  write_text(images.dir / "images/list.txt", "b.png\nc.png\n");
  write_text(images.labels, "image,x\nb.png,0\nc.png,1\n");
  CHECK(load_multi_labels(images.labels, open_dataset(images.dir / "images/list.txt")).targets == Targets{0, 1});
}

TEST_CASE("a table of labels goes by its order where samples have no files") {
  const TempDir dir;
  test::write_idx(dir.string(), "train", 3, 8);
  const Dataset data = open_dataset(dir.string());
  write_text(dir / "labels.csv", "x,y\n1,0\n0,\n-1,1\n");
  CHECK(load_multi_labels(dir / "labels.csv", data).targets == Targets{1, 0, 0, -1, -1, 1});
  write_text(dir / "labels.csv", "x,y\n1,0\n0,1\n");
  CHECK_THROWS_WITH(load_multi_labels(dir / "labels.csv", data), ContainsSubstring("has 2 rows for 3 samples"));
}

TEST_CASE("a table of labels that cannot be meant is refused, with its line") {
  const Images images;
  const auto refused = [&](const std::string& text, const std::string& words) {
    INFO(text);
    CHECK_THROWS_WITH(images.load(text), ContainsSubstring(words));
  };
  const auto changed = [](const std::string& from, const std::string& to) {
    std::string text = table;
    return text.replace(text.find(from), from.size(), to);
  };
  refused(changed("-1,a.png", "2,a.png"), "labels.csv:3: \"2\" is no label of the class mass");
  refused(changed("1,nowhere", "yes,nowhere"), "labels.csv:5: \"yes\"");
  refused(changed("nowhere.png", ""), "labels.csv:5: names no file");
  refused(changed("nowhere.png", "./a.png"), "labels.csv:5: the same sample as line 3: ");
  refused(changed("a.png", "A.png"), "labels.csv: 1 of 4 samples have no row; the first: " + (images.dir / "images/a"));
  refused(changed("path", "name"), "no label of the class name");
  refused("mass,fluid\n1,0\n", "no column path");
  refused(changed("mass", "fluid, left").replace(0, 11, "\"fluid, left\""), "two columns are named \"fluid, left\"");
  refused(changed("mass", ""), "labels.csv:1: column 1 has no name");
  refused("path,split\na.png,train\n", "no columns of classes");
  refused(changed("1,c.png", "0,c.png"), "no sample is a positive of: mass");
  refused("path,x,y,z\na.png,1,0,1\nb.png,1,1,1\nc.png,1,1,\nd/e.png,1,0,-1\n", "a negative of: x, z");
  CHECK_NOTHROW(images.load(changed("1,c.png", "0,c.png"), EmptyClasses::allow));
}

TEST_CASE("a part of a data set is a data set") {
  const Images images;
  const Dataset all = images.data(), part = subset(all, {3, 1, 3});
  CHECK((part.size == 3 && part.channels == all.channels && part.path == all.path && part.format == all.format));
  CHECK(part.image(0).pixels == all.image(3).pixels);
  CHECK(part.image(1).height == 5);
  CHECK(part.file(2) == all.file(3));
  CHECK(part.label(0) == -1);
  CHECK_FALSE(part.view);
  const std::set<std::uint64_t> prints{all.fingerprint, part.fingerprint, subset(all, {1, 3, 3}).fingerprint,
                                       subset(all, {0, 1, 2, 3}).fingerprint};
  CHECK(prints.size() == 4);
  CHECK(subset(all, {3, 1, 3}).fingerprint == part.fingerprint);
  CHECK_THROWS_WITH(subset(all, {}), ContainsSubstring("a part without samples"));
  CHECK_THROWS_WITH(subset(all, {0, 4}), ContainsSubstring("no sample 4 of 4"));
  CHECK_THROWS_WITH(subset(all, {-1}), ContainsSubstring("no sample -1"));

  const TempDir dir;
  test::write_idx(dir.string(), "train", 5, 8);
  const Dataset mapped = open_dataset(dir.string());
  const Dataset two = subset(mapped, {4, 2});
  CHECK((two.label(0) == 4 && two.label(1) == 2 && !two.file));
  if (mapped.view) CHECK(std::memcmp(two.view(1).pixels, mapped.image(2).pixels.data(), 64) == 0);
}

TEST_CASE("a fraction of the labels: balanced, in order, the same for the same seed") {
  const TempDir dir;
  test::write_idx(dir.string(), "train", 200, 8);
  const Dataset all = open_dataset(dir.string()), part = label_fraction(all, 0.1526, 3);
  REQUIRE(part.size == 31);  // 30.52, rounded
  std::map<int, int> counts;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < all.size; ++i) labels.push_back(all.label(i));
  std::vector<std::int64_t> chosen = choose_labels(labels, 31, 3);
  std::sort(chosen.begin(), chosen.end());
  for (std::int64_t i = 0; i < part.size; ++i) {
    ++counts[part.label(i)];
    CHECK(part.image(i).pixels == all.image(chosen[static_cast<std::size_t>(i)]).pixels);
  }
  for (const auto& [label, count] : counts) CHECK((count == 3 || count == 4));
  CHECK(counts.size() == 10);
  CHECK(label_fraction(all, 0.1526, 3).fingerprint == part.fingerprint);
  CHECK(label_fraction(all, 0.1526, 4).fingerprint != part.fingerprint);
  CHECK(label_fraction(all, 1, 3).size == 200);
  CHECK(label_fraction(all, 0.05, 3).size == 10);
  CHECK_THROWS_WITH(label_fraction(all, 0.045, 3), ContainsSubstring("is 9 of 200 samples, and there are 10 classes"));
  for (const double fraction : {0.0, -0.1, 1.01, std::nan("")})
    CHECK_THROWS_WITH(label_fraction(all, fraction, 3), ContainsSubstring("is asked for"));
  CHECK_THROWS_WITH(label_fraction(subset(all, {0, 1, 2, 3, 4, 5, 6, 7, 8, 10}), 1, 3),
                    ContainsSubstring("no sample of the class 9"));
  const Images unlabelled;
  CHECK_THROWS_WITH(label_fraction(unlabelled.data(), 0.5, 3), ContainsSubstring("has no labels"));
}

TEST_CASE("an array that is written is read back, and has NumPy's header") {
  const TempDir dir;
  std::vector<float> values;
  for (const std::byte b : support::noise_bytes(4 * 7 * 3, 8)) values.push_back(static_cast<float>(std::to_integer<int>(b)) / 7);
  write_npy(dir / "a.npy", DType::f32, {4, 7, 3}, values.data());
  const Image read = read_image(dir / "a.npy");
  REQUIRE((read.height == 4 && read.width == 7 && read.channels == 3 && read.dtype == DType::f32));
  CHECK(std::memcmp(read.pixels.data(), values.data(), read.pixels.size()) == 0);
  const std::vector<std::int32_t> labels{3, -1, 70000};
  write_npy(dir / "labels.npy", DType::i32, {3}, labels.data());
  const std::vector<std::byte> file = read_bytes(dir / "labels.npy");
  std::string header(reinterpret_cast<const char*>(file.data()), file.size() - 12);
  CHECK(header.size() == 128);
  CHECK(header.substr(0, 10) == std::string("\x93NUMPY\x01\0\x76\0", 10));
  CHECK_THAT(header, ContainsSubstring("{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }  "));
  CHECK(header.back() == '\n');
  CHECK(std::memcmp(file.data() + 128, labels.data(), 12) == 0);
  CHECK_THROWS_WITH(write_npy(dir / "b.npy", DType::bf16, {1}, values.data()), ContainsSubstring("NumPy has no bf16"));
  CHECK_THROWS_WITH(write_npy(dir / "none/b.npy", DType::f32, {1}, values.data()), ContainsSubstring("none/b.npy"));
}
