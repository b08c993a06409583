#include "apps/official_flags.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>

#include "apps/cli.h"
#include "engine/number.h"

namespace apps {
namespace {

using Renamed = std::pair<std::string_view, std::string_view>;

constexpr std::array renamed{Renamed{"--norm-pix-loss", "--norm-pix"},
                             Renamed{"--input-size", "--image-size"},
                             Renamed{"--data-path", "--data"},
                             Renamed{"--output-dir", "--out"},
                             Renamed{"--job-dir", "--out"},
                             Renamed{"--num-workers", "--workers"},
                             Renamed{"--finetune", "--checkpoint"},
                             Renamed{"--reprob", "--erase"},
                             Renamed{"--aa", "--rand-augment"}};
constexpr std::array counted{"--batch-size", "--accum-iter", "--nodes", "--ngpus", "--world-size"};
constexpr std::array without_value{"--use-volta32", "--pin-mem", "--no-pin-mem", "--dist-on-itp", "--dist-eval"};
constexpr std::array with_value{"--partition",  "--timeout",     "--comment",    "--dist-url",  "--log-dir",
                                "--local-rank", "--start-epoch", "--print-freq", "--nb-classes"};

template <class Table>
bool holds(const Table& table, const std::string& word) {
  return std::find(table.begin(), table.end(), word) != table.end();
}

struct Flag {
  std::string name;  // with dashes
  std::optional<std::string> value;
};

/// "--mask_ratio=0.9" -> "--mask-ratio" and "0.9".
Flag flag_in(const std::string& word) {
  const std::size_t end = word.find('=');
  Flag flag{word.substr(0, end), std::nullopt};
  std::replace(flag.name.begin(), flag.name.end(), '_', '-');
  if (end != std::string::npos) flag.value = word.substr(end + 1);
  return flag;
}

/// The micro-batch of a device and the global batch that the official run would have.
void add_batch(std::map<std::string, std::int64_t>& numbers, std::vector<std::string>& words) {
  const auto take = [&](const char* flag, std::int64_t otherwise) {
    return numbers.contains(flag) ? numbers[flag] : otherwise;
  };
  const bool submitted = numbers.contains("--nodes") || numbers.contains("--ngpus");
  const std::int64_t nodes = std::clamp<std::int64_t>(take("--nodes", 2), 0, 1 << 24);
  const std::int64_t devices =
      take("--world-size", submitted ? nodes * take("--ngpus", 8) : 1);  // defaults of submitit_pretrain.py
  const std::int64_t micro = take("--batch-size", 64);
  std::int64_t batch = 1;
  for (const std::int64_t n : {devices, micro, take("--accum-iter", 1)})
    if (n < 1 || __builtin_mul_overflow(batch, n, &batch) || batch > 1 << 24)
      throw UsageError("sizes are positive, and a batch has at most 2^24 images", "--batch_size, --accum_iter");
  words.insert(words.end(), {"--micro-batch", std::to_string(micro), "--batch", std::to_string(batch)});
}

}  // namespace

Translation from_official(const std::vector<std::string>& words) {
  Translation out;
  std::map<std::string, std::int64_t> numbers;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--") {
      out.words.insert(out.words.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
      break;
    }
    if (!words[i].starts_with("--")) {
      out.words.push_back(words[i]);
      continue;
    }
    Flag flag = flag_in(words[i]);
    const bool counts = holds(counted, flag.name), no_meaning = holds(with_value, flag.name);
    if ((counts || no_meaning) && !flag.value && i + 1 < words.size()) flag.value = words[++i];
    if (counts) {
      const auto number = engine::parse_number<std::int64_t>(flag.value.value_or(""));
      if (!number) throw UsageError("\"" + flag.value.value_or("") + "\" is no whole number", flag.name);
      numbers[flag.name] = *number;
    } else if (no_meaning || holds(without_value, flag.name)) {
      out.ignored.push_back(flag.name);
    } else {
      for (const auto& [theirs, ours] : renamed)
        if (flag.name == theirs) flag.name = ours;
      out.words.push_back(flag.value ? flag.name + "=" + *flag.value : flag.name);
    }
  }
  if (!numbers.empty()) add_batch(numbers, out.words);
  return out;
}

}  // namespace apps
