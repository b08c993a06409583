// PyTorch's .pth: what torch.save writes since 1.6, a ZIP file of `<root>/data.pkl`, a pickle that describes all
// values, and `<root>/data/<key>`, the bytes of each storage.
//
// Nothing in it is run (engine/pickle.h), and nothing is trusted: a storage must have the very size of its record, and
// a tensor must lie within its storage, before memory for data is asked for. The format of before 1.6 and TorchScript's
// are told apart and refused with advice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor_file.h"
#include "engine/zip.h"

namespace engine {

struct Pickle;
struct PickledTensor;

/// The tensors of the file's state dict: its member `model`, `state_dict`, `model_state_dict` or `module`, whichever is
/// first a dict with a tensor in it, else the dict that the file is. Names within nested dicts are joined by '.'; a
/// "module." that all names begin with (DistributedDataParallel's) is dropped. Numbers and texts are in metadata().
class PthFile : public TensorFile {
 public:
  /// Throws kernels::Error for what it cannot read, or would have to run.
  explicit PthFile(const std::string& path);

  const std::string& path() const override { return zip_.path(); }
  const char* format() const override { return "PyTorch"; }
  void read(const StoredTensor& tensor, void* destination) const override;
  /// Names of what is neither tensor nor metadata: an optimizer's state, argparse's arguments, lists.
  const std::vector<std::string>& skipped() const { return skipped_; }

 private:
  struct Place {  // of a tensor's values
    const ZipRecord* record;
    std::int64_t offset;               // values
    std::vector<std::int64_t> stride;  // as long as the shape
  };
  friend class StateDictReader;

  ZipFile zip_;
  std::vector<Place> places_;  // one for each of tensors_
  std::vector<std::string> skipped_;
};

/// True for a file that begins as PyTorch's files of before 1.6 do.
bool is_old_pth(std::string_view begin);
[[noreturn]] void refuse_old_pth(const std::string& path);

/// Writes {"model": the tensors, and each of the metadata beside it}, which torch.load(weights_only=True) reads and
/// the official MAE calls a checkpoint. Atomically (engine/files.h), without a copy of the data. Throws before anything
/// is written where a name is there twice, or torch has no storage of a type (u16, u32, u64).
void write_pth(const std::string& path, const std::vector<TensorToWrite>& tensors, const Metadata& metadata = {});

}  // namespace engine
