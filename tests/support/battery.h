// The battery that every kernel passes, on every device, in every row: compared with the f64 reference on the rounded
// inputs; outputs poisoned with NaN and fenced with guard bands first; run twice for the same bits; replayed from a
// graph for the same bits; on views that no vector load is aligned with; inputs and the padding between rows untouched;
// accumulate = overwrite + previous, in the reference; wrong shapes refused; rows that choose by timing do so first. On
// a GPU, and on simt, more than one warp is at work in some case; on simt, the smallest case with more than one block's
// worth of work gives the same bits in ten orders of threads and blocks. Under the address sanitizer, which looks for
// other faults, nothing is repeated, but for one other order there, and a row takes its cases aligned and not in turn.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cases/case.h"
#include "kernels/simt/grid.h"
#include "tests/support/catch.h"
#include "tests/support/operand.h"

namespace test {

/// An argument struct together with the memory of its views, on one device.
template <class Args>
class Bench {
 public:
  Bench(const Device& device, Args args, std::size_t shift = 0) : args_(args), stream_(device) {
    Args::fields(args_, [&](const char* name, View& view, Role role) {
      if (!view) return;
      operands_.emplace_back(device, view, shift);
      names_.push_back(name);
      roles_.push_back(role);
      view.data = operands_.back().view().data;
    });
  }
  Bench(const Bench&) = delete;

  Args& args() { return args_; }
  Stream& stream() { return stream_; }
  std::size_t count() const { return operands_.size(); }
  Operand& operand(std::size_t i) { return operands_[i]; }
  Role role(std::size_t i) const { return roles_[i]; }
  const std::string& name(std::size_t i) const { return names_[i]; }

  void upload() {
    for (Operand& o : operands_) o.upload(stream_);
  }
  void download() {
    for (Operand& o : operands_) o.download(stream_);
  }

  void run(const std::string& row) {
    lend(row);
    launch(stream_, args_, row);
    stream_.synchronize();
  }
  /// Has a row that chooses by timing do so: what training runs is what it has chosen.
  void tune(const std::string& row) {
    lend(row);
    choose(stream_.device(), args_, row).tune(stream_, args_, scratch_.get());
  }
  void replay(const std::string& row) {
    lend(row);
    Graph graph(stream_, [&] { launch(stream_, args_, row); });
    graph.replay(stream_);
    stream_.synchronize();
  }
  /// The host's views in an argument struct, for input makers.
  Args host_args() {
    Args host = args_;
    std::size_t i = 0;
    Args::fields(host, [&](const char*, View& view, Role) {
      if (view) view.data = operands_[i++].host_view().data;
    });
    return host;
  }

 private:
  void lend(const std::string& row) {
    const auto& variant = choose(stream_.device(), args_, row);
    const std::size_t bytes = variant.scratch_bytes(stream_.device(), args_);
    if (bytes == 0) return;
    scratch_ =
        std::shared_ptr<void>(allocate(stream_.device(), bytes), [d = stream_.device()](void* p) { release(d, p); });
    stream_.lend_scratch(scratch_.get(), bytes);
  }
  Args args_;
  Stream stream_;
  std::vector<Operand> operands_;
  std::vector<std::string> names_;
  std::vector<Role> roles_;
  std::shared_ptr<void> scratch_;
};

template <class Args>
Args with_dtype_f64(Args args) {
  Args::fields(args, [](const char*, View& view, Role) {
    if (view && is_floating(view.dtype)) view.dtype = DType::f64;
  });
  return args;
}

/// Fills the inputs of a host bench: random values, then the case's own maker, if any; then rounds to the dtypes of
/// `like`.
template <class Args>
void make_inputs(Bench<Args>& exact, Bench<Args>& rounded) {
  for (std::size_t i = 0; i < exact.count(); ++i) {
    if (exact.role(i) != Role::output) fill_random(exact.operand(i).host_view(), static_cast<std::uint32_t>(i + 1));
  }
  if constexpr (requires(Args & a) { Case<Args>::fill(a); }) {
    Args host = exact.host_args();
    Case<Args>::fill(host);
  }
  for (std::size_t i = 0; i < exact.count(); ++i) {
    if (exact.role(i) == Role::output) continue;
    copy_values(exact.operand(i).host_view(), rounded.operand(i).host_view());
    copy_values(rounded.operand(i).host_view(), exact.operand(i).host_view());
  }
}

inline void poison(const View& v) {
  for (std::int64_t r = 0; r < v.rows(); ++r) {
    for (std::int64_t c = 0; c < v.cols(); ++c) set(v, r, c, is_floating(v.dtype) ? NAN : 173);
  }
}

template <class Args>
std::vector<std::vector<std::byte>> snapshot(Bench<Args>& bench) {
  std::vector<std::vector<std::byte>> bits;
  for (std::size_t i = 0; i < bench.count(); ++i) bits.push_back(bench.operand(i).bits());
  return bits;
}

/// The same arguments with every gradient overwritten.
template <class Args>
Args overwriting(Args args) {
  if constexpr (requires { args.mode = Write::overwrite; }) args.mode = Write::overwrite;
  if constexpr (requires { args.dx_mode = Write::overwrite; }) args.dx_mode = Write::overwrite;
  if constexpr (requires { args.parameter_mode = Write::overwrite; }) args.parameter_mode = Write::overwrite;
  if constexpr (requires { args.sum_mode = Write::overwrite; }) args.sum_mode = Write::overwrite;
  if constexpr (requires { args.bias_mode = Write::overwrite; }) args.bias_mode = Write::overwrite;
  return args;
}

/// accumulate = overwrite + previous, of the f64 reference that all other rows are held against.
template <class Args>
void check_accumulation(const Args& args) {
  Bench<Args> adding(devices().front(), with_dtype_f64(args)),
      plain(devices().front(), overwriting(with_dtype_f64(args)));
  make_inputs(adding, adding);
  for (std::size_t i = 0; i < plain.count(); ++i) {
    if (plain.role(i) == adding.role(i)) {
      plain.operand(i).set_bits(adding.operand(i).bits());
    } else {
      poison(plain.operand(i).host_view());
    }
  }
  const auto before = snapshot(adding);
  for (Bench<Args>* bench : {&adding, &plain}) {
    bench->upload();
    bench->run("reference");
    bench->download();
  }
  for (std::size_t i = 0; i < plain.count(); ++i) {
    if (plain.role(i) == adding.role(i)) continue;
    Operand previous(devices().front(), adding.operand(i).view());
    previous.set_bits(before[i]);
    const View sum = previous.host_view(), fresh = plain.operand(i).host_view();
    for (std::int64_t r = 0; r < sum.rows(); ++r) {
      for (std::int64_t c = 0; c < sum.cols(); ++c) set(sum, r, c, get(sum, r, c) + get(fresh, r, c));
    }
    INFO(Args::kernel << " accumulates into " << adding.name(i));
    CHECK(relative_error(adding.operand(i).host_view(), sum) <= 1e-12);
  }
}

/// The order in which simt runs threads and blocks; 0: the natural one.
inline void simt_order([[maybe_unused]] std::uint32_t seed) {
  if constexpr (with_simt) simt::set_seed(seed);
}

/// For a GPU under a sanitizer: its rows alone, small cases, each run once. MAE_BATTERY=small, or =ours where the
/// sanitizer is for our kernels and not for those of libraries.
inline bool battery_is(const char* word) {
  const char* value = std::getenv("MAE_BATTERY");
  return value && std::string(value) == word;
}
inline bool only_ours() { return battery_is("ours"); }
inline bool only_small() { return battery_is("small") || only_ours(); }
/// Not in this battery; MAE_BATTERY=cpu is for the CPU's rows alone.
inline bool left_out(const Device& device) {
  return battery_is("cpu") ? device.kind != DeviceKind::cpu : only_small() && device.kind != DeviceKind::cuda;
}

/// What one row did in all of its cases.
struct RowReport {
  bool vendor = false;
  int runs = 0;
  unsigned warps = 0;         // of its largest grid, on a GPU or simt
  std::set<DType> reordered;  // dtypes of which simt has run a case of more than one warp in ten orders
};

/// What all rows on all devices are held against: inputs rounded to the dtypes of the views, and what the f64 reference
/// makes of them.
template <class Args>
struct Expected {
  explicit Expected(const Args& args)
      : rounded(devices().front(), args), exact(devices().front(), with_dtype_f64(args)) {
    make_inputs(exact, rounded);
    for (std::size_t i = 0; i < exact.count(); ++i) {
      if (exact.role(i) == Role::output) poison(exact.operand(i).host_view());
    }
    exact.upload();
    exact.run("reference");
    exact.download();
  }

  Bench<Args> rounded, exact;
};

/// False, and nothing is checked, where the row refuses these arguments. `shift`: of all its views, in elements.
template <class Args>
bool check_row(const Device& device, const Args& args, const Variant<Args>& variant, std::size_t shift,
               Expected<Args>& expected, RowReport& report) {
  const std::string row = variant.name;
  Bench<Args> bench(device, args, shift);
  if (variant.refuses && variant.refuses(device, bench.args())) return false;
  ++report.runs;
  DType dtype = DType::f64;  // the coarsest floating type among the views decides the bound
  for (std::size_t i = 0; i < bench.count(); ++i) {
    const DType t = bench.operand(i).view().dtype;
    if (is_floating(t) && size_of(t) < size_of(dtype)) dtype = t;
    if (bench.role(i) == Role::output) poison(bench.operand(i).host_view());
    else copy_values(expected.rounded.operand(i).host_view(), bench.operand(i).host_view());
  }

  const auto before = snapshot(bench);
  const auto restart = [&] {
    for (std::size_t i = 0; i < bench.count(); ++i) bench.operand(i).set_bits(before[i]);
    bench.upload();
  };
  if (variant.tune) restart(), bench.tune(row);
  restart();
  bench.run(row);
  bench.download();
  for (std::size_t i = 0; i < bench.count(); ++i) {
    INFO("operand " << bench.name(i) << " " << to_string(bench.operand(i).view()));
    CHECK(bench.operand(i).guards_untouched());
    CHECK(bench.operand(i).padding_untouched(before[i]));
    if (bench.role(i) == Role::input) {
      CHECK((bench.operand(i).bits() == before[i]));
    } else if (is_floating(bench.operand(i).view().dtype)) {
      CHECK(relative_error(bench.operand(i).host_view(), expected.exact.operand(i).host_view()) <=
            bound_of(Case<Args>::bound, variant.reduced_precision ? DType::bf16 : dtype));
    } else {
      CHECK(relative_error(bench.operand(i).host_view(), expected.exact.operand(i).host_view()) == 0);
    }
  }
  const auto first = snapshot(bench);
  const auto again = [&](auto run) {
    restart();
    run();
    bench.download();
    CHECK((first == snapshot(bench)));  // a bool: nobody wants megabytes printed
  };
  const unsigned warps = bench.stream().running.warps;
  report.warps = std::max(report.warps, warps);
  if (device.kind == DeviceKind::simt) {
    int orders = warps > 1 && report.reordered.insert(dtype).second ? 10 : 1;
    if (with_address_sanitizer) orders = orders > 1 ? 1 : 0;
    for (int seed = 1; seed <= orders; ++seed) {
      simt_order(static_cast<std::uint32_t>(seed));
      again([&] { bench.run(row); });
    }
    simt_order(0);
  } else if (!only_small() && !with_address_sanitizer) {
    again([&] { bench.run(row); });
    again([&] { bench.replay(row); });
  }
  return true;
}

/// Any one view made one element longer must be refused by validate, with the kernel's name in the message; but for
/// views whose length is free, which Case<Args>::may_grow(field) names.
template <class Args>
void check_refusals(const Args& args) {
  std::size_t views = fields_of(args).size();
  for (std::size_t k = 0; k < views; ++k) {
    Args wrong = args;
    std::size_t i = 0;
    std::string name;
    Args::fields(wrong, [&](const char* field, View& view, Role) {
      if (!view || i++ != k) return;
      View& v = view;
      v.shape.dims[static_cast<std::size_t>(v.shape.rank - 1)] += 1;
      v.row_stride += 1;
      name = field;
    });
    if (views == 1) continue;  // nothing to disagree with
    if constexpr (requires { Case<Args>::may_grow(name); }) {
      if (Case<Args>::may_grow(name)) continue;
    }
    INFO("made longer: " << name);
    CHECK_THROWS_WITH(validate(wrong), ContainsSubstring(Args::kernel));
  }
}

/// Kernels with nothing to share out: they say so in their Case.
template <class Args>
constexpr bool one_thread_is_enough = requires {
  Case<Args>::scalars_only;
};

/// simt is for small cases, of about a second each; the address sanitizer learns nothing more from the largest.
template <class Args>
bool too_large(const Device& device, const Args& args) {
  const auto above = [&](double flops, double bytes) { return cost(args).flops > flops || cost(args).bytes > bytes; };
  if (device.kind == DeviceKind::simt || only_small()) return above(50e6, 2e6);
  return with_address_sanitizer && above(200e6, 16e6);
}

using RowReports = std::map<std::pair<const Device*, std::string>, RowReport>;

/// One case: every row on every device.
/// `turn`: even, aligned first; odd, not.
template <class Args>
void check_case(const Args& args, int turn, RowReports& reports) {
  std::optional<Expected<Args>> expected;
  for (const Device& device : devices()) {
    if (too_large(device, args) || left_out(device)) continue;
    if (!expected) expected.emplace(args);
    for (const auto& variant : rows_of<Args>(device.kind)) {
      if (only_ours() && variant.vendor) continue;
      RowReport& report = reports[{&device, variant.name}];
      const auto first = static_cast<std::size_t>(turn % 2);
      for (const std::size_t shift : {first, 1 - first}) {
        INFO("on " << device.name << " row " << variant.name << " shift " << shift);
        if (check_row(device, args, variant, shift, *expected, report) && with_address_sanitizer) break;
      }
    }
  }
}

/// The whole battery for one kernel.
template <class Args>
void battery() {
  RowReports reports;
  for (const Device& device : devices()) {
    if (left_out(device)) continue;
    for (const auto& variant : rows_of<Args>(device.kind))
      reports[{&device, variant.name}] = {.vendor = variant.vendor};
  }
  int shapes = 0;
  for (const char* shape : Case<Args>::tests) {
    int dtypes = 0;
    ++shapes;
    for (DType dtype : Case<Args>::dtypes()) {
      int variation = 0;
      ++dtypes;
      for (const Args& args : Case<Args>::make(Dims(shape), dtype)) {
        INFO(Args::kernel << " shape " << shape << " " << name_of(dtype) << " variation " << variation++);
        check_refusals(args);
        if (dtype == DType::f64) check_accumulation(args);
        check_case(args, shapes + dtypes + variation, reports);
      }
    }
  }
  for (const auto& [key, report] : reports) {
    const auto& [device, row] = key;
    if (only_ours() && report.vendor) continue;
    INFO(Args::kernel << "=" << row << " on " << device->name);
    CHECK(report.runs > 0);  // in some case
    if (device->kind != DeviceKind::cpu && !one_thread_is_enough<Args> && !report.vendor) CHECK(report.warps > 1);
  }
  const bool has_gpu =
      std::any_of(devices().begin(), devices().end(), [](auto& d) { return d.kind == DeviceKind::cuda; });
  if (const char* required = std::getenv("MAE_REQUIRE_CUDA"); required && *required == '1') {
    INFO(why_no_cuda());
    REQUIRE(has_gpu);
  } else if (!has_gpu && !rows_of<Args>(DeviceKind::cuda).empty()) {
    WARN(Args::kernel << ": CUDA rows were not run: " << why_no_cuda());
  }
}

}  // namespace test
