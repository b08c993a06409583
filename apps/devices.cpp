#include <fmt/format.h>

#include <cstdio>

#include "apps/cli.h"
#include "apps/commands.h"
#include "apps/kernel_list.h"
#include "apps/options.h"
#include "apps/table.h"
#include "engine/json.h"
#include "kernels/core/build.h"
#include "kernels/core/device.h"

namespace apps {
namespace {

using engine::Json;

struct Library {
  const char* name;
  bool present;
  const char* lost;  // without it
};

constexpr Library libraries[] = {
    {"OpenMP", kernels::with_openmp, "CPU kernels run on one thread"},
    {"OpenBLAS", kernels::with_openblas, "products in f64 run in the CPU's reference row; those in f32 are ours"},
    {"libjpeg-turbo", kernels::with_jpeg, "JPEG images are refused"},
    {"libtiff", kernels::with_tiff, "TIFF images are refused"},
    {"libarchive", kernels::with_libarchive, "tar shards are refused"},
    {"libzip", kernels::with_libzip, "PyTorch's .pth files are refused"},
    {"CUDA", kernels::with_cuda, "no CUDA device can be used"},
    {"cuDNN", kernels::with_cudnn, "attention has no row cudnn; CMake says which part of it was not found"},
    {"simt", kernels::with_simt, "CUDA kernels cannot be run without a GPU"},
};

std::string joined(const std::vector<std::string>& names) {
  return names.empty() ? "-" : fmt::format("{}", fmt::join(names, ", "));
}

std::string id_of(const kernels::Device& device) {
  return device.kind == kernels::DeviceKind::cuda ? fmt::format("cuda:{}", device.index) : name_of(device.kind);
}

std::string device_table() {
  std::vector<std::vector<std::string>> rows{{"device", "name", "memory", "parallel", "capability"}};
  for (const kernels::Device& device : kernels::devices()) {
    const bool gpu = device.kind == kernels::DeviceKind::cuda;
    rows.push_back(
        {id_of(device), device.kind == kernels::DeviceKind::simt ? "CUDA kernels on the CPU, checked" : device.name,
         bytes_text(static_cast<double>(device.memory)),
         fmt::format("{} {}{}", device.multiprocessors, gpu ? "SM" : "thread", device.multiprocessors == 1 ? "" : "s"),
         gpu ? fmt::format("{}.{}", device.capability / 10, device.capability % 10) : "-"});
  }
  std::string text = aligned(rows, "llrrr");
  const std::string why = kernels::why_no_cuda();
  return why.empty() ? text : text + "no CUDA device: " + why + "\n";
}

void print_text() {
  std::vector<std::vector<std::string>> built{{"library", "built in", "lost without it"}},
      rows{{"kernel", "cpu rows, best first", "cuda rows", "simt rows"}};
  for (const Library& library : libraries)
    built.push_back({library.name, library.present ? "yes" : "no", library.present ? "" : library.lost});
  for (const KernelRows& entry : kernel_list())
    rows.push_back({entry.kernel, joined(entry.cpu), joined(entry.cuda), joined(entry.simt)});
  fmt::print("{}\n{}\n{}", device_table(), aligned(built, "lll"), aligned(rows, "llll"));
}

void print_json() {
  Json found = Json::array(), libraries_json = Json::object({}), rows = Json::array();
  for (const kernels::Device& device : kernels::devices()) {
    found.add({}, Json::object({{"device", id_of(device)},
                                {"name", device.name},
                                {"memory", device.memory},
                                {"multiprocessors", device.multiprocessors},
                                {"capability", device.capability}}));
  }
  for (const Library& library : libraries) libraries_json.add(library.name, library.present);
  for (const KernelRows& entry : kernel_list())
    rows.add({},
             Json::object({{"kernel", entry.kernel}, {"cpu", entry.cpu}, {"cuda", entry.cuda}, {"simt", entry.simt}}));
  const Json all = Json::object(
      {{"devices", found}, {"why_no_cuda", kernels::why_no_cuda()}, {"libraries", libraries_json}, {"kernels", rows}});
  std::puts(engine::to_text(all).c_str());
}

}  // namespace

int devices(int argc, char** argv) {
  bool json = false;
  OptionTable options("devices", "devices of this machine, and the kernels and rows of this build",
                      "mae devices --json");
  options.add("json", json, "one line of JSON instead of tables");
  if (!options.parse(argc, argv)) return done;
  json ? print_json() : print_text();
  return done;
}

}  // namespace apps
