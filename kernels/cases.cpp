#include <charconv>
#include <sstream>

#include "kernels/cases/case.h"

namespace kernels {

Dims::Dims(const std::string& text) : text_(text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    const std::size_t equals = word.find('=');
    std::int64_t size = 0;
    const char *begin = word.data() + (equals == std::string::npos ? word.size() : equals + 1),
               *end = word.data() + word.size();
    const auto parsed = std::from_chars(begin, end, size);
    if (equals == 0 || parsed.ec != std::errc() || parsed.ptr != end || size <= 0) {
      throw Error("\"" + word + "\" is not NAME=SIZE", "shape \"" + text + "\"",
                  "write it like \"B=64 T=197 H=12 D=64\"");
    }
    sizes_[word.substr(0, equals)] = size;
  }
}

std::int64_t Dims::operator[](const std::string& name) const {
  const auto found = sizes_.find(name);
  if (found == sizes_.end())
    throw Error("the size " + name + " is missing", "shape \"" + text_ + "\"", "add " + name + "=...");
  return found->second;
}

std::int64_t Dims::get(const std::string& name, std::int64_t otherwise) const {
  const auto found = sizes_.find(name);
  return found == sizes_.end() ? otherwise : found->second;
}

}  // namespace kernels
