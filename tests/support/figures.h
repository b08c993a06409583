// Figures that a test measured, for whoever asks by MAE_FIGURES=FILE: one `"name": value` a line, as script/gpu puts them
// into its JSON.
#pragma once

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

namespace test {

inline void figure(const std::string& name, double value) {
  if (const char* path = std::getenv("MAE_FIGURES")) {
    std::ofstream file(path, std::ios::app);
    file.precision(9);
    file << '"' << name << "\": ";
    if (std::isfinite(value)) file << value << '\n';
    else file << "null\n";  // JSON has no NaN
  }
}

}  // namespace test
