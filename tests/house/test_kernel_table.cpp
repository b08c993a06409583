// docs/kernel-table.md, which script/kernel_table writes, knows every kernel there is, and no other.
#include <cctype>
#include <cstdint>
#include <cstdio>
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

/// FNV-1a of the sources, without white space.
std::string checksum(const std::set<std::filesystem::path>& sources) {
  std::uint64_t value = 14695981039346656037u;
  for (const auto& path : sources) {
    for (const char c : read(path)) {
      if (c != ' ' && c != '\n') value = (value ^ static_cast<unsigned char>(c)) * 1099511628211u;
    }
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

}  // namespace

TEST_CASE("the table of registers lists the kernels of the sources") {
  const std::filesystem::path root = MAE_SOURCE_DIR;
  std::set<std::string> in_sources, in_headers, in_table, from_headers;
  std::set<std::filesystem::path> sources;
  for (const auto& entry : std::filesystem::directory_iterator(root / "kernels/cuda")) {
    if (entry.path().extension() == ".cu" || entry.path().extension() == ".cuh") sources.insert(entry.path());
    if (entry.path().extension() == ".cu")
      collect_definitions(entry.path().filename().string(), read(entry.path()), in_sources);
    if (entry.path().extension() == ".cuh") collect_definitions("a header's", read(entry.path()), in_headers);
  }
  const std::string page = read(root / "docs/kernel-table.md");
  std::istringstream table(page);
  for (std::string line; std::getline(table, line);) {
    const std::size_t file_end = line.find(".cu | `");
    if (file_end == std::string::npos) continue;
    const std::string kernel = word_before(line, line.find("_kernel", file_end) + 7);
    const std::string here = word_before(line, file_end) + ".cu " + kernel, header = "a header's " + kernel;
    if (!in_sources.contains(here) && in_headers.contains(header)) from_headers.insert(header);
    else in_table.insert(here);
  }
  CHECK(in_sources.size() > 20);
  INFO("script/kernel_table writes it anew");
  CHECK(in_table == in_sources);
  CHECK(from_headers == in_headers);
  CHECK_THAT(page, ContainsSubstring("Checksum of the sources: " + checksum(sources)));
}
