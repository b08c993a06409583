// The C interface (kernels/c/mae_kernels.h): every kernel by name gives the bits of a launch, and whatever does not fit
// is an error with a text.
#include "kernels/c/mae_kernels.h"

#include <array>
#include <functional>
#include <memory>
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

extern "C" int mae_header_in_c(const float* x, float* y, int64_t count);  // mae_header_in_c.c

using namespace kernels;

namespace {

using StreamOwner = std::unique_ptr<mae_stream, void (*)(mae_stream*)>;
StreamOwner stream_on(const std::string& device) {
  return {mae_stream_create(device.c_str(), nullptr), mae_stream_destroy};
}

/// A tensor as another library would describe it.
struct Foreign {
  std::string name;
  std::array<std::int64_t, Shape::max_rank> shape{}, strides{};
  mae_tensor tensor{};
  bool given = true;

  Foreign(const char* field, const View& view, const Device& device) : name(field) {
    std::int64_t stride = view.row_stride;
    for (int i = view.shape.rank - 1; i >= 0; --i) {
      const auto at = static_cast<std::size_t>(i);
      shape[at] = view.shape[i];
      strides[at] = i == view.shape.rank - 1 ? 1 : stride;
      if (i < view.shape.rank - 1) stride *= view.shape[i];
    }
    constexpr mae_dtype dtypes[] = {{2, 64, 1}, {2, 32, 1}, {4, 16, 1}, {0, 32, 1}, {1, 32, 1}, {1, 16, 1}, {1, 8, 1}};
    tensor = {.data = view.data,
              .device = {device.kind == DeviceKind::cuda ? 2 : 1, device.index},
              .ndim = view.shape.rank,
              .dtype = dtypes[static_cast<int>(view.dtype)]};
  }
};

/// A launch by name, with everything that an argument struct has; tests then spoil it.
struct Call {
  std::string kernel;
  std::vector<Foreign> tensors;
  std::vector<mae_scalar> scalars;

  template <class Args>
  Call(const Args& args, const Device& device) : kernel(Args::kernel) {
    Args::fields(args, [&](const char* name, const View& view, Role) {
      if (view) tensors.emplace_back(name, view, device);
    });
    for_each_scalar(args, [&](const char* name, const auto& scalar) {
      if constexpr (std::is_enum_v<std::remove_cvref_t<decltype(scalar)>>) {
        scalars.push_back({name, 0, names_of(scalar)[static_cast<std::size_t>(scalar)]});
      } else {
        scalars.push_back({name, static_cast<double>(scalar), nullptr});
      }
    });
  }

  Foreign& operator[](const std::string& name) {
    for (Foreign& tensor : tensors) {
      if (tensor.name == name) return tensor;
    }
    throw std::out_of_range(name);
  }

  int launch(mae_stream* stream, const char* row = nullptr) {
    std::vector<mae_field> fields;
    for (Foreign& f : tensors) {
      f.tensor.shape = f.shape.data();
      f.tensor.strides = f.strides.data();
      fields.push_back({f.name.c_str(), f.given ? &f.tensor : nullptr});
    }
    return mae_launch(stream, kernel.c_str(), row, fields.data(), static_cast<int>(fields.size()), scalars.data(),
                      static_cast<int>(scalars.size()));
  }
};

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

/// A LayerNorm in f32 that works, to be spoilt.
struct Small {
  std::vector<float> x = std::vector<float>(24, 1.5f), gamma = std::vector<float>(4, 1.0f), y = std::vector<float>(24);
  StreamOwner stream = stream_on("cpu");
  Call call{LayerNormForward{.x = view_of(x.data(), DType::f32, {2, 3, 4}),
                             .gamma = view_of(gamma.data(), DType::f32, {4}),
                             .beta = view_of(gamma.data(), DType::f32, {4}),
                             .y = view_of(y.data(), DType::f32, {2, 3, 4})},
            devices().front()};
};

/// The text of the refusal; "" where it was none.
std::string refusal(Small& small, const char* row = nullptr) {
  return small.call.launch(small.stream.get(), row) == MAE_OK ? "" : mae_last_error();
}

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

TEST_CASE("a name that is not there is an error") {
  Small small;
  CHECK(refusal(small) == "");
  CHECK(refusal(small, "reference") == "");
  CHECK_THAT(refusal(small, "fastest"),
             ContainsSubstring("no row \"fastest\" on cpu") && ContainsSubstring("reference"));

  small.call.tensors.push_back(small.call["x"]);
  CHECK_THAT(refusal(small), ContainsSubstring("field \"x\" is given twice"));
  small.call.tensors.back().name = "weight";
  CHECK_THAT(refusal(small), ContainsSubstring("no field \"weight\"") && ContainsSubstring("gamma"));
  small.call.tensors.pop_back();

  small.call["beta"].given = false;
  CHECK_THAT(refusal(small), ContainsSubstring("layernorm_forward") && ContainsSubstring("beta"));
  small.call["beta"].given = true;

  small.call.scalars.push_back({"heads", 2, nullptr});
  CHECK_THAT(refusal(small), ContainsSubstring("no scalar \"heads\"") && ContainsSubstring("eps"));
  small.call.scalars.back() = {"eps", 1e-6, nullptr};
  CHECK_THAT(refusal(small), ContainsSubstring("given twice"));
  small.call.scalars = {{"eps", 0, "small"}};
  CHECK_THAT(refusal(small), ContainsSubstring("is a number"));
  small.call.scalars = {{nullptr, 0, nullptr}};
  CHECK_THAT(refusal(small), ContainsSubstring("null"));
  small.call.scalars.clear();
  CHECK(refusal(small) == "");

  small.call.kernel = "layernorm";
  CHECK_THAT(refusal(small), ContainsSubstring("no such kernel"));
}

TEST_CASE("a scalar takes what its type takes") {
  const StreamOwner stream = stream_on("cpu");
  std::vector<double> values(64);
  const View view = view_of(values.data(), DType::f64, {2, 4, 8});
  Call call(AttentionForward{.q = view, .k = view, .v = view, .out = view, .heads = 2}, devices().front());
  CHECK(call.launch(stream.get()) == MAE_OK);
  for (const double heads : {1.5, -3e9, 1e300, static_cast<double>(NAN)}) {
    call.scalars[0].number = heads;
    CHECK(call.launch(stream.get()) == MAE_ERROR);
    CHECK_THAT(mae_last_error(), ContainsSubstring("attention_forward, heads") && ContainsSubstring("whole number"));
  }
  call.scalars[0].number = 3;
  CHECK(call.launch(stream.get()) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("heads must divide C"));

  Call sum(ColumnSum{.x = view, .out = view}, devices().front());
  sum.scalars[0] = {"mode", 1, nullptr};
  CHECK(sum.launch(stream.get()) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("by name") && ContainsSubstring("one of overwrite, accumulate"));
  sum.scalars[0].text = "add";
  CHECK(sum.launch(stream.get()) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("there is no \"add\""));
}

TEST_CASE("a tensor that a view cannot be is an error") {
  Small small;
  const mae_tensor good = small.call["x"].tensor;
  const auto with = [&](auto change) {
    Small spoilt;
    change(spoilt.call["x"]);
    return refusal(spoilt);
  };
  CHECK(with([](Foreign&) {}) == "");
  CHECK(good.ndim == 3);
  CHECK_THAT(with([](Foreign& x) { x.tensor.dtype = {2, 16, 1}; }), ContainsSubstring("no kernel takes float16"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.dtype.lanes = 4; }), ContainsSubstring("float32x4"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.dtype = {0, 32, 1}; }), ContainsSubstring("x must be f64, f32 or bf16"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.ndim = 6; }), ContainsSubstring("6 dimensions"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.ndim = -1; }), ContainsSubstring("-1 dimensions"));
  CHECK_THAT(with([](Foreign& x) { x.shape[1] = 0; }), ContainsSubstring("dimension 1 is not positive"));
  CHECK_THAT(with([](Foreign& x) { x.shape[1] = 2; }), ContainsSubstring("strides"));
  CHECK_THAT(with([](Foreign& x) { x.strides[2] = 2; }), ContainsSubstring("contiguous copy"));
  CHECK_THAT(with([](Foreign& x) { x.strides[0] = 24; }), ContainsSubstring("(24, 4, 1) of shape (2, 3, 4)"));
  CHECK_THAT(with([](Foreign& x) { x.strides = {0, 0, 1}; }), ContainsSubstring("one distance"));
  CHECK_THAT(with([](Foreign& x) { x.strides = {-12, -4, 1}; }), ContainsSubstring("one distance"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.data = nullptr; }), ContainsSubstring("no data"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.byte_offset = 2; }), ContainsSubstring("multiple of its elements' size"));
  CHECK_THAT(with([](Foreign& x) {
               x.tensor.device = {2, 1};
             }),
             ContainsSubstring("cuda:1") && ContainsSubstring("the stream is on cpu"));
  CHECK_THAT(with([](Foreign& x) { x.tensor.device = {7, 0}; }), ContainsSubstring("device type 7"));
}

TEST_CASE("strides that are never walked do not matter, and rows may be padded") {
  std::vector<float> x(60, 1.0f), y(60);
  const StreamOwner stream = stream_on("cpu");
  Call call(GeluForward{.x = view_of(x.data(), DType::f32, {1, 5, 1, 4}, 6),
                        .y = view_of(y.data(), DType::f32, {1, 5, 1, 4}, 12)},
            devices().front());
  call["x"].strides = {7, 6, 1000, 1};
  CHECK(call.launch(stream.get()) == MAE_OK);
  CHECK(y[4 * 12 + 3] == Approx(0.841345).epsilon(1e-5));  // Phi(1)
  CHECK(y[4] == 0);                                        // between two rows
}

TEST_CASE("nulls and devices that are not here are errors") {
  CHECK(mae_stream_create("tpu", nullptr) == nullptr);
  CHECK_THAT(mae_last_error(), ContainsSubstring("tpu: there is no such device"));
  CHECK(mae_stream_create("h100-80", nullptr) == nullptr);
  CHECK_THAT(mae_last_error(), ContainsSubstring("made up"));
  CHECK(mae_stream_create(nullptr, nullptr) == nullptr);
  int number = 0;
  CHECK(mae_stream_create("cpu", &number) == nullptr);
  CHECK_THAT(mae_last_error(), ContainsSubstring("belongs to a GPU"));
  if (!why_no_cuda().empty()) {
    CHECK(mae_stream_create("cuda", nullptr) == nullptr);
    CHECK_THAT(mae_last_error(), ContainsSubstring("cuda: there is no such device"));
  }
  CHECK(mae_launch(nullptr, "gelu_forward", nullptr, nullptr, 0, nullptr, 0) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("the stream is null"));
  const StreamOwner stream = stream_on("cpu");
  CHECK(mae_launch(stream.get(), nullptr, nullptr, nullptr, 0, nullptr, 0) == MAE_ERROR);
  CHECK(mae_launch(stream.get(), "gelu_forward", nullptr, nullptr, 2, nullptr, 0) == MAE_ERROR);
  CHECK_THAT(mae_last_error(), ContainsSubstring("array of fields is null"));
  CHECK(mae_stream_synchronize(nullptr) == MAE_ERROR);
  mae_stream_destroy(nullptr);
}
