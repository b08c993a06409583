// A ViT classifier on the encoder of a Masked Autoencoder: what fine-tuning, partial fine-tuning and the official
// linear probe train, and what `mae eval` runs. Every patch is seen, nothing is masked.
//
//   Pooling::mean   mean of the patch tokens behind the last block, without the encoder's final norm, then a fresh norm
//                   (fc_norm) and the linear layer (head): the official fine-tuning with global_pool
//   Pooling::cls    the class token behind the encoder's final norm (norm), then the linear layer
//   Head::probe     a batch norm without affine before the linear layer: the official linear probe (head.0, head.1)
//
// Parameter names are the official state-dict keys, declared in forward order.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "kernels/pool.h"
#include "mae/encoder.h"
#include "mae/load_weights.h"

namespace mae {

using kernels::Pooling;

enum class Head { linear, probe };
enum class Task { single, multi };  // one class of K; or K questions of yes or no

struct ClassifierConfig {
  Config encoder;                    // its decoder is not used
  std::vector<std::string> classes;  // K names
  Pooling pooling = Pooling::mean;
  Head head = Head::linear;
  Task task = Task::single;
  double eval_share = 0.875;  // evaluation resizes to 1 / share of the model's sides, then takes the centre: 224 of 256

  std::int64_t K() const { return static_cast<std::int64_t>(classes.size()); }
};

/// What is trained: everything; or the last `blocks` blocks, or of the last block the MLP and its norm (`half`: He et
/// al. 2022, section 4.3), and with them the norm behind the blocks and the head. No blocks: the head alone.
struct Tuned {
  bool everything = true;
  int blocks = 0;
  bool half = false;
};

/// Which values a fresh classifier begins with. tuned: blocks as in pretraining, a head of N(0, 2e-5), as the official
/// fine-tuning draws it; probe: a head of N(0, 0.01); scratch: of N(0, 0.02). Biases 0. With
/// Init::pytorch a linear head begins as torch.nn.Linear does, weight and bias U(+-1 / sqrt(dim)).
enum class HeadInit { tuned, probe, scratch };

/// Stochastic depth rates of the blocks: linspace(0, rate, depth) (timm).
std::vector<double> drop_path_rates(double rate, int depth);

class Classifier {
 public:
  /// `drop_path`: rate of the last block.
  Classifier(const ClassifierConfig& config, kernels::DType dtype, const Tuned& tuned = {}, double drop_path = 0,
             const Execution& execution = {});

  const ClassifierConfig& config() const { return config_; }
  const Encoder& encoder() const { return encoder_; }
  engine::Parameters& parameters() { return parameters_; }
  const engine::Parameters& parameters() const { return parameters_; }
  const std::vector<double>& drop_rates() const { return drop_rates_; }

  /// Allocates, and draws initial values: the same encoder that a Model draws from the seed.
  void initialize(kernels::Stream& stream, std::uint32_t seed, HeadInit init, engine::Purpose purpose);

  /// (B, dim): what the head sees, or a probe's batch norm before it. `every` and `keep` as below.
  Tensor features(Context& c, const Images& images, const Masking& every, const View& keep = {}) const;
  /// (B, K). `every`: EveryPatch. `keep` (B, 2 depth) i32, columns 2 i and 2 i + 1 for attention and MLP of block i;
  /// null in evaluation. What is frozen runs without the tape, and costs no backward.
  /// With a tape, a probe's batch norm takes the statistics of these images; without, the running ones.
  Tensor logits(Context& c, const Images& images, const Masking& every, const View& keep = {}) const;

  /// Behind an update: the running statistics become what the last micro-batch made of them, unless *finite is 0. (As
  /// in the official run, where those of one GPU's share of the batch are everybody's.)
  void commit_statistics(kernels::Stream& stream, const View& finite) const;
  /// What its checkpoints hold beside parameters: a probe's running statistics.
  engine::States states();

 private:
  void set_decay();
  void freeze(const Tuned& tuned);
  engine::BatchNormState batch_norm_state() const;
  engine::DropPath drop_of(std::size_t block, const View& keep) const;
  Tensor blocks(Context& c, Tensor x, const View& keep) const;

  ClassifierConfig config_;
  Tuned tuned_;
  std::vector<double> drop_rates_;
  engine::Parameters parameters_;
  Encoder encoder_;
  engine::LayerNorm norm_;  // fc_norm or norm
  engine::Linear head_;
  engine::Parameters statistics_;  // of a probe's batch norm; else empty
  engine::Parameter running_mean_{}, running_var_{};
  engine::Buffer next_;  // what they become: two rows of dim
};

/// Layer-wise learning-rate decay (BEiT, official fine-tuning): lr_scale of a segment = decay^(depth + 1 - id), where
/// id 0 are class token, positions and patch embedding, id i + 1 is block i, and what stands behind has id depth + 1.
void set_layer_decay(engine::Parameters& parameters, double decay, int depth);

/// Metadata of its checkpoints, and back. Throws kernels::Error naming the file and what is missing.
engine::Text classifier_metadata(const ClassifierConfig& config);
bool is_classifier(const engine::Checkpoint& checkpoint);
ClassifierConfig classifier_config_of(const engine::Checkpoint& checkpoint, const std::string& path);

/// Copies the encoder of a checkpoint of either kind, or of anybody's weights (mae/weights.h), into reserved parameters;
/// what has no place in the classifier (the decoder, with Pooling::mean the final norm, a head of its own) is left out,
/// and the head keeps its initial values. Positions of another image size are interpolated. Of a file that holds an
/// average of weights, the weights themselves are taken. Returns what became of the tensors. Throws
/// kernels::Error naming the file, and the key that it lacks or that has another shape; or where the encoder has another
/// depth or other heads.
LoadReport load_encoder(const std::string& path, kernels::Stream& stream, Classifier& classifier);

/// Room for an average of weights, under their names behind "ema.", in a buffer of the same layout.
std::unique_ptr<engine::Parameters> average_like(kernels::Stream& stream, const engine::Parameters& parameters);

/// A classifier for inference with the weights of a checkpoint, or of anybody's classifier; with their average, where a
/// checkpoint holds one.
std::unique_ptr<Classifier> load_classifier(kernels::Stream& stream, const std::string& path, kernels::DType compute);

}  // namespace mae
