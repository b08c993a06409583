#include "mae/convert.h"

#include <fmt/format.h>

#include <filesystem>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/model_options.h"
#include "apps/table.h"
#include "kernels/core/check.h"
#include "mae/model_file.h"

namespace apps {
namespace {

struct ConvertOptions {
  std::string in, out, format = "official", interpolation = "grid";
  mae::Config config;
};

mae::WeightFormat format_named(const std::string& name) {
  if (name == "hf") return mae::WeightFormat::transformers;
  return name == "timm" ? mae::WeightFormat::timm : mae::WeightFormat::official;
}

void check_name(const ConvertOptions& o) {
  const std::string extension = std::filesystem::path(o.out).extension().string();
  const bool file = extension == ".safetensors" || extension == ".pth" || extension == ".pt" || extension == ".bin";
  if (o.format == "hf" && file)
    throw UsageError("for transformers a folder is written, and this is the name of a file", "OUT",
                     "a name such as vit-mae");
  if (o.format != "hf" && !file)
    throw UsageError("the name says neither safetensors nor PyTorch", "OUT",
                     "a name that ends in .safetensors or .pth");
}

}  // namespace

int convert(int argc, char** argv) {
  ConvertOptions o;
  OptionTable table("convert", "weights of anybody, for anybody: official, timm, Hugging Face, mmpretrain",
                    "mae convert mae_visualize_vit_base.pth vit-mae-base --format hf");
  table.add("in", o.in, "a .safetensors or .pth file, or a folder of Hugging Face's hub").positional().must_be_given();
  table.add("out", o.out, "a .safetensors or .pth file; for hf, a folder").positional().must_be_given();
  table.on_key("in", [&o] {
    const mae::Weights weights(o.in);
    o.config = mae::config_of(weights.checkpoint(), o.in);
  });
  table
      .add("format", o.format,
           "official: as He et al.'s code names it, which is also what mae reads best; hf: for transformers; timm: the "
           "encoder, or a classifier")
      .one_of({"official", "hf", "timm"});
  add_interpolation_option(table, o.interpolation);
  add_stated_options(table, o.config);
  if (!table.parse(argc, argv)) return done;
  check_name(o);
  mae::require_known(o.config, o.in);
  const mae::LoadReport report = mae::convert(mae::Weights(o.in), o.config, format_named(o.format), o.out,
                                              mae::interpolation_named(o.interpolation));
  fmt::print("{}\n{}: {} tensors, {}\n", text_of(report), printable(o.out),
             report.count(mae::Fate::loaded) + report.count(mae::Fate::adapted), o.format);
  return done;
}

}  // namespace apps
