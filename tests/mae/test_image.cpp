#include <zlib.h>

#include <algorithm>

#include "kernels/core/build.h"
#include "kernels/core/check.h"
#include "mae/image.h"
#include "tests/support/catch.h"
#include "tests/support/image_golden.h"
#include "tests/support/noise.h"
#include "tests/support/temp_dir.h"

using namespace mae;
using kernels::DType;

namespace {

struct Case {
  Image expected;
  int asked = 0;
  std::vector<std::byte> file;
  bool jpeg() const { return file[0] == std::byte{0xff}; }
};

std::vector<Case> golden_cases() {
  support::Golden golden("images.bin");
  std::vector<Case> cases;
  for (int n = golden.number(); n > 0; --n) {
    const DType dtype = golden.number() == 0 ? DType::u8 : DType::u16;
    const int height = golden.number(), width = golden.number(), channels = golden.number();
    Case c{.expected = make_image(height, width, channels, dtype), .asked = golden.number(), .file = {}};
    const auto file = golden.take(static_cast<std::size_t>(golden.number()));
    c.file.assign(file.begin(), file.end());
    const auto pixels = golden.take(c.expected.pixels.size());
    std::copy(pixels.begin(), pixels.end(), c.expected.pixels.begin());
    if (kernels::with_jpeg || !c.jpeg()) cases.push_back(c);
  }
  REQUIRE(golden.at_end());
  return cases;
}

Image noise_image(int height, int width, int channels) {
  Image image = make_image(height, width, channels, DType::u8);
  image.pixels = support::noise_bytes(image.pixels.size(), 1);
  return image;
}

}  // namespace

TEST_CASE("JPEG and PNG files decode to Pillow's pixels") {
  for (const Case& c : golden_cases()) {
    const Image image = decode_image(c.file, "golden", c.asked);
    CAPTURE(c.jpeg(), c.asked, c.expected.channels, name_of(c.expected.dtype));
    CHECK(image.height == c.expected.height);
    CHECK(image.width == c.expected.width);
    CHECK(image.channels == c.expected.channels);
    CHECK(image.dtype == c.expected.dtype);
    CHECK(image.pixels == c.expected.pixels);
  }
}

TEST_CASE("a cut image is refused, and its file named") {
  const support::TempDir folder;
  for (const Case& c : golden_cases()) {
    const std::size_t whole = c.file.size();
    for (const std::size_t size : {std::size_t{12}, whole / 3, whole / 2, whole * 9 / 10, whole - 1}) {
      const std::string path = folder / "cut.png";
      support::write_file(path, std::span(c.file).first(size));
      CAPTURE(c.jpeg(), size, whole);
      CHECK_THROWS_WITH(read_image(path), ContainsSubstring(path) && ContainsSubstring("cut or damaged"));
    }
  }
}

TEST_CASE("one changed byte anywhere in a PNG is noticed") {
  for (const Case& c : golden_cases()) {
    if (c.jpeg()) continue;
    for (std::size_t i = 0; i < c.file.size(); ++i) {
      std::vector<std::byte> damaged = c.file;
      damaged[i] ^= std::byte{0x10};
      CHECK_THROWS_AS(decode_image(damaged, "damaged"), kernels::Error);
    }
  }
}

TEST_CASE("damaged JPEGs give an error or an image, never a crash") {
  for (const Case& c : golden_cases()) {
    if (!c.jpeg()) continue;
    for (std::size_t i = 0; i < c.file.size(); ++i) {
      std::vector<std::byte> damaged = c.file;
      damaged[i] ^= static_cast<std::byte>(1u << i % 8);
      try {
        const Image image = decode_image(damaged, "damaged");
        CHECK(image.pixels.size() == static_cast<std::size_t>(image.height) * row_bytes(image));
      } catch (const kernels::Error& error) {
        CHECK(error.where() == "damaged");
      }
    }
  }
}

TEST_CASE("a small file that promises a large picture is refused before memory is asked for") {
  const auto big_endian = [](std::byte* at, std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) at[i] = static_cast<std::byte>(value >> 8 * (bytes - 1 - i));
  };
  const auto of_size = [&](std::vector<std::byte> file, std::uint32_t height, std::uint32_t width) {
    if (file[0] == std::byte{0xff}) {
      const auto frame = std::adjacent_find(file.begin(), file.end(), [](std::byte a, std::byte b) {
        return a == std::byte{0xff} && (b == std::byte{0xc0} || b == std::byte{0xc2});
      });
      big_endian(&frame[5], height, 2), big_endian(&frame[7], width, 2);
    } else {
      big_endian(&file[16], width, 4), big_endian(&file[20], height, 4);
      const uLong sum = crc32(0, reinterpret_cast<const Bytef*>(&file[12]), 17);
      big_endian(&file[29], static_cast<std::uint32_t>(sum), 4);
    }
    return file;
  };
  for (const Case& c : golden_cases()) {
    CHECK_THROWS_WITH(decode_image(of_size(c.file, 8000, 16000), "bomb"), ContainsSubstring("bytes cannot hold 16000"));
    CHECK_THROWS_WITH(decode_image(of_size(c.file, 16000, 16000), "bomb"), ContainsSubstring("16000 pixels, too many"));
    CHECK_THROWS_WITH(decode_image(of_size(c.file, 2, 65500), "bomb"), ContainsSubstring("65500 x 2 pixels, too many"));
  }
}

TEST_CASE("a JPEG whose changed bit breaks its code is refused, and its file named") {
  const support::TempDir folder;
  const std::string path = folder / "flipped.jpg";
  for (const Case& c : golden_cases()) {
    if (!c.jpeg()) continue;
    int noticed = 0;  // JPEG has no checksum: many changes are just another picture
    for (std::size_t i = 2; i < c.file.size(); ++i) {
      std::vector<std::byte> flipped = c.file;
      flipped[i] ^= std::byte{0x80};
      support::write_file(path, flipped);
      try {
        read_image(path);
      } catch (const kernels::Error& error) {
        ++noticed;
        CHECK(error.where() == path);
      }
    }
    CHECK(noticed > static_cast<int>(c.file.size()) / 10);
  }
}

TEST_CASE("what is no image is refused with advice") {
  const support::TempDir folder;
  const std::string path = folder / "text.jpg";
  support::write_file(path, support::noise_bytes(400, 2));
  CHECK_THROWS_WITH(read_image(path), ContainsSubstring(path) && ContainsSubstring("neither JPEG, PNG, TIFF nor .npy"));
  CHECK_THROWS_WITH(read_image(folder / "absent.png"),
                    ContainsSubstring("absent.png: cannot open the file for reading"));
  support::write_file(folder / "empty.png", {});
  CHECK_THROWS_WITH(read_image(folder / "empty.png"), ContainsSubstring("is empty"));
}

TEST_CASE("channels change only where that has one meaning") {
  const Image grey = noise_image(3, 4, 1);
  const Image three = with_channels(grey, 3, "grey");
  CHECK(three.channels == 3);
  for (std::size_t i = 0; i < 36; ++i) CHECK(three.pixels[i] == grey.pixels[i / 3]);
  CHECK(with_channels(three, 1, "three").pixels == grey.pixels);  // the weights sum to one
  CHECK_THROWS_WITH(with_channels(noise_image(2, 2, 13), 3, "satellite.png"),
                    ContainsSubstring("satellite.png: has 13 channels, and 3 are wanted"));

  Image colour = make_image(1, 1, 3, DType::u16);
  colour.as<std::uint16_t>()[0] = 60000;
  colour.as<std::uint16_t>()[1] = 1000;
  colour.as<std::uint16_t>()[2] = 30000;
  CHECK(with_channels(colour, 1, "deep").as<std::uint16_t>()[0] == 21947);  // 17940 + 587 + 3420
}

TEST_CASE("a written PNG reads back") {
  const support::TempDir folder;
  for (const int channels : {1, 3}) {
    const Image image = noise_image(19, 23, channels);
    write_png(folder / "out.png", image);
    CHECK(read_image(folder / "out.png").pixels == image.pixels);
  }
  CHECK(std::distance(std::filesystem::directory_iterator(folder.string()), {}) == 1);  // no temporary file stays
  CHECK_THROWS_WITH(write_png(folder / "absent/out.png", noise_image(2, 2, 1)), ContainsSubstring("absent/out.png"));
  CHECK_THROWS_WITH(write_png(folder / "four.png", noise_image(2, 2, 4)), ContainsSubstring("four.png"));
}
