// A pickle alone, and as the data.pkl of a file with a few storages, whose tensors are read.
#include <string>

#include "engine/pickle.h"
#include "engine/pth.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pth_bytes.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string pickle(reinterpret_cast<const char*>(data), size);
  bool parsed = false;
  fuzz::attempt([&] {
    engine::parse_pickle(pickle, "input");
    parsed = true;
  });
  if (!parsed) return 0;
  const std::string values(64, '\1');
  const std::string file = fuzz::zip_of({{"a/data.pkl", pickle}, {"a/data/0", values}, {"a/data/1", values.substr(8)}});
  return fuzz::attempt([&] { fuzz::read_pth(file); });
}
