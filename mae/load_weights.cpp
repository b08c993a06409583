#include "mae/load_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/init.h"
#include "kernels/core/check.h"
#include "mae/model_file.h"

namespace mae {
namespace {

std::vector<std::int64_t> sizes(const kernels::Shape& shape) {
  return {shape.dims.begin(), shape.dims.begin() + shape.rank};
}

std::string text(const std::vector<std::int64_t>& shape) { return fmt::format("({})", fmt::join(shape, ", ")); }

Grid grid_of(const Config& c) { return {c.rows(), c.columns()}; }

bool is_positions(const std::string& key) { return key == "pos_embed" || key == "decoder_pos_embed"; }

std::int64_t class_rows(const Config& c, const std::string& key) {
  return key == "pos_embed" && c.positions == Positions::learned ? 0 : 1;
}

}  // namespace

Interpolation interpolation_named(const std::string& name) {
  return name == "transformers" ? Interpolation::transformers : Interpolation::grid;
}

bool may_be_missing(const Weights& weights, const std::string& key) {
  return is_decoder_key(key) ? !weights.has_decoder() : key.starts_with("norm.") && weights.find("fc_norm.weight");
}

LoadPlan::LoadPlan(const Weights& weights, const engine::Parameters& parameters, const Config& config,
                   const LoadOptions& options)
    : weights_(weights), from_(config_of(weights.checkpoint(), weights.path())), to_(config), options_(options) {
  if (from_.patch < 1 || from_.image_height < 0 || from_.image_width < 0)
    throw kernels::Error("its config has no such sizes", weights.path());
  if (from_.image_height == 0) from_.image_height = to_.image_height, from_.image_width = to_.image_width;
  // what shapes do not tell: blocks that would be left out, or, where the file says it, another number of heads
  if (from_.depth != to_.depth || from_.qkv_bias != to_.qkv_bias || (weights.ours() && from_.heads != to_.heads))
    throw kernels::Error(fmt::format("its encoder has {} blocks of {} heads, the model's {} of {}; or only one of them "
                                     "has biases of q, k and v",
                                     from_.depth, from_.heads, to_.depth, to_.heads),
                         weights.path(), "the sizes that the file has");
  report_ = {.file = weights.path(), .description = weights.description(), .notes = weights.notes(), .fates = {}};
  std::vector<std::string> missing;
  for (const engine::Segment& segment : parameters.segments()) plan(segment, missing);
  if (!missing.empty()) refuse_missing(missing);
  add_ignored();
}

void LoadPlan::plan(const engine::Segment& segment, std::vector<std::string>& missing) {
  const WeightEntry* entry = weights_.find(segment.name);
  const bool left_out = options_.left_out && options_.left_out(segment.name);
  if (entry && !left_out) return fit(segment, *entry);
  if (options_.optional && options_.optional(segment.name))
    report_.fates.push_back({segment.name, Fate::initial, entry ? "the file's own is left out" : "not in the file"});
  else missing.push_back(segment.name);
}

void LoadPlan::fit(const engine::Segment& segment, const WeightEntry& entry) {
  const std::vector<std::int64_t> wanted = sizes(segment.shape);
  const auto add = [&](Fate fate, const std::string& note) { report_.fates.push_back({segment.name, fate, note}); };
  const std::vector<std::int64_t> stored{1, from_.patches() + class_rows(from_, segment.name), wanted.back()};
  if (is_positions(segment.name) && !(grid_of(from_) == grid_of(to_)) && entry.shape == stored &&
      wanted[1] == to_.patches() + class_rows(from_, segment.name))
    return add(Fate::adapted, fmt::format("interpolated from {} x {} patches to {} x {}", from_.rows(), from_.columns(),
                                          to_.rows(), to_.columns()));
  if (entry.shape == wanted) return add(Fate::loaded, "");
  if (options_.other_channels && segment.name == "patch_embed.proj.weight" && entry.shape.size() == 4 &&
      entry.shape[1] > 0 && std::vector{entry.shape[0], wanted[1], entry.shape[2], entry.shape[3]} == wanted) {
    if (options_.channels == ChannelRule::random)
      return add(Fate::initial, fmt::format("it is for {} channels, not {}", entry.shape[1], wanted[1]));
    return add(Fate::adapted, fmt::format("from {} channels to {}, {}", entry.shape[1], wanted[1],
                                          options_.channels == ChannelRule::mean ? "each their mean" : "repeated"));
  }
  if (options_.other_channels && segment.name.starts_with("decoder_pred.") && from_.channels != to_.channels)
    return add(Fate::initial, fmt::format("it predicts {} channels, not {}", from_.channels, to_.channels));
  throw kernels::Error(fmt::format("{} is {}, the model's is {}", segment.name, text(entry.shape), text(wanted)),
                       weights_.path(), "the sizes that `mae inspect` shows of the file");
}

void LoadPlan::refuse_missing(const std::vector<std::string>& missing) const {
  if (!weights_.has_decoder() && std::all_of(missing.begin(), missing.end(), is_decoder_key))
    throw kernels::Error("this file has an encoder and no decoder", weights_.path(),
                         "a file with both: of the released ones, mae_visualize_* or mae_pretrain_*_full");
  constexpr std::size_t shown = 8;
  const auto end = missing.begin() + static_cast<std::ptrdiff_t>(std::min(shown, missing.size()));
  const std::string names =
      fmt::format("{}{}", fmt::join(missing.begin(), end, ", "),
                  missing.size() > shown ? fmt::format(" and {} more", missing.size() - shown) : "");
  throw kernels::Error(fmt::format("the model needs what the file has not: {}", names), weights_.path(),
                       "the sizes that `mae inspect` shows of the file");
}

void LoadPlan::add_ignored() {
  std::set<std::string> used;
  for (const TensorFate& fate : report_.fates) {
    const WeightEntry* entry = weights_.find(fate.name);
    if (!entry) continue;
    for (const engine::StoredTensor* part : entry->parts) used.insert(part->name);
  }
  for (const engine::StoredTensor& tensor : weights_.file().tensors())
    if (!used.contains(tensor.name)) report_.fates.push_back({tensor.name, Fate::ignored, "no place in this model"});
}

std::int64_t LoadReport::count(Fate fate) const {
  return std::count_if(fates.begin(), fates.end(), [&](const TensorFate& f) { return f.fate == fate; });
}

std::vector<double> LoadPlan::positions_of(const WeightEntry& entry) const {
  Grid from = grid_of(from_), to = grid_of(to_);
  if (options_.interpolation == Interpolation::transformers && is_decoder_key(entry.key))
    from = {1, from.patches()}, to = {1, to.patches()};
  return interpolate_positions(weights_.values(entry), class_rows(from_, entry.key), from, to);
}

std::vector<double> LoadPlan::values(const std::string& key) const {
  const WeightEntry& entry = *weights_.find(key);
  const auto& fates = report_.fates;
  const auto fate = std::find_if(fates.begin(), fates.end(), [&](const TensorFate& f) { return f.name == key; });
  if (fate->fate == Fate::loaded) return weights_.values(entry);
  if (is_positions(key)) return positions_of(entry);
  return adapt_channels(weights_.values(entry), entry.shape[0], entry.shape[1], to_.channels, options_.channels);
}

void LoadPlan::load(kernels::Stream& stream, engine::Parameters& parameters) const {
  if (weights_.ours()) engine::verify_checkpoint(weights_.path());
  for (const TensorFate& fate : report_.fates)
    if (fate.fate == Fate::loaded || fate.fate == Fate::adapted)
      assign(stream, parameters.at(fate.name), values(fate.name));
  parameters.refresh_compute(stream);
}

namespace {

/// "\n  ignored: a, b and 7 more"; nothing where no tensor has that fate.
std::string line_of(const LoadReport& report, Fate fate, const char* name) {
  constexpr std::int64_t shown = 6;
  std::string text;
  std::int64_t n = 0;
  for (const TensorFate& f : report.fates) {
    if (f.fate != fate || ++n > shown) continue;
    text += (n == 1 ? fmt::format("\n  {}: ", name) : ", ") + f.name;
  }
  return n > shown ? text + fmt::format(" and {} more", n - shown) : text;
}

}  // namespace

std::string text_of(const LoadReport& report) {
  if (report.fates.empty()) return {};
  std::string text = fmt::format("{}: {}\n{} tensors loaded, {} adapted, {} with initial values, {} ignored",
                                 report.file, report.description, report.count(Fate::loaded),
                                 report.count(Fate::adapted), report.count(Fate::initial), report.count(Fate::ignored));
  for (const TensorFate& f : report.fates)
    if (f.fate == Fate::adapted) text += fmt::format("\n  {}: {}", f.name, f.note);
  text += line_of(report, Fate::initial, "with initial values") + line_of(report, Fate::ignored, "ignored");
  for (const std::string& note : report.notes) text += "\n  note: " + note;
  return text;
}

}  // namespace mae
