// Images named by a list or a table, and .npy files.
#include <cstring>
#include <fstream>

#include "kernels/core/check.h"
#include "mae/csv.h"
#include "mae/dataset.h"
#include "tests/support/catch.h"
#include "tests/support/noise.h"
#include "tests/support/npy_file.h"
#include "tests/support/temp_dir.h"

using namespace mae;
using kernels::DType;
using support::dictionary;
using support::npy;
using support::TempDir;

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

Image decode(const std::string& text) { return decode_image(std::as_bytes(std::span(text)), "a.npy"); }

}  // namespace

TEST_CASE("CSV: quotes, commas, line ends and a byte-order mark") {
  const Csv csv = parse_csv("\xef\xbb\xbfpath,label\r\n\"a, \"\"b\"\".png\",cat\n\nc.png,\n\"two\nlines\",x", "t.csv");
  CHECK(csv.header == std::vector<std::string>{"path", "label"});
  REQUIRE(csv.rows.size() == 3);
  CHECK(csv.rows[0] == std::vector<std::string>{"a, \"b\".png", "cat"});
  CHECK(csv.rows[1] == std::vector<std::string>{"c.png", ""});
  CHECK(csv.rows[2] == std::vector<std::string>{"two\nlines", "x"});
  CHECK(csv.lines == std::vector<int>{2, 4, 5});
  CHECK_THROWS_WITH(parse_csv("", "t.csv"), ContainsSubstring("t.csv:1: is empty"));
  CHECK_THROWS_WITH(parse_csv("a,b\n1,2\n3\n", "t.csv"), ContainsSubstring("t.csv:3: has 1 fields, the header 2"));
  CHECK_THROWS_WITH(parse_csv("a\n\"x", "t.csv"), ContainsSubstring("t.csv:2: a quote has no end"));
  CHECK_THROWS_WITH(parse_csv("a\n\"x\"y\n", "t.csv"), ContainsSubstring("t.csv:2: text stands behind"));
}

TEST_CASE("a list: one path a line, comments, relative and absolute") {
  const TempDir dir, elsewhere;
  write_image(dir / "images/a.png", 4);
  write_image(elsewhere / "b.png", 6);
  write_text(dir / "list.txt", "# two images\nimages/a.png\r\n\n" + (elsewhere / "b.png") + "\n");
  const Dataset data = open_dataset(dir / "list.txt");
  CHECK((data.format == "image list" && data.size == 2 && data.classes.empty() && data.label(1) == -1));
  CHECK((data.image(0).height == 4 && data.image(1).height == 6));
  write_text(dir / "list.txt", "images/a.png\nnone.png\nimages/gone.png\n");
  CHECK_THROWS_WITH(open_dataset(dir / "list.txt"),
                    ContainsSubstring("list.txt:2: 2 of 3 names are no files") && ContainsSubstring("none.png"));
  write_text(dir / "list.txt", "# nothing\n");
  CHECK_THROWS_WITH(open_dataset(dir / "list.txt"), ContainsSubstring("names no files"));
  write_text(dir / "list.txt", "\xef\xbb\xbfimages/a.png\n");
  CHECK(open_dataset(dir / "list.txt").size == 1);
  write_text(dir / "list.txt", std::string("images/a.png\n") + "images/a.png" + '\0' + "images/b.png" + '\0');
  CHECK_THROWS_WITH(open_dataset(dir / "list.txt"), ContainsSubstring("list.txt:2: a name with a NUL byte"));
  CHECK_THROWS_WITH(open_dataset(dir / "list.txt:test"), ContainsSubstring("a split is chosen for a folder"));
}

TEST_CASE("a table: labels by name or number, splits") {
  const TempDir dir;
  for (int i = 3; i <= 6; ++i) write_image(dir / (std::to_string(i) + ".png"), i);
  const std::string path = dir / "table.csv";
  write_text(path, "label,split,file\ndog,train,3.png\ncat,val,4.png\ncat,train,5.png\nfox,test,6.png\n");
  const Dataset train = open_dataset(path), test = open_dataset(path + ":test");
  CHECK(train.classes == std::vector<std::string>{"cat", "dog", "fox"});
  CHECK(test.classes == train.classes);
  CHECK((train.size == 2 && train.label(0) == 1 && train.label(1) == 0 && train.image(1).height == 5));
  CHECK((test.size == 1 && test.label(0) == 2 && test.image(0).height == 6));
  const Dataset val = open_dataset(path + ":val");
  CHECK((val.size == 1 && val.label(0) == 0));
  CHECK(other_splits(path) == std::vector<std::string>{"val", "test"});
  CHECK(train.fingerprint != test.fingerprint);
  write_text(path, "label,split,file\ndog,Training,3.png\ncat,validation,4.png\n");
  CHECK((open_dataset(path).size == 1 && open_dataset(path + ":test").image(0).height == 4));  // the one that is there
  write_text(path, "label,split,file\ndog,train,3.png\ncat,held out,4.png\n");
  CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("table.csv:3: the split \"held out\" is not known"));
  write_text(path, std::string("file\n3.png") + '\0' + "4.png\n");
  CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("table.csv:2: a NUL byte"));

  write_text(path, "path,class\n3.png,10\n4.png,2\n");
  const Dataset numbered = open_dataset(path);
  CHECK((numbered.classes.size() == 11 && numbered.label(0) == 10 && numbered.label(1) == 2));
  write_text(path, "path,label\n3.png,811544\n4.png,5\n");  // too large for a class: a name, and not 811545 of them
  const Dataset named = open_dataset(path);
  CHECK(named.classes == std::vector<std::string>{"5", "811544"});
  CHECK((named.label(0) == 1 && named.label(1) == 0));
  CHECK(other_splits(path).empty());
  CHECK_THROWS_WITH(open_dataset(path + ":test"), ContainsSubstring("no rows of the split test"));
  write_text(path, "path\n3.png\n4.png\n");
  CHECK(open_dataset(path).label(0) == -1);

  write_text(path, "name\n3.png\n");
  CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("no column path"));
  write_text(path, "path,label\n3.png,1\n4.png,\n");
  CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("table.csv:3: has no label"));
  write_text(path, "path,label\n9.png,1\n3.png,1\n");
  CHECK_THROWS_WITH(open_dataset(path), ContainsSubstring("table.csv:2: 1 of 2 names are no files"));
}

TEST_CASE(".npy: types, shapes and versions") {
  const std::string six = "abcdef";
  const Image grey = decode(npy(dictionary("|u1", "(2, 3)"), six));
  CHECK((grey.height == 2 && grey.width == 3 && grey.channels == 1 && grey.dtype == DType::u8));
  CHECK(std::memcmp(grey.pixels.data(), six.data(), 6) == 0);
  for (const int version : {1, 2, 3}) {
    const Image wide = decode(npy(dictionary("<u2", "(1,1,3)"), six, version));
    CHECK((wide.channels == 3 && wide.dtype == DType::u16 && wide.as<std::uint16_t>()[1] == 'd' * 256 + 'c'));
  }
  const float value = 0.25f;
  std::string element(4, '\0');
  std::memcpy(element.data(), &value, 4);
  CHECK(decode(npy("{'shape': (1, 1), 'fortran_order': False, 'descr': '<f4'}", element)).as<float>()[0] == 0.25f);

  const std::string nan("\0\0\xc0\x7f", 4);
  CHECK_THROWS_WITH(decode(npy(dictionary("<f4", "(1, 1)"), nan)), ContainsSubstring("values that are not finite"));
  CHECK_THROWS_WITH(decode(npy(dictionary("<f8", "(1, 1)"), six)), ContainsSubstring("elements of type '<f8'"));
  CHECK_THROWS_WITH(decode(npy(dictionary(">u2", "(1, 3)"), six)), ContainsSubstring("elements of type '>u2'"));
  CHECK_THROWS_WITH(decode(npy(dictionary("|u1", "(2, 3)", "True"), six)), ContainsSubstring("Fortran order"));
  for (const char* shape : {"(6,)", "()", "(1, 1, 1, 6)", "(0, 6)", "(1, 1, 65)", "(99999, 1)"}) {
    INFO(shape);
    CHECK_THROWS_WITH(decode(npy(dictionary("|u1", shape), six)), ContainsSubstring("is no image"));
  }
  CHECK_THROWS_WITH(decode(npy(dictionary("|u1", "(2, 4)"), six)), ContainsSubstring("promises 8 bytes of elements"));
  CHECK_THROWS_WITH(decode(npy(dictionary("|u1", "(2, 2)"), six)), ContainsSubstring("promises 4 bytes of elements"));
  CHECK_THROWS_WITH(decode(npy("{'descr': '|u1'}", six)), ContainsSubstring("header cannot be read"));
  CHECK_THROWS_WITH(decode(npy(dictionary("|u1", "(99999999999999999999, 1)"), six)),
                    ContainsSubstring("header cannot be read"));
  CHECK_THROWS_WITH(decode(npy(dictionary("|u1", "(2, 3)"), six, 4)), ContainsSubstring("version"));
  const std::string good = npy(dictionary("|u1", "(2, 3)"), six);
  for (std::size_t size = 6; size < good.size(); ++size) CHECK_THROWS_AS(decode(good.substr(0, size)), kernels::Error);
}

TEST_CASE("a folder of .npy files has their channels; others need to be asked") {
  const TempDir dir;
  write_text(dir / "a.npy", npy(dictionary("<u2", "(2, 2, 13)"), std::string(104, 'x')));
  const Dataset data = open_dataset(dir.string());
  CHECK((data.channels == 13 && data.dtype == DType::u16));
  CHECK(open_dataset(dir.string(), {.channels = 13}).image(0).channels == 13);
  CHECK_THROWS_WITH(open_dataset(dir.string(), {.channels = 3}),
                    ContainsSubstring("has 13 channels, and 3 are wanted"));
  write_image(dir / "b.png", 4);
  CHECK_THROWS_WITH(open_dataset(dir.string()).image(1), ContainsSubstring("b.png"));
}

TEST_CASE("upright: each of the eight orientations") {
  Image image = make_image(2, 3, 1, DType::u8);  // 0 1 2 / 3 4 5
  for (int i = 0; i < 6; ++i) image.pixels[static_cast<std::size_t>(i)] = static_cast<std::byte>(i);
  const std::vector<std::vector<int>> expected{{0, 1, 2, 3, 4, 5}, {2, 1, 0, 5, 4, 3}, {5, 4, 3, 2, 1, 0},
                                               {3, 4, 5, 0, 1, 2}, {0, 3, 1, 4, 2, 5}, {3, 0, 4, 1, 5, 2},
                                               {5, 2, 4, 1, 3, 0}, {2, 5, 1, 4, 0, 3}};
  for (int o = 1; o <= 8; ++o) {
    INFO(o);
    image.orientation = o;
    const Image turned = upright(image);
    CHECK((turned.orientation == 1 && turned.height == (o < 5 ? 2 : 3)));
    for (std::size_t i = 0; i < 6; ++i)
      CHECK(std::to_integer<int>(turned.pixels[i]) == expected[static_cast<std::size_t>(o - 1)][i]);
  }
}
