#include "mae/npy_writer.h"

#include <bit>

#include "engine/files.h"
#include "kernels/core/check.h"

namespace mae {
namespace {

static_assert(std::endian::native == std::endian::little);

std::string descr_of(kernels::DType dtype, const std::string& path) {
  switch (dtype) {
    case kernels::DType::f64:
      return "<f8";
    case kernels::DType::f32:
      return "<f4";
    case kernels::DType::i32:
      return "<i4";
    case kernels::DType::u32:
      return "<u4";
    case kernels::DType::u16:
      return "<u2";
    case kernels::DType::u8:
      return "|u1";
    default:
      throw kernels::Error(std::string("NumPy has no ") + name_of(dtype), path, "f32");
  }
}

}  // namespace

void write_npy(const std::string& path, kernels::DType dtype, const std::vector<std::int64_t>& shape,
               const void* data) {
  std::string sizes;
  std::uint64_t bytes = kernels::size_of(dtype);
  for (const std::int64_t size : shape) {
    sizes += std::to_string(size) + ", ";
    bytes *= static_cast<std::uint64_t>(size);
  }
  if (!sizes.empty()) sizes.resize(sizes.size() - (shape.size() == 1 ? 1 : 2));  // "(2, 3)", but "(2,)"
  std::string header = "{'descr': '" + descr_of(dtype, path) + "', 'fortran_order': False, 'shape': (" + sizes + "), }";
  constexpr std::size_t before = 10, line = 64;  // the elements begin at a multiple of `line` bytes
  header.resize((before + header.size() + 1 + line - 1) / line * line - before - 1, ' ');
  header += '\n';
  std::string start("\x93NUMPY\x01\0", 8);
  start += static_cast<char>(header.size() & 0xff);
  start += static_cast<char>(header.size() >> 8);
  start += header;
  engine::write_atomically(
      path,
      [&](engine::FileWriter& file) {
        file.write(start);
        file.write(data, bytes);
      },
      start.size() + bytes);
}

}  // namespace mae
