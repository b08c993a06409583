// Work: one launch to be timed, with the types of its argument struct taken away. works.cpp is the only file here that
// knows kernels one by one, and it finds them all in the registry: a new kernel or row is timed without being told of.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kernels/cases/case.h"

namespace bench {

using kernels::Bound;
using kernels::Cost;
using kernels::Device;
using kernels::DeviceKind;
using kernels::DType;
using kernels::Error;
using kernels::Field;
using kernels::Role;
using kernels::Stream;
using kernels::View;

/// A row of the table of this work's device.
struct Row {
  std::string name;
  bool vendor = false, reduced_precision = false, tunes = false;
  std::string refusal;        // empty: it takes this work
  std::size_t workspace = 0;  // bytes of scratch
};

using Memory = std::vector<void*>;  // one pointer a field, in the order of `fields`

struct Work {
  std::string kernel, shape;
  DType dtype = DType::f32;
  int variation = 0;          // place in what Case::make gives
  std::vector<Field> fields;  // without memory; those that are not given are left out
  Cost cost;
  Bound bound;
  std::vector<Row> rows;
  std::function<void(Stream&, const Memory&, const std::string& row)> launch;
  std::function<void(Stream&, const Memory&, const std::string& row, void* scratch)> tune;
  std::function<void(const Memory&)> fill;       // f64 and integers of the host; null: N(0, 1) will do
  std::function<void(const Memory&)> reference;  // the same memory: the CPU's f64 reference
};

struct Kernel {
  std::string name;
  std::vector<std::string> shapes, sizes;  // bench's shapes; the names of sizes that shapes of this kernel have
  std::vector<DType> dtypes;
  std::function<std::vector<std::string>(DeviceKind)> rows;
  /// The variations of one case, the first two unless `all`. Throws Error for shapes that do not fit.
  std::function<std::vector<Work>(const Device&, const std::string& shape, DType, bool all)> works;
};

/// Every kernel there is.
std::vector<Kernel> all_kernels();

constexpr const char* name_of(Role role) {
  return role == Role::input ? "input" : role == Role::output ? "output" : "updated";
}
using kernels::name_of;

/// Bytes from the first element of a view to its last, with the gaps between rows.
inline std::size_t storage_bytes(const View& v) {
  return static_cast<std::size_t>(v.rows() * v.row_stride) * kernels::size_of(v.dtype);
}

}  // namespace bench
