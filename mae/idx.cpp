// IDX, the file format of MNIST: two zero bytes, the element type, the rank, the sizes (u32, big endian), the elements
// (big endian). Images are (N, height, width) or (N, height, width, channels), labels (N).
#include <zlib.h>

#include <algorithm>
#include <memory>

#include "kernels/core/check.h"
#include "mae/dataset_formats.h"

namespace mae {
namespace fs = std::filesystem;
namespace {

using kernels::DType;
using kernels::Error;

constexpr const char* fetch_again = "fetch the file again";

struct IdxArray {
  std::vector<std::int64_t> sizes;
  DType dtype = DType::u8;
  std::vector<std::byte> elements;  // host byte order
};

/// A file that is read through zlib, which passes plain files on as they are.
class GzipFile {
 public:
  explicit GzipFile(const fs::path& path) : path_(path.string()), file_(gzopen(path_.c_str(), "rb"), gzclose) {
    if (!file_) throw Error("cannot be read", path_, "check that the file exists and may be read");
    gzbuffer(file_.get(), 1 << 17);
  }

  /// Appends up to `count` bytes; throws where fewer are left.
  void read(std::vector<std::byte>& to, std::int64_t count) {
    // Memory grows with what was read, so that a damaged header cannot ask for terabytes.
    while (count > 0) {
      const auto piece = static_cast<unsigned>(std::min<std::int64_t>(count, 1 << 22));
      const std::size_t old = to.size();
      to.resize(old + piece);
      if (gzread(file_.get(), to.data() + old, piece) != static_cast<int>(piece)) {
        throw Error("cut or damaged IDX file: it ends before the elements that its header promises", path_,
                    fetch_again);
      }
      count -= piece;
    }
  }

  /// Also makes zlib compare its checksum.
  void expect_end() {
    char extra = 0;
    int status = Z_OK;
    const int got = gzread(file_.get(), &extra, 1);
    gzerror(file_.get(), &status);
    if (got != 0 || status < 0) {
      throw Error("damaged IDX file: more bytes than its header promises, or no right checksum", path_, fetch_again);
    }
  }

 private:
  std::string path_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> file_;
};

std::uint32_t big_endian(const std::byte* p) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(p[i]);
  return value;
}

DType type_of(std::byte code, const std::string& where) {
  switch (std::to_integer<int>(code)) {
    case 0x08:
      return DType::u8;
    case 0x0d:
      return DType::f32;
    case 0x09:
    case 0x0b:
    case 0x0c:
    case 0x0e:
      throw Error("IDX elements are i8, i16, i32 or f64; u8 and f32 are read", where, "convert them to f32");
    default:
      throw Error("is not an IDX file", where, fetch_again);
  }
}

IdxArray read_idx(const fs::path& path) {
  GzipFile file(path);
  std::vector<std::byte> header;
  file.read(header, 4);
  const int rank = std::to_integer<int>(header[3]);
  if (header[0] != std::byte{0} || header[1] != std::byte{0} || rank < 1 || rank > 4) {
    throw Error("is not an IDX file", path.string(), fetch_again);
  }
  IdxArray array{.sizes = {}, .dtype = type_of(header[2], path.string()), .elements = {}};
  file.read(header, 4 * rank);
  std::int64_t count = 1;
  for (int i = 0; i < rank; ++i) {
    const auto size = static_cast<std::int64_t>(big_endian(&header[static_cast<std::size_t>(4 + 4 * i)]));
    if (size < 1 || (i > 0 && size > max_side))
      throw Error("damaged IDX header: impossible sizes", path.string(), fetch_again);
    array.sizes.push_back(size);
    count *= size;
    if (count > std::int64_t{1} << 44) throw Error("damaged IDX header: impossible sizes", path.string(), fetch_again);
  }
  file.read(array.elements, count * static_cast<std::int64_t>(size_of(array.dtype)));
  file.expect_end();
  if (array.dtype == DType::f32) {
    auto* values = reinterpret_cast<std::uint32_t*>(array.elements.data());
    for (std::int64_t i = 0; i < count; ++i) values[i] = big_endian(&array.elements[static_cast<std::size_t>(4 * i)]);
  }
  return array;
}

/// "train-images-idx3-ubyte.gz" -> "train-labels-idx1-ubyte.gz", with or without ".gz"; empty where there is none.
fs::path labels_of(const fs::path& images) {
  std::string name = images.filename().string();
  const std::size_t at = name.find("images");
  if (at == std::string::npos) return {};
  name.replace(at, 6, "labels");
  for (const char* idx : {"idx3", "idx4"}) {
    if (const std::size_t i = name.find(idx); i != std::string::npos) name.replace(i, 4, "idx1");
  }
  const std::string bare = name.ends_with(".gz") ? name.substr(0, name.size() - 3) : name;
  for (const std::string& candidate : {name, bare, bare + ".gz"}) {
    if (fs::exists(images.parent_path() / candidate)) return images.parent_path() / candidate;
  }
  return {};
}

std::vector<std::byte> read_labels(const fs::path& path, std::int64_t images) {
  if (path.empty()) return {};
  IdxArray labels = read_idx(path);
  if (labels.sizes.size() != 1 || labels.dtype != DType::u8) {
    throw Error("labels are one u8 a sample; this file holds something else", path.string(), fetch_again);
  }
  if (labels.sizes[0] != images) {
    throw Error(std::to_string(labels.sizes[0]) + " labels for " + std::to_string(images) + " images", path.string(),
                "put the label file of the same split beside the images");
  }
  return std::move(labels.elements);
}

}  // namespace

Dataset open_idx(const fs::path& images) {
  struct Held {
    IdxArray images;
    std::vector<std::byte> labels;
  };
  const auto held = std::make_shared<Held>();
  held->images = read_idx(images);
  const IdxArray& array = held->images;
  const std::size_t rank = array.sizes.size();
  if (rank < 3)
    throw Error("holds no images: IDX of rank " + std::to_string(rank), images.string(), "name the image file");
  const int channels = rank == 4 ? static_cast<int>(array.sizes[3]) : 1;
  if (channels > max_channels)
    throw Error("more than 64 channels", images.string(), "images are (N, height, width, channels)");
  held->labels = read_labels(labels_of(images), array.sizes[0]);

  Dataset data;
  data.format = "IDX";
  data.size = array.sizes[0];
  data.channels = channels;
  data.height = static_cast<int>(array.sizes[1]);
  data.width = static_cast<int>(array.sizes[2]);
  data.dtype = array.dtype;
  if (!held->labels.empty()) {
    const int last = std::to_integer<int>(*std::max_element(held->labels.begin(), held->labels.end()));
    for (int i = 0; i <= last; ++i) data.classes.push_back(std::to_string(i));
  }
  data.fingerprint = fingerprint(fingerprint_seed, data.format);
  for (const std::int64_t size : array.sizes)
    data.fingerprint = fingerprint(data.fingerprint, static_cast<std::uint64_t>(size));
  data.fingerprint = fingerprint(fingerprint(data.fingerprint, checksum(array.elements)), checksum(held->labels));

  data.view = [held, height = data.height, width = data.width, channels](std::int64_t i) {
    ImageView image{height, width, channels, held->images.dtype, held->images.elements.data()};
    image.pixels += static_cast<std::size_t>(i) * image.bytes();
    return image;
  };
  data.image = [view = data.view](std::int64_t i) { return copy_of(view(i)); };
  data.label = [held](std::int64_t i) {
    return held->labels.empty() ? -1 : std::to_integer<int>(held->labels[static_cast<std::size_t>(i)]);
  };
  return data;
}

}  // namespace mae
