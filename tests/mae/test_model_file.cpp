#include "mae/model_file.h"

#include "engine/files.h"
#include "tests/support/catch.h"
#include "tests/support/checkpoint_v1.h"
#include "tests/support/temp_dir.h"

using namespace mae;

TEST_CASE("a model is made from a checkpoint of format version 1") {
  kernels::Stream stream(kernels::devices().front());
  const auto model = load_model(stream, test::checkpoint_v1, kernels::DType::f32);
  const Config& config = model->config();
  CHECK(config.preset == "mae_vit_tiny_patch16");
  CHECK((config.image_height == 4 && config.image_width == 8 && config.channels == 1 && config.patch == 4));
  CHECK((config.dim == 4 && config.depth == 1 && config.decoder_dim == 4 && config.decoder_depth == 1));
  CHECK((config.mean == std::vector<double>{0.5} && config.std == std::vector<double>{0.25}));
  CHECK((config.mask_ratio == 0.5 && config.mlp_ratio == 1));
  const engine::Parameters& parameters = model->parameters();
  CHECK(parameters.count() == 228 + 260);
  for (const engine::Segment& segment : parameters.segments()) {
    INFO(segment.name);
    const float* values = static_cast<const float*>(parameters.master().data) + segment.offset;
    for (std::int64_t i = 0; i < segment.shape.count(); ++i)
      CHECK(values[i] == test::checkpoint_v1_value(segment.name, static_cast<std::size_t>(i)));
  }
}

TEST_CASE("a checkpoint that says it is of a large model is refused before memory is asked for") {
  const support::TempDir folder;
  std::string bytes = engine::read_file(test::checkpoint_v1);
  const std::string dim = R"("config.dim":"4")", large = R"("config.dim":"65536")";
  bytes.replace(bytes.find(dim), dim.size(), large);
  bytes.erase(bytes.find("}}    ") + 2, large.size() - dim.size());  // spaces at the end of the header
  engine::write_atomically(folder / "large", [&](engine::FileWriter& file) { file.write(bytes); });
  kernels::Stream stream(kernels::devices().front());
  CHECK_THROWS_WITH(load_model(stream, folder / "large", kernels::DType::f32),
                    ContainsSubstring("cls_token is (1, 1, 4), the model's is (1, 1, 65536)"));
}
