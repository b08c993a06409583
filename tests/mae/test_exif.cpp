// The orientation that a JPEG asks for: the parser by itself, then through the decoder and a data set.
#include "kernels/core/build.h"
#include "mae/dataset.h"
#include "mae/exif.h"
#include "tests/support/catch.h"
#include "tests/support/image_golden.h"
#include "tests/support/temp_dir.h"

using namespace mae;
using Bytes = std::vector<std::byte>;

namespace {

enum class Order { little, big };

struct Entry {
  std::uint32_t tag = 0x0112, type = 3, count = 1, value = 1;
};

void append(Bytes& to, Order order, std::uint32_t value, int size) {
  for (int i = 0; i < size; ++i)
    to.push_back(static_cast<std::byte>(value >> 8 * (order == Order::big ? size - 1 - i : i)));
}

/// An APP1 payload with one directory, `gap` bytes behind the header.
Bytes exif(Order order, const std::vector<Entry>& entries, std::uint32_t gap = 0) {
  Bytes out;
  for (const char c : {'E', 'x', 'i', 'f', '\0', '\0'}) out.push_back(static_cast<std::byte>(c));
  for (int i = 0; i < 2; ++i) out.push_back(static_cast<std::byte>(order == Order::big ? 'M' : 'I'));
  append(out, order, 42, 2);
  append(out, order, 8 + gap, 4);
  out.resize(out.size() + gap);
  append(out, order, static_cast<std::uint32_t>(entries.size()), 2);
  for (const Entry& e : entries) {
    append(out, order, e.tag, 2);
    append(out, order, e.type, 2);
    append(out, order, e.count, 4);
    append(out, order, e.value, 2);
    append(out, order, 0, 2);
  }
  append(out, order, 0, 4);  // no further directory
  return out;
}

/// The JPEG with these APP1 segments behind its first marker.
Bytes with_app1(const Bytes& jpeg, const std::vector<Bytes>& segments) {
  Bytes out(jpeg.begin(), jpeg.begin() + 2);
  for (const Bytes& segment : segments) {
    append(out, Order::big, 0xffe1, 2);
    append(out, Order::big, static_cast<std::uint32_t>(segment.size() + 2), 2);
    out.insert(out.end(), segment.begin(), segment.end());
  }
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  return out;
}

/// The JPEGs of images.bin: grey, grey, colour, ..., CMYK.
std::vector<Bytes> jpegs() {
  support::Golden golden("images.bin");
  std::vector<Bytes> files;
  for (int n = golden.number(); n > 0; --n) {
    std::size_t size = golden.number() == 0 ? 1 : 2;
    for (int i = 0; i < 3; ++i) size *= static_cast<std::size_t>(golden.number());
    golden.number();
    const auto file = golden.take(static_cast<std::size_t>(golden.number()));
    golden.take(size);
    if (file[0] == std::byte{0xff}) files.emplace_back(file.begin(), file.end());
  }
  return files;
}

}  // namespace

TEST_CASE("EXIF: each orientation, in both byte orders, wherever the directory lies") {
  for (const Order order : {Order::little, Order::big}) {
    for (std::uint32_t value = 1; value <= 8; ++value) {
      CHECK(exif_orientation(exif(order, {{.value = value}})) == static_cast<int>(value));
      const std::vector<Entry> many{
          {.tag = 0x010f, .type = 2, .count = 9, .value = 7}, {.value = value}, {.tag = 0x0132}};
      CHECK(exif_orientation(exif(order, many, 6)) == static_cast<int>(value));
    }
  }
}

TEST_CASE("EXIF: what says no orientation leaves the picture as it is") {
  for (const Order order : {Order::little, Order::big}) {
    for (const Entry& entry :
         {Entry{.value = 0}, Entry{.value = 9}, Entry{.value = 0x600}, Entry{.type = 4, .value = 6},
          Entry{.count = 2, .value = 6}, Entry{.tag = 0x0110, .value = 6}})
      CHECK(exif_orientation(exif(order, {entry})) == 1);
    CHECK(exif_orientation(exif(order, {})) == 1);
    Bytes block = exif(order, {{.value = 6}});
    block[8] = block[9] = std::byte{9};  // not the version 42
    CHECK(exif_orientation(block) == 1);
    block = exif(order, {{.value = 6}});
    for (std::size_t i = 10; i < 14; ++i) block[i] = std::byte{0xff};  // a directory 4 GiB behind the end
    CHECK(exif_orientation(block) == 1);
    block = exif(order, {{.tag = 0x0100}, {.tag = 0x0101}});
    block[14] = block[15] = std::byte{0xff};  // 65,535 entries
    CHECK(exif_orientation(block) == 1);
    block[0] = std::byte{'X'};
    CHECK(!is_exif(block));
    CHECK(exif_orientation(block) == 1);
  }
}

TEST_CASE("EXIF: a cut or changed block is never read out of its bounds") {
  for (const Order order : {Order::little, Order::big}) {
    const Bytes whole = exif(order, {{.tag = 0x010f}, {.value = 6}});
    const std::size_t needed = whole.size() - 6;  // up to the value
    for (std::size_t size = 0; size <= whole.size(); ++size) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));  // its own memory: ASan sees
      CHECK(exif_orientation(cut) == (size >= needed ? 6 : 1));
    }
    for (std::size_t i = 0; i < whole.size(); ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes changed = whole;
        changed[i] ^= static_cast<std::byte>(1 << bit);
        const int o = exif_orientation(changed);
        CHECK((o >= 1 && o <= 8));
      }
    }
  }
}

TEST_CASE("a JPEG's orientation is read, kept through a change of channels, and costs no picture") {
  if (!kernels::with_jpeg) return;
  for (const Bytes& jpeg : jpegs()) {
    const Image plain = decode_image(jpeg, "plain");
    CHECK(plain.orientation == 1);
    for (const int channels : {0, 1, 3}) {
      const Image turned = decode_image(with_app1(jpeg, {exif(Order::big, {{.value = 6}})}), "turned", channels);
      CHECK(turned.orientation == 6);
      CHECK(turned.pixels == decode_image(jpeg, "plain", channels).pixels);  // not applied yet
      CHECK(upright(turned).height == plain.width);
    }
    const Bytes whole = exif(Order::little, {{.value = 8}}), xmp(40, std::byte{'x'});
    CHECK(decode_image(with_app1(jpeg, {xmp, whole}), "behind XMP").orientation == 8);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      CHECK(decode_image(with_app1(jpeg, {cut}), "cut").pixels == plain.pixels);
    }
  }
}

TEST_CASE("a data set is read as stored or upright, and its fingerprint tells which") {
  if (!kernels::with_jpeg) return;
  const support::TempDir dir;
  const Bytes grey = jpegs()[0];
  support::write_file(dir / "k/a.jpg", with_app1(grey, {exif(Order::little, {{.value = 6}})}));
  const Dataset stored = open_dataset(dir / "k"),
                turned = open_dataset(dir / "k", {.orientation = Orientation::upright});
  const Image image = stored.image(0), expected = upright(image);
  CHECK(image.height != expected.height);
  CHECK((image.channels == 3 && turned.channels == 3));
  CHECK(turned.image(0).height == expected.height);
  CHECK(turned.image(0).pixels == expected.pixels);
  CHECK(stored.fingerprint != turned.fingerprint);
}
