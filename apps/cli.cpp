#include "apps/cli.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "apps/commands.h"
#include "apps/official_flags.h"
#include "apps/table.h"
#include "apps/version.h"
#include "kernels/core/build.h"
#include "kernels/core/stream.h"

namespace apps {
namespace {

constexpr Command own_commands[] = {
    {"data", "what is in a data set, what cannot be read, and how the model will see it", data},
    {"pack", "decode a data set once, into files that training reads without decoding", pack},
    {"pretrain", "pretrain a Masked Autoencoder on images", pretrain},
    {"reconstruct", "what a pretrained model makes of masked images, as a picture", reconstruct},
    {"attention", "what the tokens of an image look at, as a picture", attention},
    {"finetune", "train a classifier on a pretrained encoder, or from scratch", finetune},
    {"eval", "how often a fine-tuned classifier is right", eval},
    {"probe", "how good are the features? A linear classifier on the frozen encoder", probe},
    {"knn", "the same without fitting: a vote of the nearest training images", knn},
    {"embed", "the features of images, one vector each, as .npy or .safetensors", embed},
    {"plan", "parameters, FLOPs and peak memory of a training step, without running it", plan},
    {"devices", "devices of this machine, and the kernels and rows of this build", devices},
    {"convert", "weights of anybody, for anybody: official, timm, Hugging Face, mmpretrain", convert},
    {"report", "curves, pictures and figures of runs as one page to look at, or for TensorBoard", report},
    {"inspect", "what a checkpoint holds", inspect},
    {"bench", "what is fast: kernels, whole training steps, the loader", bench},
};

std::string help() {
  return "mae: pretrain, evaluate and explain Masked Autoencoders\n\nusage: mae COMMAND [options]\n\n" +
         listed(own_commands) +
         "\nmae COMMAND --help lists a command's options; mae --version says what this build is.\n\nexample\n" +
         "  mae plan --model mae_vit_base_patch16 --batch 256\n";
}

int dispatch(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  if (first == "--help" || first == "-h" || first == "help") {
    std::fputs(help().c_str(), stdout);
    return done;
  }
  if (first == "--version") {
    fmt::print("mae {} ({}, {})\n", version, commit, kernels::compiler);
    for (const kernels::Device& device : kernels::devices()) fmt::print("{}: {}\n", name_of(device.kind), device.name);
    return done;
  }
  if (first.empty()) throw UsageError("a command is missing", "mae", "mae --help lists the commands");
  const Command& command = command_named(own_commands, first, "mae");
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool trains = first == "pretrain" || first == "finetune" || first == "probe";
  Translation line = trains ? from_official(words) : Translation{words, {}};
  if (!line.ignored.empty())
    warn(kernels::Error("flags of the official code that have no meaning here",
                        fmt::format("{}", fmt::join(line.ignored, ", ")), "leave them out"));
  std::vector<char*> translated;
  for (std::string& word : line.words) translated.push_back(word.data());
  translated.push_back(nullptr);
  return command.run(static_cast<int>(line.words.size()), translated.data());
}

/// `kind`: "error" or "warning"
std::string text_of(const char* kind, const kernels::Error& error) {
  std::string text;
  const auto line = [&](const char* name, std::string part) {
    if (part.empty()) return;
    std::replace(part.begin(), part.end(), '\n', ' ');
    text += std::string(name) + ": " + printable(part) + "\n";
  };
  line(kind, error.fact());
  line("where", error.where());
  line("try", error.advice());
  return text;
}

}  // namespace

std::string listed(std::span<const Command> commands) {
  std::vector<std::vector<std::string>> rows;
  for (const Command& command : commands) rows.push_back({std::string("  ") + command.name, command.summary});
  return aligned(rows, "ll");
}

const Command& command_named(std::span<const Command> commands, const std::string& name, const std::string& door) {
  std::vector<std::string> names;
  for (const Command& command : commands) {
    if (name == command.name) return command;
    names.emplace_back(command.name);
  }
  const std::string near = nearest(name, names);
  throw UsageError("there is no such command", name,
                   near.empty() ? door + " --help lists the commands" : door + " " + near);
}

std::string error_text(const kernels::Error& error) { return text_of("error", error); }

void warn(const kernels::Error& error) { std::fputs(text_of("warning", error).c_str(), stderr); }

int guarded(const std::function<int()>& command) {
  const auto fail = [](const kernels::Error& error, Exit code) {
    std::fflush(stdout);
    std::fputs(error_text(error).c_str(), stderr);
    return code;
  };
  try {
    const int code = command();
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) throw kernels::Error("cannot write the output", "stdout");
    return code;
  } catch (const UsageError& error) {
    return fail(error, bad_usage);
  } catch (const kernels::Error& error) {
    return fail(error, bad_input);
  } catch (const std::bad_alloc&) {
    return fail(kernels::Error("out of memory", "", "a smaller --micro-batch"), bad_input);
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(kernels::Error(error.code().message(), error.path1().string(), "check its links and permissions"),
                bad_input);
  } catch (const std::exception& error) {
    return fail(kernels::Error(error.what()), bad_input);
  }
}

int run(int argc, char** argv) {
  return guarded([=] { return dispatch(argc, argv); });
}

}  // namespace apps
