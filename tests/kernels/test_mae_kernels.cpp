// The C interface (kernels/c/mae_kernels.h): every kernel by name gives the bits of a launch, and no argument that it
// is given does harm. Its refusals: test_mae_kernels_errors.cpp.
#include "kernels/c/mae_kernels.h"

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "kernels/cases/activation.h"
#include "kernels/cases/attention.h"
#include "kernels/cases/augment.h"
#include "kernels/cases/batchnorm.h"
#include "kernels/cases/cross_entropy.h"
#include "kernels/cases/drop_path.h"
#include "kernels/cases/elementwise.h"
#include "kernels/cases/layernorm.h"
#include "kernels/cases/loss.h"
#include "kernels/cases/masking.h"
#include "kernels/cases/matmul.h"
#include "kernels/cases/mix_images.h"
#include "kernels/cases/momentum.h"
#include "kernels/cases/moving_average.h"
#include "kernels/cases/optimizer.h"
#include "kernels/cases/pool.h"
#include "kernels/cases/reduce.h"
#include "kernels/cases/token_merge.h"
#include "kernels/cases/tokens.h"
#include "kernels/registry.h"
#include "tests/support/battery.h"
#include "tests/support/foreign_call.h"

extern "C" int mae_header_in_c(const float* x, float* y, int64_t count);  // mae_header_in_c.c

using namespace kernels;
using test::Call;
using test::Foreign;
using test::stream_on;
using test::StreamOwner;

namespace {

/// Members of an aggregate, counted by how many values it can be made from.
struct Anything {
  template <class T>
  operator T() const;
};
template <class T, class... Values>
constexpr int members_of(Values... values) {
  if constexpr (requires { T{values..., Anything{}}; }) return members_of<T>(values..., Anything{});
  else return static_cast<int>(sizeof...(Values));
}

struct NamesAllMembers {
  template <class Args>
  void operator()() const {
    INFO(Args::kernel << ": fields and scalars name every member");
    CHECK(mae_kernel_fields(Args::kernel, nullptr, 0) + mae_kernel_scalars(Args::kernel, nullptr, 0) ==
          members_of<Args>());
  }
};

struct SameBits {
  mae_stream* stream;
  template <class Args>
  void operator()() const {
    const Device& device = devices().front();
    for (const Args& args : Case<Args>::make(Dims(Case<Args>::tests[0]), Case<Args>::dtypes().front())) {
      test::Bench<Args> direct(device, args), by_name(device, args);
      test::make_inputs(direct, by_name);
      direct.upload(), by_name.upload();
      direct.run(""), direct.download();
      INFO(describe(Args::kernel, fields_of(args)));
      const int status = Call(by_name.args(), device).launch(stream);
      INFO(mae_last_error());
      REQUIRE(status == MAE_OK);
      by_name.download();
      CHECK((test::snapshot(direct) == test::snapshot(by_name)));
    }
  }
};

/// Every field left out, flattened, or turned into bytes, and every number made senseless: launches may succeed, on
/// memory that is there, or be refused in the kernel's name.
struct Survives {
  mae_stream* stream;

  template <class Args>
  void operator()() const {
    const Device& device = devices().front();
    const auto all = Case<Args>::make(Dims(Case<Args>::tests[0]), Case<Args>::dtypes().front());
    test::Bench<Args> bench(device, all.back());
    test::make_inputs(bench, bench);
    bench.upload();
    const Call whole(bench.args(), device);
    for (std::size_t i = 0; i < whole.tensors.size(); ++i) {
      const auto spoil = [&](const char* what, const std::function<void(Foreign&)>& change) {
        Call call = whole;
        INFO(call.kernel << " with " << call.tensors[i].name << " " << what);
        change(call.tensors[i]);
        check(call);
      };
      spoil("left out", [](Foreign& f) { f.given = false; });
      spoil("of bytes", [](Foreign& f) { f.tensor.dtype = {1, 8, 1}; });
      spoil("a scalar", [](Foreign& f) { f.tensor.ndim = 0; });
      spoil("its last dimension", [](Foreign& f) { f.shape[0] = f.shape[static_cast<std::size_t>(--f.tensor.ndim)]; });
    }
    for (std::size_t i = 0; i < whole.scalars.size(); ++i) {
      for (const double number : {0.0, -1.0, 0.5, 2147483647.0}) {
        Call call = whole;
        INFO(call.kernel << " with " << call.scalars[i].name << " " << number);
        if (trusted(call.scalars[i].name)) continue;
        call.scalars[i].number = number;
        check(call);
      }
    }
  }

 private:
  /// What the values in boxes must keep to, which validate does not see.
  static bool trusted(const std::string& scalar) { return scalar == "longest"; }
  void check(Call& call) const {
    if (call.launch(stream) == MAE_OK) return;
    CHECK_THAT(mae_last_error(), ContainsSubstring(call.kernel));
  }
};

}  // namespace

TEST_CASE("fields and scalars name every member of an argument struct") {
  for_each_kernel(AllKernels{}, NamesAllMembers{});
}

TEST_CASE("every kernel by name gives the bits of a launch") {
  const StreamOwner stream = stream_on("cpu");
  for_each_kernel(AllKernels{}, SameBits{stream.get()});
}

TEST_CASE("no field left out or misshapen, and no senseless number, does harm") {
  const StreamOwner stream = stream_on("cpu");
  for_each_kernel(AllKernels{}, Survives{stream.get()});
}

TEST_CASE("a stream on every device that is here") {
  for (const Device& device : devices()) {
    if (test::left_out(device)) continue;
    const StreamOwner stream = stream_on(name_of(device.kind) + (":" + std::to_string(device.index)));
    REQUIRE(stream);
    const auto args = Case<LayerNormBackward>::make(Dims("R=65 C=192"), DType::f32).front();
    test::Bench<LayerNormBackward> direct(device, args), by_name(device, args);
    test::make_inputs(direct, by_name);
    direct.upload(), by_name.upload();
    direct.run(""), direct.download();
    INFO(device.name);
    const int status = Call(by_name.args(), device).launch(stream.get());
    INFO(mae_last_error());
    CHECK(status == MAE_OK);
    CHECK(mae_stream_synchronize(stream.get()) == MAE_OK);
    by_name.download();
    CHECK((test::snapshot(direct) == test::snapshot(by_name)));
  }
}

TEST_CASE("the header is C") {
  const std::vector<float> x{-1, 0, 2};
  std::vector<float> y(3);
  CHECK(mae_header_in_c(x.data(), y.data(), 3) == MAE_OK);
  CHECK(y[1] == 0);
  CHECK(y[2] == Approx(1.954500).epsilon(1e-5));  // 2 Phi(2)
}

TEST_CASE("what there is has names") {
  CHECK(mae_abi() == MAE_ABI);
  CHECK(std::string(mae_version()).find('.') != std::string::npos);
  CHECK(mae_kernel_name(0) == std::string("gelu_forward"));
  CHECK(mae_kernel_name(-1) == nullptr);
  CHECK(mae_kernel_name(mae_kernel_count()) == nullptr);

  std::array<mae_field_info, 8> fields{};
  CHECK(mae_kernel_fields("attention_forward", fields.data(), 2) == 5);
  CHECK(fields[1].name == std::string("k"));
  CHECK(fields[2].name == nullptr);  // beyond the capacity
  CHECK(mae_kernel_fields("gelu_forward", fields.data(), 8) == 2);
  CHECK(fields[1].role == MAE_OUTPUT);

  std::array<mae_scalar_info, 8> scalars{};
  CHECK(mae_kernel_scalars("attention_backward", scalars.data(), 8) == 3);
  CHECK((scalars[0].whole == 1 && scalars[0].value == 1 && scalars[0].choices == nullptr));
  CHECK((scalars[2].choice_count == 2 && scalars[2].choices[1] == std::string("accumulate")));
  CHECK(mae_kernel_scalars("layernorm_forward", scalars.data(), 8) == 1);
  CHECK((scalars[0].whole == 0 && scalars[0].value == 1e-6));

  std::array<const char*, 8> rows{};
  const int count = mae_rows("layernorm_forward", "cpu", rows.data(), 8);
  REQUIRE(count >= 2);
  CHECK(rows[static_cast<std::size_t>(count - 1)] == std::string("reference"));
  CHECK(mae_rows("layernorm_forward", "tpu", nullptr, 0) == -1);
  CHECK(mae_kernel_fields("layer_norm", nullptr, 0) == -1);
  CHECK_THAT(mae_last_error(), ContainsSubstring("no such kernel"));
  CHECK(mae_kernel_fields("layernorm", nullptr, 0) == -1);
  CHECK_THAT(mae_last_error(), ContainsSubstring("try: one of layernorm_forward, layernorm_backward"));
}
