// Weights of a file into the parameters of a model: which tensor goes where, what is made to fit, what stays as it was.
//
// A plan is made from names and shapes alone and refuses what cannot be, before a model asks for memory.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/parameters.h"
#include "mae/interpolate.h"
#include "mae/weights.h"

namespace mae {

enum class Fate { loaded, adapted, initial, ignored };

struct TensorFate {
  std::string name;  // official key; of an ignored tensor, the file's name
  Fate fate;
  std::string note;  // how it was adapted, or why it was not loaded
};

/// How positions of another image size come about. transformers: as its ViTMAE does it with interpolate_pos_encoding,
/// whose decoder interpolates along the sequence of patches, as if they stood in one row.
enum class Interpolation { grid, transformers };
Interpolation interpolation_named(const std::string& name);  // "grid", "transformers"

struct LoadOptions {
  Interpolation interpolation = Interpolation::grid;
  ChannelRule channels = ChannelRule::mean;
  bool other_channels = false;  // whether images may have another number of channels than the weights
  /// Keys that may be missing and then keep their initial values; null: none.
  std::function<bool(const std::string&)> optional = {};
  /// Keys that are not taken although the file has them; null: none.
  std::function<bool(const std::string&)> left_out = {};
};

/// What becomes of every parameter, in order, then of what else the file holds.
struct LoadReport {
  std::string file, description;   // Weights::description
  std::vector<std::string> notes;  // Weights::notes
  std::vector<TensorFate> fates;

  std::int64_t count(Fate fate) const;
};

/// For people: a line on the file, one on the counts, one for each tensor that was adapted, and some names of those
/// that were not loaded; "" of an empty report.
std::string text_of(const LoadReport& report);

/// What a model may do without, of files that have no such part: a decoder; the encoder's norm, of a classifier that
/// pools the patches before a norm of its own.
bool may_be_missing(const Weights& weights, const std::string& key);

class LoadPlan {
 public:
  /// `config`: of the model that has the parameters; the weights' own is in their metadata. Throws kernels::Error
  /// naming the file and the tensors that are missing, or that have another shape.
  LoadPlan(const Weights& weights, const engine::Parameters& parameters, const Config& config,
           const LoadOptions& options = {});

  const LoadReport& report() const { return report_; }

  /// Verifies a checkpoint of ours, and reads the values into reserved parameters, which may be of another type.
  void load(kernels::Stream& stream, engine::Parameters& parameters) const;
  /// The values of one key as the model has them: what load() writes.
  std::vector<double> values(const std::string& key) const;

 private:
  void plan(const engine::Segment& segment, std::vector<std::string>& missing);
  void fit(const engine::Segment& segment, const WeightEntry& entry);
  void refuse_missing(const std::vector<std::string>& missing) const;
  void add_ignored();
  std::vector<double> positions_of(const WeightEntry& entry) const;

  const Weights& weights_;
  Config from_, to_;
  LoadOptions options_;
  LoadReport report_;
};

}  // namespace mae
