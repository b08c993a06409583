#include "mae/finetuning_columns.h"

#include <cstring>

#include "kernels/core/check.h"
#include "kernels/mix_images.h"

namespace mae {
namespace {

using kernels::DType;
using kernels::Purpose;

/// The rows of a column, written one by one.
template <class T>
class ColumnWriter {
 public:
  ColumnWriter(std::size_t rows, std::size_t width) : bytes_(rows * width * sizeof(T)), width_(width) {}
  T* row(std::size_t i) { return reinterpret_cast<T*>(bytes_.data()) + i * width_; }
  Column take() { return std::move(bytes_); }

 private:
  Column bytes_;
  std::size_t width_;
};

/// Partners must lie in one slice of a batch.
void check_groups(const Batch& slice, std::int64_t group) {
  const auto count = static_cast<std::int64_t>(slice.labels.size());
  if (slice.first % group == 0 && count % group == 0) return;
  throw kernels::Error("a slice of " + std::to_string(count) + " samples from sample " + std::to_string(slice.first) +
                           " on cuts a mixing group of " + std::to_string(group),
                       "fine-tuning", "slices of whole groups");
}

}  // namespace

std::vector<ColumnShape> column_shapes(const FinetuningOptions& options) {
  const ClassifierConfig& c = options.classifier;
  std::vector<ColumnShape> shapes(4);
  shapes[answers] = {DType::i32, c.task == Task::single ? 2 : c.K()};
  shapes[lambda] = {DType::f64, 1};
  shapes[boxes] = {DType::i32, kernels::mix_box_fields};
  shapes[keep] = {DType::i32, 2 * std::int64_t{c.encoder.depth}};
  return shapes;
}

std::vector<Column> column_values(const FinetuningOptions& options, const std::vector<double>& drop_rates,
                                  std::uint32_t seed, const Batch& batch) {
  const Config& config = options.classifier.encoder;
  const std::size_t B = batch.labels.size(), K = options.classifier.classes.size();
  const auto depth = static_cast<std::size_t>(config.depth);
  const auto group = static_cast<std::size_t>(options.mix.on() ? options.mix_group : 1);
  const bool single = options.classifier.task == Task::single;
  check_groups(batch, static_cast<std::int64_t>(group));
  ColumnWriter<std::int32_t> answer(B, single ? 2 : K), box(B, kernels::mix_box_fields), kept(B, 2 * depth);
  ColumnWriter<double> share(B, 1);
  Mix mix;
  for (std::size_t b = 0; b < B; ++b) {
    const DrawOf draw{.seed = seed, .sample = batch.draws[2 * b], .epoch = batch.draws[2 * b + 1]};
    const std::size_t in_batch = static_cast<std::size_t>(batch.first) + b;  // a batch may be a slice of the global one
    if (options.mix.on() && in_batch % group == 0)
      mix = draw_mix(options.mix, seed, static_cast<std::uint32_t>(batch.step),
                     static_cast<std::uint32_t>(in_batch / group), config.image_height, config.image_width);
    const auto partner =
        static_cast<std::size_t>(kernels::mix_partner(static_cast<std::int64_t>(b), static_cast<std::int64_t>(group)));
    *share.row(b) = mix.lambda;
    if (single) answer.row(b)[0] = batch.labels[b], answer.row(b)[1] = batch.labels[partner];
    else
      for (std::size_t k = 0; k < K; ++k) answer.row(b)[k] = options.targets[batch.samples[b] * K + k];
    const EraseBox erase = options.erase.probability > 0
                               ? random_erase(config.image_height, config.image_width, options.erase, draw)
                               : EraseBox{};
    const kernels::MixBoxes both{
        .erase = {.top = erase.top, .left = erase.left, .height = erase.height, .width = erase.width},
        .cut = {.top = mix.top, .left = mix.left, .height = mix.height, .width = mix.width}};
    std::memcpy(box.row(b), &both, sizeof both);
    for (std::uint32_t i = 0; i < 2 * depth; ++i) {
      const std::uint32_t word = words(draw, Purpose::drop_path, i / 4).w[i % 4];
      kept.row(b)[i] = kernels::uniform(word) >= drop_rates[i / 2];
    }
  }
  std::vector<Column> all(4);
  all[answers] = answer.take();
  all[lambda] = share.take();
  all[boxes] = box.take();
  all[keep] = kept.take();
  return all;
}

}  // namespace mae
