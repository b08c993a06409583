// What clocks a GPU runs at.
#pragma once

#include "bench/work.h"

namespace bench {

/// "SM 1980 MHz, memory 2619 MHz, 34 C, 118 W", as nvidia-smi says it now; empty for a CPU, or where it says nothing.
std::string clocks_of(const Device& device);

}  // namespace bench
