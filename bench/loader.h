// What a core reads: images/s of decoding, of cropping, and of the loader that does both.
#pragma once

namespace bench {

/// argv[0] is the command's name. Returns the exit code; throws Error.
int run_loader(int argc, char** argv);

}  // namespace bench
