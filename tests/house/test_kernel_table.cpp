// docs/kernel-table.md, which script/kernel_table writes, knows every kernel there is, and no other.
#include <cctype>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "tests/support/catch.h"

namespace {

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

/// The word that ends before `end`.
std::string word_before(const std::string& text, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && (std::isalnum(static_cast<unsigned char>(text[begin - 1])) || text[begin - 1] == '_')) --begin;
  return text.substr(begin, end - begin);
}

/// "layernorm.cu forward_kernel" for every __global__ function: the name is the first one before a bracket that ends in
/// _kernel.
void collect_definitions(const std::string& file, const std::string& text, std::set<std::string>& into) {
  for (std::size_t at = text.find("__global__ void"); at != std::string::npos;
       at = text.find("__global__ void", at + 1))
    into.insert(file + " " + word_before(text, text.find("_kernel(", at) + 7));
}

}  // namespace

TEST_CASE("the table of registers lists the kernels of the sources") {
  const std::filesystem::path root = MAE_SOURCE_DIR;
  std::set<std::string> in_sources, in_table;
  for (const auto& entry : std::filesystem::directory_iterator(root / "kernels/cuda")) {
    if (entry.path().extension() == ".cu")
      collect_definitions(entry.path().filename().string(), read(entry.path()), in_sources);
  }
  std::istringstream table(read(root / "docs/kernel-table.md"));
  for (std::string line; std::getline(table, line);) {
    const std::size_t file_end = line.find(".cu | `");
    if (file_end != std::string::npos)
      in_table.insert(word_before(line, file_end) + ".cu " + word_before(line, line.find("_kernel", file_end) + 7));
  }
  CHECK(in_sources.size() > 20);
  INFO("script/kernel_table writes it anew");
  CHECK(in_table == in_sources);
}
