#include "kernels/core/launch.h"

namespace kernels {

std::string describe(const char* kernel, const std::vector<Field>& fields) {
  std::string text = std::string(kernel) + " (";
  for (std::size_t i = 0; i < fields.size(); ++i) {
    text += (i ? ", " : "") + std::string(fields[i].name) + " " + to_string(fields[i].view);
  }
  return text + ")";
}

}  // namespace kernels
