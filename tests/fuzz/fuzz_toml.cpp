// Files behind --config: TOML, the option table with a value of every type, and the model that they describe.
#include "apps/model_options.h"
#include "apps/options.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::MemoryFile input(data, size);
  return fuzz::attempt([&] {
    mae::Config config;
    std::string save_every = "1";
    std::vector<std::string> kernels;
    std::int64_t batch = 0;
    apps::OptionTable table("fuzz", "options from a file", "fuzz --config FILE");
    table.add("batch", batch, "a whole number");
    table.add("save_every", save_every, "a text that may be a number").or_number();
    table.add("kernels", kernels, "a list of texts");
    apps::add_model_options(table, config);
    table.pass_over({"data"});
    const std::string path = input.path();
    const char* words[] = {"fuzz", "--config", path.c_str()};
    table.parse(3, words);
    table.to_toml();
    mae::validate(config);
  });
}
