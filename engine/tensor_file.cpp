#include "engine/tensor_file.h"

#include <algorithm>
#include <functional>

#include "engine/pth.h"
#include "engine/safetensors.h"
#include "kernels/core/check.h"

namespace engine {
namespace {

class SafetensorsAsTensorFile : public TensorFile {
 public:
  explicit SafetensorsAsTensorFile(const std::string& path) : file_(path) {
    for (const TensorEntry& entry : file_.header().tensors) tensors_.push_back({entry.name, entry.type, entry.shape});
    metadata_ = file_.header().metadata;
  }

  const std::string& path() const override { return file_.path(); }
  const char* format() const override { return "safetensors"; }
  void read(const StoredTensor& tensor, void* destination) const override {
    file_.read(file_.header().tensors[place_of(tensor)], destination);
  }

 private:
  SafetensorsFile file_;
};

std::string beginning_of(const std::string& path) {
  const InputFile file(path);
  std::string bytes(std::min<std::uint64_t>(file.size(), 16), '\0');
  file.read_at(0, bytes.data(), bytes.size());
  return bytes;
}

}  // namespace

const StoredTensor* TensorFile::find(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const auto& t) { return t.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

std::size_t TensorFile::place_of(const StoredTensor& tensor) const {
  const std::less<const StoredTensor*> before;
  const StoredTensor* first = tensors_.data();
  const bool ours = !before(&tensor, first) && before(&tensor, first + tensors_.size());
  const StoredTensor* found = ours ? &tensor : find(tensor.name);
  if (found == nullptr || found->type != tensor.type || found->shape != tensor.shape)
    throw kernels::Error("is not a tensor of this file", path() + ": tensor '" + tensor.name + "'");
  return static_cast<std::size_t>(found - first);
}

std::unique_ptr<TensorFile> open_tensor_file(const std::string& path) {
  const std::string begin = beginning_of(path);
  if (is_old_pth(begin)) refuse_old_pth(path);
  if (begin.starts_with("PK\3\4")) return std::make_unique<PthFile>(path);
  return std::make_unique<SafetensorsAsTensorFile>(path);
}

}  // namespace engine
