// Files of named tensors as this program and others write them, safetensors and PyTorch's .pth, behind one face.
//
// Nothing in a file is trusted: what breaks a rule of its format is refused with a kernels::Error that names the file
// and the tensor, before memory for data is asked for. Host memory only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/stored_type.h"

namespace engine {

struct StoredTensor {
  std::string name;
  StoredType type;
  std::vector<std::int64_t> shape;  // at most 8 sizes; none: one value

  std::int64_t count() const {
    std::int64_t n = 1;
    for (const std::int64_t size : shape) n *= size;
    return n;
  }
  std::uint64_t bytes() const { return static_cast<std::uint64_t>(count()) * size_of(type); }
};

using Metadata = std::vector<std::pair<std::string, std::string>>;

class TensorFile {
 public:
  virtual ~TensorFile() = default;

  virtual const std::string& path() const = 0;
  virtual const char* format() const = 0;  // "safetensors", "PyTorch"
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// Null where there is none.
  const StoredTensor* find(std::string_view name) const;
  /// What the file says beside its tensors: safetensors' __metadata__; of a .pth its scalars and texts.
  const Metadata& metadata() const { return metadata_; }
  /// The elements of one of tensors(), row-major and without gaps: bytes() bytes. Threads may read at once.
  virtual void read(const StoredTensor& tensor, void* destination) const = 0;

 protected:
  /// Of one of tensors(), or a copy of it.
  std::size_t place_of(const StoredTensor& tensor) const;

  std::vector<StoredTensor> tensors_;
  Metadata metadata_;
};

/// What the writers of either format take.
struct TensorToWrite {
  TensorToWrite(std::string n, StoredType t, std::vector<std::int64_t> s, const void* d)
      : name(std::move(n)), type(t), shape(std::move(s)), data(d) {}
  TensorToWrite(std::string n, kernels::DType t, std::vector<std::int64_t> s, const void* d)
      : TensorToWrite(std::move(n), stored_as(t), std::move(s), d) {}

  std::string name;
  StoredType type;
  std::vector<std::int64_t> shape;
  const void* data;  // host memory, contiguous; null only where there are no elements
};

/// Opens a file by what it holds, not by its name.
std::unique_ptr<TensorFile> open_tensor_file(const std::string& path);

}  // namespace engine
