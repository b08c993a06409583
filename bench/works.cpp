#include <algorithm>

#include "bench/cases.h"  // CMake writes it
#include "bench/work.h"
#include "kernels/registry.h"

namespace bench {
namespace {

using namespace kernels;

constexpr int most_variations = 2;  // of a case, unless all are asked for

/// The arguments with memory.
template <class Args>
Args placed(Args args, const Memory& memory) {
  std::size_t i = 0;
  Args::fields(args, [&](const char*, View& view, Role) {
    if (view) view.data = memory[i++];
  });
  return args;
}

template <class Args>
Args in_f64(Args args) {
  Args::fields(args, [](const char*, View& view, Role) {
    if (view && is_floating(view.dtype)) view.dtype = DType::f64;
  });
  return args;
}

template <class Args>
void run_reference(const Args& args) {
  Stream stream(devices().front());
  const Variant<Args>& row = choose(stream.device(), args, "reference");
  std::vector<double> scratch(row.scratch_bytes(stream.device(), args) / sizeof(double) + 1);
  row.run(stream, args, scratch.data());
}

template <class Args>
std::vector<Row> rows_for(const Device& device, const Args& args) {
  std::vector<Row> rows;
  for (const Variant<Args>& v : rows_of<Args>(device.kind)) {
    const char* refusal = v.refuses ? v.refuses(device, args) : nullptr;
    rows.push_back({.name = v.name,
                    .vendor = v.vendor,
                    .reduced_precision = v.reduced_precision,
                    .tunes = v.tune != nullptr,
                    .refusal = refusal ? refusal : "",
                    .workspace = refusal ? 0 : v.scratch_bytes(device, args)});
  }
  return rows;
}

template <class Args>
Work work_of(const Device& device, const Args& args) {
  validate(args);
  Work work{.kernel = Args::kernel,
            .shape = {},
            .fields = fields_of(args),
            .cost = cost(args),
            .bound = Case<Args>::bound,
            .rows = rows_for(device, args)};
  work.launch = [args](Stream& stream, const Memory& memory, const std::string& row) {
    launch(stream, placed(args, memory), row);
  };
  work.tune = [args](Stream& stream, const Memory& memory, const std::string& row, void* scratch) {
    const Args a = placed(args, memory);
    choose(stream.device(), a, row).tune(stream, a, scratch);
  };
  if constexpr (requires(Args & a) { Case<Args>::fill(a); }) {
    work.fill = [args](const Memory& memory) {
      Args exact = placed(in_f64(args), memory);
      Case<Args>::fill(exact);
    };
  }
  work.reference = [args](const Memory& memory) { run_reference(placed(in_f64(args), memory)); };
  return work;
}

template <class Args>
std::vector<Work> works_of(const Device& device, const std::string& shape, DType dtype, bool all) {
  std::vector<Work> works;
  int variation = -1;
  for (const Args& args : Case<Args>::make(Dims(shape), dtype)) {
    if (++variation >= most_variations && !all) break;
    works.push_back(work_of(device, args));
    works.back().shape = shape;
    works.back().dtype = dtype;
    works.back().variation = variation;
  }
  return works;
}

template <class Args>
std::vector<std::string> row_names(DeviceKind kind) {
  std::vector<std::string> names;
  for (const auto& row : rows_of<Args>(kind)) names.emplace_back(row.name);
  return names;
}

/// The names of sizes in shapes: "B=1 T=5" has B and T.
void add_sizes(const std::string& shape, std::vector<std::string>& sizes) {
  for (std::size_t begin = 0; begin < shape.size();) {
    const std::size_t end = std::min(shape.find(' ', begin), shape.size());
    const std::string size = shape.substr(begin, shape.find('=', begin) - begin);
    if (std::find(sizes.begin(), sizes.end(), size) == sizes.end()) sizes.push_back(size);
    begin = end + 1;
  }
}

struct Collect {
  std::vector<Kernel>& list;
  template <class Args>
  void operator()() const {
    Kernel kernel{.name = Args::kernel,
                  .shapes = {std::begin(Case<Args>::bench), std::end(Case<Args>::bench)},
                  .sizes = {},
                  .dtypes = Case<Args>::dtypes(),
                  .rows = row_names<Args>,
                  .works = works_of<Args>};
    for (const std::string shape : Case<Args>::bench) add_sizes(shape, kernel.sizes);
    for (const std::string shape : Case<Args>::tests) add_sizes(shape, kernel.sizes);
    list.push_back(std::move(kernel));
  }
};

}  // namespace

std::vector<Kernel> all_kernels() {
  std::vector<Kernel> list;
  for_each_kernel(AllKernels{}, Collect{list});
  return list;
}

}  // namespace bench
