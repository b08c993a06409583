// The rules of the house that a compiler does not know, checked line by line over kernels/, engine/, mae/ and apps/:
// includes never point back, CUDA stays in kernels/cuda, slow headers are included once.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/catch.h"

namespace {

using Files = std::map<std::string, std::string>;  // path from the root -> content

constexpr std::array<const char*, 4> layers{"kernels", "engine", "mae", "apps"};  // each may include what stands left

/// Place of a path's first folder in `layers`; -1 for any other.
int layer_of(const std::string& path) {
  const auto found = std::find(layers.begin(), layers.end(), path.substr(0, path.find('/')));
  return path.find('/') == std::string::npos || found == layers.end() ? -1 : static_cast<int>(found - layers.begin());
}

std::string folder_of(const std::string& path) { return path.substr(0, path.find_last_of('/') + 1); }
std::string name_of(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }
bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// The line up to a // that is not inside a string.
std::string without_comment(const std::string& line) {
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\') {
      ++i;
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && line.compare(i, 2, "//") == 0) {
      return line.substr(0, i);
    }
  }
  return line;
}

bool starts_with_any(const std::string& text, std::initializer_list<const char*> beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&](const char* b) { return text.rfind(b, 0) == 0; });
}

bool is_cuda_header(const std::string& header) {
  return ends_with(header, ".cuh") ||
         starts_with_any(header, {"cuda/", "cub/", "thrust/", "cute/", "cutlass/", "nvtx3/"}) ||
         starts_with_any(name_of(header), {"cuda", "cublas", "cudnn", "nccl", "cusparse", "curand", "cufft",
                                           "cooperative_groups", "mma.h", "nvtx", "nvToolsExt"});
}

struct Include {
  std::string header;
  bool quoted;
};

/// What `#include "a"` or `# include <a>` names; nothing for any other line.
std::optional<Include> include_of(const std::string& line) {
  std::istringstream in(line);
  char c = 0;
  std::string word;
  if (!(in >> c) || c != '#' || !(in >> std::ws) || !std::getline(in, word, 'e')) return std::nullopt;
  if (word != "includ" || !(in >> c) || (c != '"' && c != '<')) return std::nullopt;
  std::string header;
  std::getline(in, header, c == '"' ? '"' : '>');
  return Include{header, c == '"'};
}

/// The library that one .cpp alone may include; empty for all other headers. stb counts by header.
std::string slow_library(const std::string& header) {
  for (const char* library : {"nlohmann", "CLI", "toml++"}) {
    if (header.rfind(std::string(library) + "/", 0) == 0) return library;
  }
  if (header == "zip.h") return "libzip";  // engine/zip.h is ours
  return name_of(header).rfind("stb_", 0) == 0 ? name_of(header) : "";
}

std::string include_fault(const std::string& path, const std::string& header, bool quoted) {
  const int from = layer_of(path), to = layer_of(header);
  const std::string top = header.substr(0, header.find('/'));
  if (top == "tests" || top == "bench") return "nobody includes tests or bench";
  if (to > from) return std::string("the arrow points back: ") + layers[static_cast<std::size_t>(from)] + " -> " + top;
  if (quoted && to < 0) return "includes of ours are rooted at the repository";
  const bool room = folder_of(path) == "kernels/cuda/" && !ends_with(path, ".h");  // .h: for files without CUDA
  if (!room && is_cuda_header(header)) return "CUDA headers stay in kernels/cuda, and out of its .h";
  if (!slow_library(header).empty() && !ends_with(path, ".cpp")) return "slow headers hide behind a header of ours";
  return "";
}

std::string code_fault(const std::string& path, const std::string& code) {
  if (path == "kernels/cuda/nvcc.cuh" || path == "kernels/cuda/nvcc_sm90.cuh") return "";  // the words themselves
  if (code.find("<<<") != std::string::npos || code.find("cudaLaunchKernel") != std::string::npos)
    return "kernels start through run_kernel of kernels/cuda/nvcc.cuh";
  if (code.find("__shared__") != std::string::npos) return "shared memory comes from shared() of kernels/cuda/nvcc.cuh";
  if (folder_of(path) == "kernels/cuda/" &&
      (code.find("asm volatile") != std::string::npos || code.find("asm(") != std::string::npos))
    return "PTX stands in kernels/cuda/nvcc*.cuh, beside its twin for the host in kernels/simt/words*.h";
  return "";
}

/// Every breach as "path:line: why".
std::vector<std::string> breaches(const Files& files) {
  std::vector<std::string> found;
  std::map<std::string, std::set<std::string>> users;  // slow library -> the files that include it
  for (const auto& [path, content] : files) {
    std::istringstream lines(content);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      const std::string code = without_comment(line);
      std::string fault = code_fault(path, code);
      if (const auto include = include_of(line)) {
        fault = include_fault(path, include->header, include->quoted);
        if (const std::string library = slow_library(include->header); !library.empty()) users[library].insert(path);
      }
      if (!fault.empty()) found.push_back(path + ":" + std::to_string(number) + ": " + fault);
    }
  }
  for (const auto& [library, paths] : users) {
    if (paths.size() < 2) continue;
    std::string all;
    for (const std::string& path : paths) all += " " + path;
    found.push_back(library + ": included by more than one file:" + all);
  }
  return found;
}

std::vector<std::string> breaches(const std::string& path, const std::string& content) {
  return breaches(Files{{path, content}});
}

Files sources() {
  namespace fs = std::filesystem;
  const fs::path root = MAE_SOURCE_DIR;
  const std::set<std::string> kinds{".h", ".cpp", ".cu", ".cuh"};
  Files files;
  for (const char* layer : layers) {
    if (!fs::exists(root / layer)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / layer)) {
      if (!entry.is_regular_file() || kinds.count(entry.path().extension().string()) == 0) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      std::ostringstream content;
      content << in.rdbuf();
      files[fs::relative(entry.path(), root).generic_string()] = content.str();
    }
  }
  return files;
}

}  // namespace

TEST_CASE("the sources keep the rules") {
  const Files files = sources();
  for (const char* known : {"kernels/core/launch.h", "kernels/cuda/layernorm.cu", "engine/tape.h", "mae/model.h"}) {
    INFO(known);
    CHECK(files.count(known) == 1);
  }
  for (const std::string& breach : breaches(files)) FAIL_CHECK(breach);
}

TEST_CASE("an include that points back is seen") {
  CHECK(breaches("kernels/a.cpp", "#include \"engine/tape.h\"\n") ==
        std::vector<std::string>{"kernels/a.cpp:1: the arrow points back: kernels -> engine"});
  CHECK(breaches("engine/a.h", "\n#include \"mae/model.h\"\n").at(0).find("engine/a.h:2:") == 0);
  CHECK(breaches("mae/a.cpp", "#  include <apps/chart.h>  // why\n").size() == 1);
  CHECK(breaches("kernels/cpu/a.cpp", "#include \"tests/support/battery.h\"\n").size() == 1);
  CHECK(breaches("apps/a.cpp", "#include \"bench/harness.h\"\n").size() == 1);
  CHECK(breaches("engine/a.cpp", "#include \"tape.h\"\n").size() == 1);
  CHECK(breaches("apps/a.cpp", "#include \"kernels/layernorm.h\"\n#include \"mae/model.h\"\n#include <map>\n").empty());
  CHECK(breaches("engine/a.cpp", "// #include \"mae/model.h\"\n").empty());
}

TEST_CASE("CUDA outside its room is seen") {
  for (const char* header : {"cuda_runtime.h", "cuda.h", "cublasLt.h", "cudnn.h", "nccl.h", "cub/cub.cuh"}) {
    INFO(header);
    const std::string line = std::string("#include <") + header + ">\n";
    CHECK(breaches("engine/a.cpp", line).size() == 1);
    CHECK(breaches("kernels/cuda/runtime.h", line).size() == 1);  // others include that header
    CHECK(breaches("kernels/cuda/a.cu", line).empty());
  }
  CHECK(breaches("kernels/a.cpp", "#include \"kernels/cuda/nvcc.cuh\"\n").size() == 1);
  CHECK(breaches("kernels/core/device.cpp", "#include \"kernels/cuda/runtime.h\"\n").empty());
  CHECK(breaches("kernels/cuda/a.cu", "  kernel<<<1, 32>>>(p);\n").size() == 1);
  CHECK(breaches("kernels/cuda/a.cu", "  cudaLaunchKernelEx(&launch, kernel, p);\n").size() == 1);
  CHECK(breaches("kernels/cuda/a.cu", "  print(\"http://x\"); kernel<<<1, 32>>>(p);\n").size() == 1);
  CHECK(breaches("kernels/cuda/a.cu", "  __shared__ float x[4];\n").size() == 1);
  CHECK(breaches("kernels/cuda/a.cu", "  asm volatile(\"bar.sync 0;\");\n").size() == 1);
  CHECK(breaches("kernels/cuda/a.cu", "  // never a bare __shared__, never <<<>>>\n").empty());
  CHECK(breaches("kernels/cuda/nvcc.cuh", "  kernel<<<1, 32>>>(p);\n  __shared__ float x[4];\n").empty());
}

TEST_CASE("a slow header in two files, or in a header, is seen") {
  const std::string json = "#include <nlohmann/json.hpp>\n";
  CHECK(breaches(Files{{"engine/a.cpp", json}, {"apps/b.cpp", "#include <nlohmann/json_fwd.hpp>\n"}}).size() == 1);
  CHECK(!breaches(Files{{"apps/a.cpp", "#include <stb/stb_image.h>\n"}, {"mae/b.cpp", "#include <stb_image.h>\n"}})
             .empty());
  CHECK(breaches("apps/a.h", "#include <CLI/CLI.hpp>\n").size() == 1);
  CHECK(breaches("apps/a.h", "#include <toml++/toml.h>\n").size() == 1);
  CHECK(breaches("engine/a.h", "#include <zip.h>\n").size() == 1);
  CHECK(breaches(Files{{"engine/a.cpp", "#include <zip.h>\n"}, {"engine/b.cpp", "#include \"engine/zip.h\"\n"}}).empty());
  CHECK(breaches(Files{{"engine/a.cpp", json + json}, {"apps/b.cpp", "#include <toml++/toml.h>\n"}}).empty());
}
