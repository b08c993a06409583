#include "bench/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "apps/cli.h"

namespace bench {
namespace {

template <class List, class T>
bool holds(const List& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

/// A case that was asked for by --case.
struct Asked {
  std::string kernel, shape, dtype;  // dtype: empty: those of --dtype
  std::vector<Wish> wishes;
};

Asked asked(const std::string& text) {
  Asked a;
  std::istringstream words(text);
  words >> a.kernel;
  for (std::string word; words >> word;) {
    const std::size_t colon = word.find(':');
    if (word.find('=') != std::string::npos) a.shape += (a.shape.empty() ? "" : " ") + word;
    else if (word[0] != '+' && word[0] != '-') a.dtype = word;
    else if (colon == std::string::npos) a.wishes.push_back({word.substr(1), "", word[0] == '+'});
    else a.wishes.push_back({word.substr(1, colon - 1), word.substr(colon + 1), word[0] == '+'});
  }
  if (a.shape.empty()) throw Error("\"" + text + "\" has no sizes: KERNEL NAME=SIZE ...", "--case");
  return a;
}

bool fulfils(const Work& work, const Wish& wish) {
  const bool found = std::any_of(work.fields.begin(), work.fields.end(), [&](const Field& field) {
    return wish.view == field.name &&
           (wish.what.empty() || wish.what == name_of(field.role) || wish.what == name_of(field.view.dtype));
  });
  return found == wish.has;
}

const Kernel& kernel_of(const std::vector<Kernel>& kernels, const std::string& name) {
  std::vector<std::string> names;
  for (const Kernel& kernel : kernels) {
    if (kernel.name == name) return kernel;
    names.push_back(kernel.name);
  }
  const std::string near = apps::nearest(name, names);
  throw Error("there is no kernel \"" + name + "\"", "--kernel", near.empty() ? "--list names them" : near);
}

void check_shape(const Kernel& kernel, const std::string& shape, const Device& device) {
  kernels::Dims dims(shape);  // throws for what is not NAME=SIZE
  for (std::size_t begin = 0; begin < shape.size(); begin = shape.find(' ', begin) + 1) {
    const std::string name = shape.substr(begin, shape.find('=', begin) - begin);
    if (!holds(kernel.sizes, name))
      throw Error(fmt::format("{} has no size {}: its sizes are {}", kernel.name, name, fmt::join(kernel.sizes, ", ")),
                  "shape \"" + shape + "\"");
    if (shape.find(' ', begin) == std::string::npos) break;
  }
  kernel.works(device, shape, kernel.dtypes.back(), true);  // throws for sizes that are missing or do not fit
}

/// The types in which a kernel is timed; "lowest" is the least precise that it has.
std::vector<DType> dtypes_of(const Kernel& kernel, const std::vector<std::string>& wanted) {
  if (wanted.empty()) return kernel.dtypes;
  std::vector<DType> types;
  for (const DType type : kernel.dtypes) {
    const bool lowest = type == kernel.dtypes.back() && holds(wanted, "lowest");
    if (lowest || holds(wanted, std::string(name_of(type)))) types.push_back(type);
  }
  return types;
}

void check_rows(const Options& options, const std::vector<const Kernel*>& kernels, const Device& device) {
  std::vector<std::string> names;
  for (const Kernel* kernel : kernels) {
    for (std::string& row : kernel->rows(device.kind)) {
      if (!holds(names, row)) names.push_back(std::move(row));
    }
  }
  for (const std::string& row : options.rows) {
    if (!holds(names, row))
      throw Error(fmt::format("there is no row \"{}\" on {} in {}: {}", row, name_of(device.kind),
                              kernels.size() == 1 ? kernels[0]->name : "these kernels", fmt::join(names, ", ")),
                  "--row", apps::nearest(row, names));
  }
}

void check_dtypes(const Options& options, const std::vector<const Kernel*>& kernels) {
  for (const std::string& type : options.dtypes) {
    const bool known = type == "lowest" || std::any_of(kernels.begin(), kernels.end(), [&](const Kernel* kernel) {
                         return !dtypes_of(*kernel, {type}).empty();
                       });
    if (!known)
      throw Error("none of these kernels has the type \"" + type + "\"", "--dtype", "f64, f32, bf16 or lowest");
  }
}

}  // namespace

std::vector<Device> chosen_devices(const Options& options) {
  std::vector<Device> chosen;
  for (const std::string& name : options.devices) {
    if (options.list) {  // runs nothing, so any will do
      chosen.push_back(kernels::find_device(name));
      continue;
    }
    if (name == "simt") throw Error("simt is for correctness and knows nothing of speed", name, "--device cpu");
    chosen.push_back(kernels::find_device(name));
    if (!chosen.back().present) throw Error("this device is made up: nothing can be timed on it", name);
  }
  if (!chosen.empty()) return chosen;
  const auto& all = kernels::devices();
  const auto gpu = std::find_if(all.begin(), all.end(), [](const Device& d) { return d.kind == DeviceKind::cuda; });
  return {kernels::find_device(gpu == all.end() ? "cpu" : "cuda:" + std::to_string(gpu->index))};
}

std::vector<Case> chosen_cases(const Options& options, const std::vector<Kernel>& kernels, const Device& device,
                               std::vector<std::string>& unknown) {
  std::vector<Case> cases;
  std::vector<const Kernel*> of;
  const auto want = [&](const Asked& a, const std::vector<std::string>& dtypes) {
    const Kernel& kernel = kernel_of(kernels, a.kernel);
    check_shape(kernel, a.shape, device);
    if (!holds(of, &kernel)) of.push_back(&kernel);
    for (const DType type : dtypes_of(kernel, a.dtype.empty() ? dtypes : std::vector{a.dtype})) {
      cases.push_back({&kernel, a.shape, type, a.wishes});
      if (cases.back().works(device, true).empty())
        throw Error("no variation has these views", a.kernel + " " + a.shape);
    }
  };
  for (const std::string& text : options.cases) {
    const Asked a = asked(text);
    const std::size_t before = cases.size();
    try {
      want(a, options.dtypes);
    } catch (const Error& error) {
      if (!options.skip_unknown) throw;
      cases.resize(before);
      unknown.push_back(a.kernel + " " + a.shape + ": " + error.what());
    }
  }
  std::vector<std::string> names = options.kernels;
  if (names.empty() && options.cases.empty()) {
    for (const Kernel& kernel : kernels) names.push_back(kernel.name);
  }
  for (const std::string& name : names) {
    const std::vector<std::string>& shapes = options.shapes.empty() ? kernel_of(kernels, name).shapes : options.shapes;
    for (const std::string& shape : shapes) want({name, shape, "", {}}, options.dtypes);
  }
  check_rows(options, of, device);
  check_dtypes(options, of);
  return cases;
}

std::vector<Work> Case::works(const Device& device, bool all) const {
  std::vector<Work> works = kernel->works(device, shape, dtype, all || !wishes.empty());
  if (wishes.empty()) return works;
  for (Work& work : works) {
    if (std::all_of(wishes.begin(), wishes.end(), [&](const Wish& wish) { return fulfils(work, wish); }))
      return {std::move(work)};
  }
  return {};
}

}  // namespace bench
